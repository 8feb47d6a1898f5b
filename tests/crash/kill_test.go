package crash_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// trial is a site on which processes are killed while events come in and runs
// execute.
type trial struct {
	seed       uint64
	events     int
	kills      int
	victims    []victim // in turn
	partitions int
	pad        int // bytes added to each event
	args       []string
	compacts   bool // so much is stored that a log is compacted
}

// victim is who is killed in a round.
type victim int

const (
	theServer victim = iota
	theApp
	both
)

// fewer is the trial that is run with -short.
func (c trial) fewer() trial {
	c.events, c.kills, c.compacts = 200, 5, false
	return c
}

func (c trial) needsChildApp() bool {
	for _, v := range c.victims {
		if v != theServer {
			return true
		}
	}
	return false
}

// TestServerKilled kills the server: while it starts, soon after, while events
// come in, and while runs execute and sleep.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	for _, c := range inFull([]trial{
		{seed: 1, events: 2000, kills: 20, partitions: 4},
		{seed: 2, events: 2000, kills: 16, partitions: 1, pad: 16 << 10, compacts: true},
		{seed: 3, events: 2000, kills: 16, partitions: 7},
	}) {
		c.victims = []victim{theServer}
		t.Run(fmt.Sprintf("seed %d", c.seed), func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// patiently leaves an app that is killed again and again the time to start, also on a
// busy machine, before a call has failed as often as it may.
var patiently = []string{"--retry-interval", "4"}

// TestAppKilled kills the app.
func TestAppKilled(t *testing.T) {
	t.Parallel()
	for _, c := range inFull([]trial{{seed: 11, events: 500, kills: 30, partitions: 4, victims: []victim{theApp}, args: patiently}}) {
		c.run(t)
	}
}

// TestBothKilled kills the server, the app, and both.
func TestBothKilled(t *testing.T) {
	t.Parallel()
	for _, c := range inFull([]trial{{seed: 21, events: 600, kills: 18, partitions: 4, victims: []victim{theServer, theApp, both}, args: patiently}}) {
		c.run(t)
	}
}

// TestFsyncAlways kills a server that syncs all that it stores.
func TestFsyncAlways(t *testing.T) {
	t.Parallel()
	for _, c := range inFull([]trial{{seed: 31, events: 300, kills: 6, partitions: 2, victims: []victim{theServer}, args: []string{"--fsync", "always"}}}) {
		c.run(t)
	}
}

// inFull is all trials, or with -short the first, made small.
func inFull(trials []trial) []trial {
	if testing.Short() {
		return []trial{trials[0].fewer()}
	}
	return trials
}

// run sends the events in as many shares as there are rounds, kills a victim
// in each, and waits until all is done.
func (c trial) run(t *testing.T) {
	s := newSite(t, siteConfig{servers: [][]string{c.args}, partitions: c.partitions, childApp: c.needsChildApp()})
	rng := rand.New(rand.NewPCG(c.seed, *seedOffset))
	batches := makeBatches(rng, scripts[work].trigger, 0, c.events, c.pad)
	var sends []<-chan error
	for round := range c.kills {
		// The last rounds find only runs.
		share := batches[:min(len(batches), 1+len(batches)/max(c.kills-round-2, 1))]
		batches = batches[len(share):]
		c.awaitMoment(s, rng, func() { sends = append(sends, s.sender.start(s.ctx, share)) })
		c.kill(s, rng, c.victims[round%len(c.victims)])
	}
	for _, done := range sends {
		require.NoError(t, <-done)
	}
	s.awaitQuiet()
	s.check()
	s.stop()
	require.Equal(t, c.compacts, s.autopsy(), "compaction")
}

// awaitMoment sends events and lets some time pass. Every other time it ends
// while the first of them are on their way.
func (c trial) awaitMoment(s *site, rng *rand.Rand, send func()) {
	wait := time.Duration(rng.Int64N(int64(time.Second)))
	switch rng.IntN(4) {
	case 0:
		send()
		pause(s, wait)
	case 1:
		send()
		pause(s, wait/20)
	default:
		pause(s, wait/2)
		send()
		pause(s, wait/100)
	}
}

// kill kills the victim and starts it again.
func (c trial) kill(s *site, rng *rand.Rand, v victim) {
	if v != theServer {
		s.killApp()
	}
	if v != theApp {
		s.killServer(0)
		for rng.IntN(3) == 0 {
			s.killStarting(0, time.Duration(rng.Int64N(int64(400*time.Millisecond))))
		}
		s.restartServer(0)
	}
	if v != theServer {
		pause(s, time.Duration(rng.Int64N(int64(300*time.Millisecond)))) // the app stays away for a while
		s.restartApp()
	}
}

// pause lets the processes run: a random moment has no condition to wait for.
func pause(s *site, d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}
