package crash_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
)

// takeoverTimeout is how soon another server must serve the partitions of one
// that is gone: its leases have to run out, and the logs have to be read. It
// takes little more than the former unless the machine is busy.
const takeoverTimeout = bus.LeaseTTL + 20*time.Second

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

// TestTwoServers runs two servers on one NATS. The one that serves more is
// killed, or frozen until the other has taken over, as if its machine had been
// paused; then it comes back, still believing that the partitions are its own.
// Or both are killed, and share the partitions when they are started again.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	events, rounds := 1000, 12
	if testing.Short() {
		events, rounds = 100, 3
	}
	url := []string{"--nats-url", startNATS(t)}
	s := newSite(t, siteConfig{servers: [][]string{url, url}, partitions: 6})
	rng := rand.New(rand.NewPCG(41, *seedOffset))
	batches := makeBatches(rng, scripts[work].trigger, 0, events, 0)
	var sends []<-chan error
	for round := range rounds {
		share := batches[:min(len(batches), 1+len(batches)/max(rounds-round-1, 1))]
		batches = batches[len(share):]
		sends = append(sends, s.sender.start(s.ctx, share))
		pause(s, time.Duration(rng.Int64N(int64(300*time.Millisecond))))
		switch round % 3 {
		case 0:
			s.killBoth()
		case 1:
			s.takenOver(s.busier(), s.killServer, func(i int) { require.NoError(t, s.servers[i].Restart(s.ctx)) })
		case 2:
			s.takenOver(s.busier(), s.freeze, s.thaw)
		}
	}
	for _, done := range sends {
		require.NoError(t, <-done)
	}
	s.awaitQuiet()
	s.check()
	s.stop()
}

// TestServerComesAndGoes has a server come to one that is at work, and end: each time
// the partitions are shared anew, and nothing is called twice for it.
func TestServerComesAndGoes(t *testing.T) {
	t.Parallel()
	events, rounds := 1000, 4
	if testing.Short() {
		events, rounds = 100, 2
	}
	url := []string{"--nats-url", startNATS(t)}
	s := newSite(t, siteConfig{servers: [][]string{url, url}, partitions: 6})
	batches := makeBatches(rand.New(rand.NewPCG(43, *seedOffset)), scripts[work].trigger, 0, events, 0)
	for round := range rounds {
		s.awaitShared()
		share := batches[:len(batches)/(rounds-round)]
		batches = batches[len(share):]
		sent := s.sender.start(s.ctx, share)
		goes := s.servers[round%2]
		s.stopped = goes
		require.NoError(t, goes.Stop(recoveryTimeout))
		s.wantNoDefect(goes)
		s.awaitServed()
		require.NoError(t, goes.Restart(s.ctx))
		s.stopped = nil
		s.awaitShared()
		require.NoError(t, <-sent)
	}
	s.awaitQuiet()
	s.check()
	require.Zero(t, s.ledger.repeated)
	s.stop()
}

// awaitShared waits until all servers serve equally many partitions, and are ready.
func (s *site) awaitShared() {
	s.await(recoveryTimeout, "the partitions to be shared", func(ctx context.Context) error {
		for i, server := range s.servers {
			metrics, err := readMetrics(ctx, server)
			if err != nil {
				return err
			}
			served := s.partitions - int(metrics["jetstep_partitions_unserved"])
			if served != s.partitions/len(s.servers) {
				return fmt.Errorf("server %d serves %d", i, served)
			}
			res, err := http.Get(server.URL() + "/ready")
			if err != nil {
				return err
			}
			_ = res.Body.Close() // it was not read
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("server %d is not ready: status %d", i, res.StatusCode)
			}
		}
		return nil
	})
}

// takenOver takes a server away until the other serves everything.
func (s *site) takenOver(i int, away, back func(i int)) {
	began := time.Now()
	away(i)
	s.awaitServed()
	took := time.Since(began)
	require.Less(s.t, took, takeoverTimeout)
	s.recoveries = append(s.recoveries, took)
	back(i)
}

func (s *site) freeze(i int) {
	s.frozen = s.servers[i]
	require.NoError(s.t, s.frozen.Freeze())
}

func (s *site) thaw(int) {
	require.NoError(s.t, s.frozen.Thaw())
	s.frozen = nil
	s.kills++
}

// killBoth leaves no one who serves, and starts all again at the same time.
func (s *site) killBoth() {
	began := time.Now()
	for i := range s.servers {
		s.killServer(i)
	}
	errs := make(chan error, len(s.servers))
	for _, server := range s.servers {
		go func() { errs <- server.Restart(s.ctx) }()
	}
	for range s.servers {
		require.NoError(s.t, <-errs)
	}
	s.awaitServed()
	s.recoveries = append(s.recoveries, time.Since(began))
}

// busier is the server with the most partitions.
func (s *site) busier() int {
	most, least := 0, math.Inf(1)
	for i, server := range s.servers {
		metrics, err := readMetrics(s.ctx, server)
		require.NoError(s.t, err)
		if unserved := metrics["jetstep_partitions_unserved"]; unserved < least {
			most, least = i, unserved
		}
	}
	return most
}
