package realtime

import (
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

func TestRunToken(t *testing.T) {
	t.Parallel()
	s := New(Config{})
	run := ulid.MustParse("01M8ACXK11QPZC2XFEA38EZN7D")
	token, err := s.RunToken(run)
	require.NoError(t, err)
	claims, err := s.tokens.verify(token)
	require.NoError(t, err)
	require.Equal(t, []Topic{{Kind: "run", EnvID: function.EnvironmentID, Channel: run.String(), Name: "$stream"}}, claims.Topics)
	require.False(t, claims.Publish)
	require.Equal(t, runTokenLife, claims.ExpiresAt.Sub(claims.IssuedAt.Time))
}
