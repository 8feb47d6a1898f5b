package crash_test

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
)

// takeoverTimeout is how soon another server must serve the partitions of one
// that is gone: its leases have to run out, and the logs have to be read.
const takeoverTimeout = bus.LeaseTTL + 7*time.Second

// startNATS runs a NATS server with JetStream that is no part of a jetstep.
func startNATS(t *testing.T) (url string) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		ServerName: "external", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 40,
	})
	require.NoError(t, err)
	srv.Start()
	require.True(t, srv.ReadyForConnections(recoveryTimeout))
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	return "nats://127.0.0.1:" + strconv.Itoa(srv.Addr().(*net.TCPAddr).Port)
}

// TestTwoServers runs two servers on one NATS. One of them is killed, or
// frozen until the other has taken over, as if its machine had been paused;
// then it comes back, still believing that the partitions are its own.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	events, rounds := 800, 10
	if testing.Short() {
		events, rounds = 100, 2
	}
	url := []string{"--nats-url", startNATS(t)}
	s := newSite(t, siteConfig{servers: [][]string{url, url}, partitions: 4})
	rng := rand.New(rand.NewPCG(41, *seedOffset))
	batches := makeBatches(rng, scripts[work].trigger, 0, events, 0)
	var sends []<-chan error
	for round := range rounds {
		share := batches[:min(len(batches), 1+len(batches)/max(rounds-round-1, 1))]
		batches = batches[len(share):]
		sends = append(sends, s.sender.start(s.ctx, share))
		pause(s, time.Duration(rng.Int64N(int64(300*time.Millisecond))))
		s.failOver(rng.IntN(2), round%2 == 1)
	}
	for _, done := range sends {
		require.NoError(t, <-done)
	}
	s.awaitQuiet()
	s.check()
	s.stop()
}

// failOver takes a server away until the other serves everything.
func (s *site) failOver(i int, freeze bool) {
	gone := s.servers[i]
	began := time.Now()
	if freeze {
		require.NoError(s.t, gone.Freeze())
		s.frozen = gone
	} else {
		s.killServer(i)
	}
	s.awaitServed()
	took := time.Since(began)
	require.Less(s.t, took, takeoverTimeout)
	s.recoveries = append(s.recoveries, took)
	if freeze {
		s.frozen = nil
		require.NoError(s.t, gone.Thaw())
		s.kills++
		return
	}
	require.NoError(s.t, gone.Restart(s.ctx))
}
