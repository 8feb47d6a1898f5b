package partition

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The log is not purged beyond what the history has read of it, which delays
// compaction and repeats nothing of it.
func TestTheLogIsKeptForTheHistory(t *testing.T) {
	t.Parallel()
	var projected, told atomic.Uint64
	s := newSiteIn(t, busConfig(t, 1), func(n *Node) {
		n.log = slog.New(counting{slog.DiscardHandler, "log is kept for the history, which is behind", &told})
		n.compactBytes = 8 << 10
		n.projected = func(int) uint64 { return projected.Load() }
	})
	grow := func() {
		for range 16 {
			s.commit(complete(s.begin("begin"), `"some output"`))
		}
		s.delivered()
	}
	compacting := func() (c compaction) {
		s.advance(2 * purgePause * time.Millisecond) // whoever paused tries again
		s.in(0, func(o *Owner) { c = o.compact })
		return c
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for rounds := 0; !done(); rounds++ {
			require.Less(t, rounds, 100, what)
			grow()
		}
	}
	s.populate(16)
	until("no walk ends", func() bool { c := compacting(); return c.cut != nil && c.walk == nil })
	cut := *compacting().cut
	require.Zero(t, told.Load())
	s.in(0, func(o *Owner) {
		o.compact.cut.tell = o.node.now() // its time has come
		o.purgeSome(t.Context())
		o.purgeSome(t.Context())
	})
	require.EqualValues(t, 1, told.Load())
	first, last := s.bounds()
	for range 3 {
		grow()
		require.Equal(t, cut.log, compacting().cut.log, "another walk would purge no more")
		now, end := s.bounds()
		require.Equal(t, first, now, "nothing is projected")
		require.Greater(t, end, last)
		last = end
	}

	half := first + (cut.log-first)/2
	projected.Store(half)
	s.eventually(func() bool { compacting(); now, _ := s.bounds(); return now == half+1 })
	want := s.images()
	s.replaceOwner(0)
	requireImages(t, want, s.images())

	// The new owner has to compact again, but not before the history is there.
	grow()
	require.Nil(t, compacting().cut)
	_, last = s.bounds()
	projected.Store(last)
	until("the new owner does not compact", func() bool { compacting(); now, _ := s.bounds(); return now > half+1 })
	now, _ := s.bounds()
	require.LessOrEqual(t, now, last+1)
	want = s.images()
	s.restart()
	requireImages(t, want, s.images())
}

// However the history falls behind and catches up, and owners change: what it
// has not read stays, and the log says the same.
func TestLogsAndHistoryAtRandom(t *testing.T) {
	t.Parallel()
	var projected atomic.Uint64
	s := newSiteIn(t, busConfig(t, 1), func(n *Node) {
		n.compactBytes = 4 << 10
		n.projected = func(int) uint64 { return projected.Load() }
	})
	rng := rand.New(rand.NewPCG(7, 7))
	purges := 0
	s.populate(8)
	for range 30 {
		switch n := rng.IntN(10); {
		case n < 5:
			for range 8 {
				s.commit(complete(s.begin("begin"), `"some output"`))
			}
		case n < 9:
			_, last := s.bounds()
			behind := last - projected.Load()
			projected.Add(behind / uint64(1+rng.IntN(3)))
		default:
			s.delivered()
			want := s.images()
			s.replaceOwner(0)
			requireImages(t, want, s.images())
		}
		before, _ := s.bounds()
		for range 3 {
			s.advance(2 * purgePause * time.Millisecond)
			s.passed()
		}
		first, _ := s.bounds()
		require.LessOrEqual(t, first, projected.Load()+1)
		if first > before {
			purges++
		}
	}
	require.Greater(t, purges, 2, "something is purged")
	s.delivered()
	want := s.images()
	s.restart()
	requireImages(t, want, s.images())
}

// bounds are the first and last sequence of the log of partition 0.
func (s *site) bounds() (first, last uint64) {
	s.t.Helper()
	log, err := s.bus.OpenLog(0)
	require.NoError(s.t, err)
	defer log.Close()
	first, last, err = log.Bounds(s.t.Context())
	require.NoError(s.t, err)
	return first, last
}

// counting counts how often a message is logged.
type counting struct {
	slog.Handler
	message string
	times   *atomic.Uint64
}

func (c counting) Enabled(context.Context, slog.Level) bool { return true }
func (c counting) WithAttrs([]slog.Attr) slog.Handler       { return c }

func (c counting) Handle(_ context.Context, r slog.Record) error {
	if r.Message == c.message {
		c.times.Add(1)
	}
	return nil
}
