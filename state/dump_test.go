package state

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// dump is all that an index says at a time, one op a fact in a fixed order:
// two indexes with equal dumps cannot be told apart. Claims that have ended
// are left out, since when they are dropped from memory is nobody's business.
func dump(t *testing.T, x *Index, at int64) []Op {
	t.Helper()
	var facts []Op
	walk := x.Carry()
	for {
		ops := walk.Next(1)
		if len(ops) == 0 {
			return facts
		}
		for _, op := range ops {
			if c, ok := op.(*KeyClaimed); ok && c.Expires <= at {
				continue
			}
			if c, ok := op.(*RateCharged); ok && c.Expires <= at {
				continue
			}
			// Through the codec, which tells nil from empty where it matters
			// and only there.
			op = recode(t, op)
			if put, ok := op.(*RunPut); ok {
				sortSets(&put.Run)
			}
			facts = append(facts, op)
		}
	}
}

// sortSets orders what has no order that means anything.
func sortSets(r *Run) {
	slices.Sort(r.Pending)
	slices.SortFunc(r.Jobs, func(a, b Job) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Waits, func(a, b Wait) int { return cmp.Compare(a.Step, b.Step) })
	slices.SortFunc(r.Defers, func(a, b Defer) int { return cmp.Compare(a.ID, b.ID) })
}

// requireSame compares two indexes and shows the first fact that differs.
func requireSame(t *testing.T, want, got *Index, at int64, when string) {
	t.Helper()
	w, g := dump(t, want, at), dump(t, got, at)
	for i := range min(len(w), len(g)) {
		if !reflect.DeepEqual(w[i], g[i]) {
			require.Equal(t, readable(t, w[i]), readable(t, g[i]), when)
		}
	}
	require.Len(t, g, len(w), when)
	require.Equal(t, want.RunCount(), got.RunCount(), when)
	require.Equal(t, want.Size(), got.Size(), when)
}

func readable(t *testing.T, op Op) string {
	text, err := json.Marshal(op)
	require.NoError(t, err)
	return fmt.Sprintf("%T %s", op, text)
}

// recode is what a reader makes of an op that was written.
func recode(t *testing.T, op Op) Op {
	t.Helper()
	w := coder{}
	op.code(&w)
	out := newOp(op.tag())
	require.NotNil(t, out)
	r := coder{b: w.b, reading: true}
	out.code(&r)
	require.NoError(t, r.err)
	require.Empty(t, r.b, "bytes left over")
	return out
}

// replay applies records to a new index.
func replay(records []*Record) *Index {
	x := NewIndex()
	for _, r := range records {
		x.Apply(r)
	}
	return x
}

// requireConsistent checks what must hold for any index.
func requireConsistent(t *testing.T, x *Index) {
	t.Helper()
	size, count := 0, 0
	seen := map[ulid.ULID]bool{}
	for r := range x.Runs() {
		require.False(t, seen[r.ID], "run %s is listed twice", r.ID)
		seen[r.ID] = true
		size += r.Size
		count++
	}
	require.Equal(t, size, x.Size(), "size is the sum of the runs' sizes")
	require.Equal(t, count, x.RunCount())
	for to, box := range x.Outboxes() {
		last := box.Confirmed
		for _, s := range box.Waiting {
			require.Greater(t, s.N, last, "outbox to %d is in order", to)
			last = s.N
		}
		require.Equal(t, last+1, box.Next, "outbox to %d", to)
		require.Equal(t, box.Next, x.NextSend(to))
	}
}
