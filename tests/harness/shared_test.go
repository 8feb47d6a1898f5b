package harness

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// testsOf is a package's tests.
type testsOf func() int

func (run testsOf) Run() int { return run() }

func TestSharedPostgres(t *testing.T) {
	t.Parallel()
	var s SharedPostgres
	require.Equal(t, 3, s.Run(testsOf(func() int { return 3 })), "no test needed it")
	require.Nil(t, s.server)

	code := s.Run(testsOf(func() int {
		first, err := s.NewDatabase(t.Context())
		require.NoError(t, err)
		second, err := s.NewDatabase(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{s.server.URL("db1"), s.server.URL("db2")}, []string{first, second})
		return 4
	}))
	require.Equal(t, 4, code)
	require.NoDirExists(t, s.server.dir)
	_, err := s.NewDatabase(t.Context())
	require.Error(t, err, "it has ended")
}

func TestSharedBinary(t *testing.T) {
	t.Setenv(BinaryVariable, "/given/jetstep")
	var s SharedBinary
	require.Equal(t, 3, s.Run(testsOf(func() int { return 3 })), "no test needed it")
	require.Empty(t, s.dir)
	code := s.Run(testsOf(func() int {
		path, err := s.Path()
		require.NoError(t, err)
		require.Equal(t, "/given/jetstep", path)
		return 4
	}))
	require.Equal(t, 4, code)
	require.NoDirExists(t, s.dir)
}
