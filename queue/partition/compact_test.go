package partition

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/state"
)

// Much is alive that is no run, such as keys of events: once a walk has shown how
// much, the log is not compacted again and again.
func TestCompactionKnowsHowMuchIsAlive(t *testing.T) {
	t.Parallel()
	s := newSiteIn(t, busConfig(t, 1), func(n *Node) { n.compactBytes = 8 << 10 })
	claim := func() {
		t.Helper()
		require.NoError(t, s.node.owner(0).do(t.Context(), func(t *tx) error {
			for range 100 {
				t.do(&state.KeyClaimed{Key: [16]byte(uuid.New()), RunID: ulid.Make(), Expires: t.now + time.Hour.Milliseconds()})
			}
			return nil
		}))
	}
	walked := func() (c compaction, due bool) {
		s.in(0, func(o *Owner) { c, due = o.compact, o.compactionDue() })
		return c, due
	}
	for range 20 {
		claim()
	}
	s.eventually(func() bool {
		s.node.owner(0).poke()
		c, due := walked()
		return c.alive > 0 && c.cut == nil && !due
	}, "one walk follows the other")
	before, _ := walked()
	s.eventually(func() bool {
		claim()
		c, _ := walked()
		return c.alive > before.alive && c.cut == nil
	}, "it is compacted when it has grown")
}
