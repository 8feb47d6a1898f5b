package ingest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
)

// startNATS runs a server without a port and returns a way to connect.
func startNATS(t *testing.T) (connect func() *nats.Conn) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	srv.Start()
	require.True(t, srv.ReadyForConnections(10*time.Second))
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	return func() *nats.Conn {
		nc, err := nats.Connect("", nats.InProcessServer(srv))
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
}

func request(t *testing.T, nc *nats.Conn, subject, body string, header nats.Header) string {
	t.Helper()
	reply, err := nc.RequestMsg(&nats.Msg{Subject: subject, Data: []byte(body), Header: header}, 10*time.Second)
	require.NoError(t, err)
	return string(reply.Data)
}

func TestServeNATS(t *testing.T) {
	t.Parallel()
	connect := startNATS(t)
	published := &store{}
	in := newIngester(t, Config{Publisher: published, Keys: OnlyKeys("key", "a.b c")})
	stop, err := in.ServeNATS(connect())
	require.NoError(t, err)
	defer stop()

	client := connect()
	const one, refused = `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS"],"status":200}`, `{"status":401,"message":"","error":"Event key not found"}`
	seeded := nats.Header{HeaderSeed: {seed}}
	require.Equal(t, one, request(t, client, "jetstep.ingest.key", `{"name":"a"}`, seeded))
	require.Equal(t, one, request(t, client, "jetstep.ingest."+bus.EscapeSubject("a.b c"), `[{"name":"b"}]`, seeded))
	require.Equal(t, one, request(t, client, "jetstep.ingest", `{"name":"c"}`, nats.Header{HeaderSeed: {seed}, HeaderKey: {"key"}}))
	require.Len(t, published.events, 3)

	require.Equal(t, refused, request(t, client, "jetstep.ingest.wrong", `{"name":"a"}`, seeded))
	require.Equal(t, refused, request(t, client, "jetstep.ingest.%zz", `{"name":"a"}`, seeded))
	require.Equal(t, `{"status":401,"message":"","error":"Event key is required"}`, request(t, client, "jetstep.ingest", `{"name":"a"}`, seeded))
	require.Equal(t, `{"ids":[""],"status":400,"error":"event name is empty"}`, request(t, client, "jetstep.ingest.key", `{}`, seeded))
	require.Len(t, published.events, 3)
}

func TestServersShareTheWorkAndStopCleanly(t *testing.T) {
	t.Parallel()
	connect := startNATS(t)
	published := &store{}
	var stops []func()
	for range 2 {
		stop, err := newIngester(t, Config{Publisher: published}).ServeNATS(connect())
		require.NoError(t, err)
		stops = append(stops, stop)
	}
	client := connect()
	for i := range 500 { // nobody waits for the answers
		require.NoError(t, client.Publish("jetstep.ingest.key", fmt.Appendf(nil, `{"name":"a","id":"%d"}`, i)))
	}
	require.NoError(t, client.Flush())
	for _, stop := range stops {
		stop()
	}
	require.Len(t, published.events, 500, "each one once, and none lost at the end")
	_, err := client.Request("jetstep.ingest.key", []byte(`{"name":"a"}`), 10*time.Second)
	require.ErrorIs(t, err, nats.ErrNoResponders)
}

// slowStore lets requests in only when told.
type slowStore struct {
	store
	entered sync.WaitGroup
	release chan struct{}
}

func (s *slowStore) Publish(ctx context.Context, events []*bus.Event) error {
	s.entered.Done()
	<-s.release
	return s.store.Publish(ctx, events)
}

func TestRequestsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	connect := startNATS(t)
	slow := &slowStore{release: make(chan struct{})}
	stop, err := newIngester(t, Config{Publisher: slow}).ServeNATS(connect())
	require.NoError(t, err)
	client := connect()
	const n = 10
	slow.entered.Add(n)
	for range n {
		require.NoError(t, client.Publish("jetstep.ingest.key", []byte(`{"name":"a"}`)))
	}
	slow.entered.Wait() // hangs if they come one after the other
	close(slow.release)
	stop()
	require.Len(t, slow.events, n)
}

func TestServeNATSWithoutConnection(t *testing.T) {
	t.Parallel()
	nc := startNATS(t)()
	nc.Close()
	_, err := newIngester(t, Config{Publisher: &store{}}).ServeNATS(nc)
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
}
