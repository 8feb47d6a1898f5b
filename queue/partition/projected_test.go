package partition

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// The log is not purged beyond what the history has read of it, which delays
// compaction and repeats nothing of it.
func TestTheLogIsKeptForTheHistory(t *testing.T) {
	t.Parallel()
	var projected atomic.Uint64
	s := newSiteIn(t, busConfig(t, 1), func(n *Node) {
		n.compactBytes = 8 << 10
		n.projected = func(int) uint64 { return projected.Load() }
	})
	bounds := func() (first, last uint64) {
		log, err := s.bus.OpenLog(0)
		require.NoError(t, err)
		defer log.Close()
		first, last, err = log.Bounds(t.Context())
		require.NoError(t, err)
		return first, last
	}
	grow := func() {
		for range 16 {
			s.commit(complete(s.begin("begin"), `"some output"`))
		}
		s.delivered()
	}
	compacting := func() (c compaction) {
		s.advance(2 * purgePause * 1e6) // whoever paused tries again
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
	first, last := bounds()
	for range 3 {
		grow()
		require.Equal(t, cut.log, compacting().cut.log, "another walk would purge no more")
		now, end := bounds()
		require.Equal(t, first, now, "nothing is projected")
		require.Greater(t, end, last)
		last = end
	}

	half := first + (cut.log-first)/2
	projected.Store(half)
	s.eventually(func() bool { compacting(); now, _ := bounds(); return now == half+1 })
	want := s.images()
	s.replaceOwner(0)
	requireImages(t, want, s.images())

	// The new owner has to compact again, but not before the history is there.
	grow()
	require.Nil(t, compacting().cut)
	_, last = bounds()
	projected.Store(last)
	until("the new owner does not compact", func() bool { compacting(); now, _ := bounds(); return now > half+1 })
	now, _ := bounds()
	require.LessOrEqual(t, now, last+1)
	want = s.images()
	s.restart()
	requireImages(t, want, s.images())
}
