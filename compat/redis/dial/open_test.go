package dial_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/dial"
	"jetstep/tests/harness"
)

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, more ...string) *harness.Redis {
	server, err := harness.StartRedis(within(t), more...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// works opens a Redis, and writes to it.
func works(t *testing.T, uri string) redis.UniversalClient {
	t.Helper()
	ctx := within(t)
	client, err := dial.Open(ctx, uri)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	for _, key := range []string{"a", "b", "c", "d"} {
		require.NoError(t, client.Set(ctx, key, "1", 0).Err())
	}
	return client
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	server := start(t, "--unixsocket", socket,
		"--user", "jetstep", "on", ">s3cret@/:", "~*", "&*", "+@all", "--user", "default", "on", "nopass", "-@all", "+ping", "+info", "+quit")
	secret := url.QueryEscape("s3cret@/:")
	works(t, "redis://jetstep:"+secret+"@"+server.Address()+"/5")
	works(t, "unix://jetstep:"+secret+"@"+socket+"?db=6")

	_, err := dial.Open(within(t), "redis://jetstep:wr0ng@"+server.Address())
	require.ErrorIs(t, err, dial.ErrUnusable)
	require.ErrorContains(t, err, "redis://"+server.Address()+"/0: this Redis cannot be used: user or password is wrong")
	require.NotContains(t, err.Error(), "wr0ng")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	files, err := harness.MakeCertificates(t.TempDir())
	require.NoError(t, err)
	port, err := harness.FreePort()
	require.NoError(t, err)
	address := "127.0.0.1:" + strconv.Itoa(port)
	start(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", files.Certificate, "--tls-key-file", files.Key,
		"--tls-ca-cert-file", files.Certificate)
	ours := "tls_ca_file=" + files.Certificate + "&tls_cert_file=" + files.Certificate + "&tls_key_file=" + files.Key
	works(t, "rediss://"+address+"?"+ours)
	works(t, "rediss://localhost:"+strconv.Itoa(port)+"/1?"+ours)
	_, err = dial.Open(within(t), "rediss://"+address+"?max_retries=0")
	require.ErrorContains(t, err, "certificate")
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c, err := harness.StartRedisCluster(within(t), 3)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.IsType(t, &redis.ClusterClient{}, works(t, c.URL()), "it is found out")
	works(t, "redis+cluster://"+c.Servers[1].Address())
	works(t, "redis://"+c.Servers[1].Address()+"?addr="+c.Servers[2].Address())
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	w, err := harness.StartWatched(within(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	works(t, w.URL())
	_, err = dial.Open(within(t), w.Replica.URL(0))
	require.ErrorContains(t, err, "it is a replica, which takes no writes")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = dial.Open(ctx, strings.Replace(w.URL(), "master_set=jetstep", "master_set=other", 1))
	require.Error(t, err)
}

// TestAwait: who waits for a Redis gets it once it is there, and hears once that it
// was not. What waiting does not help ends it.
func TestAwait(t *testing.T) {
	t.Parallel()
	server := start(t)
	require.NoError(t, server.Kill())
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	_, err := dial.Open(within(t), server.URL(0))
	require.ErrorContains(t, err, "refused")
	require.ErrorContains(t, err, server.Address())
	opened := make(chan redis.UniversalClient)
	go func() {
		client, err := dial.Await(within(t), server.URL(0), log)
		if err != nil {
			t.Error(err)
		}
		opened <- client
	}()
	require.NoError(t, server.Restart(within(t)))
	client := <-opened
	require.NoError(t, client.Ping(within(t)).Err())
	require.NoError(t, client.Close())
	require.LessOrEqual(t, strings.Count(text.String(), "waiting for it"), 1)

	_, err = dial.Await(within(t), "redis://u:wrong@"+server.Address(), log)
	require.ErrorIs(t, err, dial.ErrUnusable)
	_, err = dial.Await(within(t), "nonsense", log)
	require.Error(t, err)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.NoError(t, server.Kill())
	_, err = dial.Await(short, server.URL(0), log)
	require.Error(t, err)
}
