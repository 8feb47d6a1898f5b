package signing

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	require.Equal(t, [][]byte{[]byte(DevSecret)}, Secrets("a"))
	require.Equal(t, [][]byte{[]byte(DevSecret)}, Secrets("a", ""))
	secrets := Secrets("a", "signkey-prod-abcdef", "0123")
	require.Len(t, secrets, 2)
	require.Equal(t, secrets[:1], Secrets("a", "abcdef"), "prefixes do not matter")
	require.NotEqual(t, secrets[0], secrets[1])
	require.NotEqual(t, secrets[0], Secrets("b", "abcdef")[0], "each purpose has its own")
}
