package harness

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := StartRedisCluster(ctx, 3)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Servers[1].Address()}})
	defer func() { _ = client.Close() }()
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		require.NoError(t, client.Set(ctx, key, key, 0).Err())
		require.Equal(t, key, client.Get(ctx, key).Val())
	}
}

func TestWatchedRedisFails(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w, err := StartWatched(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	require.Equal(t, "+OK", ask(ctx, t, w.Master, "SET k kept", 1))
	require.NoError(t, w.Fail(ctx))
	require.Equal(t, "kept", ask(ctx, t, w.Replica, "GET k", 2))
}

func TestRedisWithTLS(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	files, err := MakeCertificates(t.TempDir())
	require.NoError(t, err)
	server, err := StartRedisServer(ctx, RedisServers()[0], "--tls-cert-file", files.Certificate, "--tls-key-file", files.Key,
		"--tls-ca-cert-file", files.Certificate)
	require.NoError(t, err)
	require.NoError(t, server.Close())
}
