package crash_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/tests/harness"
)

// flowTrial is a trial of functions with flow control.
type flowTrial struct {
	seed       uint64
	kills      int
	victims    []victim // in turn
	partitions int
	pad        int  // bytes added to each event
	compacts   bool // so much is stored that a log is compacted
}

// flowSite is a site whose events are those of functions with flow control.
type flowSite struct {
	*site
	flow  *flowLedger
	lanes []*lane
}

func newFlowSite(t *testing.T, seed uint64, pad int, c siteConfig) *flowSite {
	s := &flowSite{site: newSite(t, c), lanes: newLanes(seed, pad)}
	s.flow = newFlowLedger(s.ledger)
	return s
}

// TestFlowServerKilled kills the server, also while it starts, while limits
// are reached, batches are collected, debounces and timeouts run.
func TestFlowServerKilled(t *testing.T) {
	t.Parallel()
	for _, c := range flowsInFull([]flowTrial{
		{seed: 61, kills: 12, partitions: 3},
		{seed: 62, kills: 12, partitions: 1, pad: 8 << 10, compacts: true},
	}) {
		c.victims = []victim{theServer}
		t.Run(fmt.Sprintf("seed %d", c.seed), func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// TestFlowBothKilled kills the server, the app, and both.
func TestFlowBothKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("one trial is enough")
	}
	t.Parallel()
	flowTrial{seed: 71, kills: 9, partitions: 4, victims: []victim{theApp, theServer, both}}.run(t)
}

// TestFlowTwoServers runs two servers on one NATS. The one that serves more is
// killed, or frozen until the other has taken over, or both are killed: another
// owner goes on with what the limits count.
func TestFlowTwoServers(t *testing.T) {
	if testing.Short() {
		t.Skip("one trial is enough")
	}
	t.Parallel()
	ways := []func(*flowSite){(*flowSite).killBusier, (*flowSite).killServers, (*flowSite).freezeBusier, (*flowSite).killServers}
	nats := startNATS(t)
	url := []string{"--nats-url", nats}
	s := newFlowSite(t, 81, 0, siteConfig{servers: [][]string{url, url}, partitions: 6})
	rng := rand.New(rand.NewPCG(81, *seedOffset))
	const each = 3
	events := s.start(each * len(ways))
	for _, take := range ways {
		for range each {
			events.round()
			pause(s.site, time.Duration(rng.Int64N(int64(time.Second))))
		}
		s.away(take)
	}
	require.NoError(t, events.wait())
	s.sendLast()
	s.away((*flowSite).killBusier)
	s.finish()
	s.auditLogs(bus.Config{URLs: []string{nats}})
}

// away takes servers away for a while, and tells the ledger.
func (s *flowSite) away(take func(*flowSite)) {
	began := time.Now()
	take(s)
	s.flow.outages = append(s.flow.outages, span{began, time.Now()})
}

func (s *flowSite) killServers() { s.killBoth() }

func (s *flowSite) killBusier() {
	s.takenOver(s.busier(), s.killServer, func(i int) { require.NoError(s.t, s.servers[i].Restart(s.ctx)) })
}

func (s *flowSite) freezeBusier() {
	frozen := time.Now()
	s.takenOver(s.busier(), s.freeze, func(i int) {
		require.NoError(s.t, s.flow.takenOver(frozen))
		s.thaw(i)
	})
}

// flowsInFull is all trials, or with -short the first, made small.
func flowsInFull(trials []flowTrial) []flowTrial {
	if testing.Short() {
		trials[0].kills = 3
		return trials[:1]
	}
	return trials
}

func (c flowTrial) run(t *testing.T) {
	config := siteConfig{servers: [][]string{nil}, partitions: c.partitions, childApp: trial{victims: c.victims}.needsChildApp()}
	s := newFlowSite(t, c.seed, c.pad, config)
	rng := rand.New(rand.NewPCG(c.seed, *seedOffset))
	events := s.start(c.kills)
	for round := range c.kills {
		events.round()
		pause(s.site, time.Duration(rng.Int64N(int64(time.Second))))
		s.killAny(rng, c.victims[round%len(c.victims)])
	}
	require.NoError(t, events.wait())
	s.sendLast()
	s.killAny(rng, theServer)
	s.finish()
	require.Equal(t, c.compacts, s.autopsy(), "compaction")
	if !c.compacts {
		s.auditLogs(bus.Config{StoreDir: s.storeDir(0)})
	}
}

// finish waits until all is done, shows that all limits can be reached once
// more, and wants nothing to be wrong.
func (s *flowSite) finish() {
	s.t.Helper()
	s.awaitFlows()
	pause(s.site, rateEmission) // then no event need be dropped for those before
	s.fillLimits()
	s.awaitFlows()
	wrong := s.flow.wholeVerdict()
	require.Empty(s.t, wrong, atMost(20, wrong))
	s.logFlows()
	s.stop()
}

func (s *flowSite) awaitFlows() {
	s.t.Helper()
	s.awaitDone(s.flow.catchUp, s.flow.pending)
}

// sendLast sends events and waits until they were looked at. When the server
// is killed now, no later event reminds its successor of what waits.
func (s *flowSite) sendLast() {
	s.t.Helper()
	s.sendEach(1, noMeeting)
	s.await(trialTimeout, "events to be looked at", func(context.Context) error {
		if err := s.flow.catchUp(); err != nil {
			return harness.Permanent(err)
		}
		if unseen := s.flow.unseen(); len(unseen) > 0 {
			return errors.New(atMost(5, unseen))
		}
		return nil
	})
}

// fillLimits sends events of which as many have to be executed at the same
// time as the limits allow, so that none can be smaller than it was.
func (s *flowSite) fillLimits() {
	s.t.Helper()
	s.sendEach(2*max(keyLimit, allLimit, batchSize), meetingOf)
}

// killAny kills a victim and starts it again.
func (s *flowSite) killAny(rng *rand.Rand, v victim) {
	away := span{from: time.Now()}
	if v != theServer {
		s.killApp()
	}
	if v != theApp {
		s.killServer(0)
		for rng.IntN(3) == 0 {
			require.NoError(s.t, s.flow.successor())
			s.killStarting(0, time.Duration(rng.Int64N(int64(400*time.Millisecond))))
		}
		require.NoError(s.t, s.flow.successor())
		s.restartServer(0)
	}
	if v != theServer {
		pause(s.site, time.Duration(rng.Int64N(int64(300*time.Millisecond))))
		s.restartApp()
	}
	away.to = time.Now()
	if v != theServer {
		away.to = farAway // calls that failed are made again after their back-off
	}
	s.flow.outages = append(s.flow.outages, away)
}

// farAway is after all trials.
var farAway = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// logFlows says what happened.
func (s *flowSite) logFlows() {
	runs, cancelled := map[string]int{}, map[string]int{}
	for _, r := range s.flow.lives {
		if runs[r.function]++; r.status == "Cancelled" {
			cancelled[r.function]++
		}
	}
	s.t.Logf("%d kills, %d events accepted (%d requests sent again), runs %v, of them cancelled %v, most calls at the same time %v, %d step bodies repeated, recovery %s",
		s.kills, len(s.flow.sent), s.sender.again.Load(), runs, cancelled, s.flow.most, s.ledger.repeated, spread(s.recoveries))
}
