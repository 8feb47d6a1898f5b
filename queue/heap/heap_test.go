package heap

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// element knows where it is.
type element struct{ value, at int }

func (e *element) Before(f *element) bool { return e.value < f.value }
func (e *element) At(i int)               { e.at = i }

// A heap against a list, through random changes: the least is on top, and
// every element knows its place.
func TestHeap(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var h Heap[*element]
	var all []*element
	forget := func(e *element) {
		require.Equal(t, Nowhere, e.at)
		all = slices.DeleteFunc(all, func(f *element) bool { return e == f })
	}
	for step := range 20_000 {
		grow := 5 // more is added than taken out, and then the reverse
		if step%4000 > 2000 {
			grow = 2
		}
		switch n := random.IntN(10); {
		case n < grow || len(all) == 0:
			e := &element{value: random.IntN(500)}
			all = append(all, e)
			h.Push(e)
		case n < 7:
			least := slices.MinFunc(all, func(a, b *element) int { return a.value - b.value }).value
			e := h.Pop()
			require.Equal(t, least, e.value)
			forget(e)
		case n < 8:
			e := all[random.IntN(len(all))]
			h.Remove(e.at)
			forget(e)
		case n < 9:
			e := all[random.IntN(len(all))]
			e.value = random.IntN(500)
			h.Fix(e.at)
		default:
			h = slices.DeleteFunc(h, func(e *element) bool { return e.value%50 == 0 })
			all = slices.DeleteFunc(all, func(e *element) bool { return e.value%50 == 0 })
			h.Order()
		}
		requireOrdered(t, h, len(all))
	}
}

func requireOrdered(t *testing.T, h Heap[*element], length int) {
	t.Helper()
	require.Len(t, h, length)
	for i, e := range h {
		if e.at != i || i > 0 && e.Before(h[(i-1)/2]) {
			require.Equal(t, i, e.at)
			require.False(t, e.Before(h[(i-1)/2]), "element %d is before its parent", i)
		}
	}
}

func TestHeapGivesRoomBack(t *testing.T) {
	t.Parallel()
	var h Heap[*element]
	for i := range 10_000 {
		h.Push(&element{value: i})
	}
	for len(h) > 10 {
		h.Pop()
	}
	require.LessOrEqual(t, cap(h), 256)
	for i := range 10 {
		require.Equal(t, 9990+i, h.Pop().value)
	}
}
