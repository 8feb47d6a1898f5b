package harness

import (
	"bufio"
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ask sends one inline command to a Redis server and returns the last line of
// an answer of that many lines.
func ask(ctx context.Context, t *testing.T, server *Redis, command string, lines int) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", server.Address())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte(command + "\r\n"))
	require.NoError(t, err)
	answer := bufio.NewScanner(conn)
	for range lines {
		require.True(t, answer.Scan())
	}
	return answer.Text()
}

func TestRedisSurvivesAKill(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := StartRedis(ctx)
	require.NoError(t, err)
	require.Equal(t, "+OK", ask(ctx, t, server, "SET k kept", 1))
	require.Equal(t, "redis://"+server.Address()+"/3", server.URL(3))

	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(ctx))
	require.Equal(t, "kept", ask(ctx, t, server, "GET k", 2))

	require.NoError(t, server.Close())
	require.NoDirExists(t, server.dir)
	require.Error(t, server.ping(ctx))
}

func TestRedisThatCannotStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, err := StartRedis(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, first.Close()) }()
	second := &Redis{binary: first.binary, dir: t.TempDir(), port: first.port}
	require.ErrorContains(t, second.Restart(ctx), "has ended")
}
