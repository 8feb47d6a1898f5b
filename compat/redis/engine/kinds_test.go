package engine_test

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/dial"
	"jetstep/compat/redis/engine"
	"jetstep/queue"
	"jetstep/queue/queuetest"
	"jetstep/state/statetest"
	"jetstep/tests/harness"
)

// TestKindsOfRedis: the contracts are met on whatever Redis there is: of each
// version that this machine has, with TLS and a user who may do no more than is
// needed, through a socket, as a cluster, and behind a sentinel.
func TestKindsOfRedis(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(*testing.T) string{
		"TLS, a user, a database": startTLS, "a socket": startSocket, "a cluster": startCluster, "a sentinel": startWatched,
	}
	for _, server := range harness.RedisServers()[1:] {
		kinds[strings.ReplaceAll(server, "/", "_")] = func(t *testing.T) string { return startServer(t, server).URL(0) }
	}
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := dial.Open(within(t), start(t))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, client.Close()) })
			open := oneByOne(client)
			t.Run("store", func(t *testing.T) { statetest.Run(t, open) })
			t.Run("queue", func(t *testing.T) { queuetest.Run(t, open) })
		})
	}
}

// oneByOne gives each test the whole of a Redis, one after the other.
func oneByOne(client redis.UniversalClient) func(*testing.T) statetest.Harness {
	var alone sync.Mutex
	return func(t *testing.T) statetest.Harness {
		alone.Lock()
		t.Cleanup(alone.Unlock)
		if cluster, ok := client.(*redis.ClusterClient); ok {
			require.NoError(t, cluster.ForEachMaster(t.Context(), func(ctx context.Context, master *redis.Client) error {
				return master.FlushAll(ctx).Err()
			}))
		} else {
			require.NoError(t, client.FlushDB(t.Context()).Err())
		}
		return suite{openOn(t, client, engine.Limits{})}
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func startServer(t *testing.T, binary string, more ...string) *harness.Redis {
	server, err := harness.StartRedisServer(within(t), binary, more...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// startTLS has a user with no more rights than docs/compatibility.md says, and
// FLUSHDB.
func startTLS(t *testing.T) string {
	files, err := harness.MakeCertificates(t.TempDir())
	require.NoError(t, err)
	port, err := harness.FreePort()
	require.NoError(t, err)
	startServer(t, "", "--tls-port", strconv.Itoa(port),
		"--tls-cert-file", files.Certificate, "--tls-key-file", files.Key, "--tls-ca-cert-file", files.Certificate,
		"--user", "jetstep", "on", ">p@ss", "~{*", "+@all", "-@admin", "-@dangerous", "+info", "+flushdb",
		"--user", "default", "on", "nopass", "-@all", "+ping", "+info", "+quit")
	return "rediss://jetstep:" + url.QueryEscape("p@ss") + "@" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) +
		"/3?tls_ca_file=" + files.Certificate + "&tls_cert_file=" + files.Certificate + "&tls_key_file=" + files.Key
}

func startSocket(t *testing.T) string {
	socket := filepath.Join(t.TempDir(), "s")
	startServer(t, "", "--unixsocket", socket)
	return "unix://" + socket
}

func startCluster(t *testing.T) string {
	c, err := harness.StartRedisCluster(within(t), 3)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c.URL()
}

func startWatched(t *testing.T) string {
	w, err := harness.StartWatched(within(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w.URL()
}

// TestFailover: the master dies while a job is executed; the replica goes on with
// everything.
func TestFailover(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	w, err := harness.StartWatched(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	client, err := dial.Open(ctx, w.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	s := openOn(t, client, engine.Limits{})
	first, second := s.begin(), s.begin()
	lease := s.lease(queue.LaneCall)
	require.Equal(t, first, lease.RunID)
	require.NoError(t, w.Fail(ctx))
	_, err = harness.Await(ctx, "the new master", func(ctx context.Context) (struct{}, error) {
		_, err := s.Load(ctx, first)
		return struct{}{}, err
	})
	require.NoError(t, err)
	s.finish(lease)
	next := s.lease(queue.LaneCall)
	require.Equal(t, second, next.RunID)
	s.finish(next)
	require.Len(t, s.ended, 2)
}
