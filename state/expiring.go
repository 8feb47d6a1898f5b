package state

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"
)

// expiring keeps values until a time given with each. Every key is on the heap
// once, however often its end is put off.
type expiring[V any] struct {
	entries map[[16]byte]entry[V]
	ends    endHeap
}

type entry[V any] struct {
	value   V
	expires int64 // milliseconds
}

type end struct {
	key [16]byte
	at  int64
}

func newExpiring[V any]() *expiring[V] { return &expiring[V]{entries: map[[16]byte]entry[V]{}} }

// get finds what has not ended by at.
func (e *expiring[V]) get(key [16]byte, at int64) (value V, ok bool) {
	found, ok := e.entries[key]
	if !ok || found.expires <= at {
		return value, false
	}
	return found.value, true
}

// put sets a value, unless it ends by at; what has ended by at is forgotten.
func (e *expiring[V]) put(key [16]byte, value V, expires, at int64) {
	e.forget(at)
	if expires <= at {
		return
	}
	if _, known := e.entries[key]; !known {
		heap.Push(&e.ends, end{key, expires})
	}
	e.entries[key] = entry[V]{value, expires}
}

func (e *expiring[V]) forget(at int64) {
	for len(e.ends) > 0 && e.ends[0].at <= at {
		top := &e.ends[0]
		if later := e.entries[top.key].expires; later > at {
			top.at = later
			heap.Fix(&e.ends, 0)
			continue
		}
		delete(e.entries, top.key)
		heap.Pop(&e.ends)
	}
}

// keys are all keys, ordered by their values' end.
func (e *expiring[V]) keys() [][16]byte {
	keys := make([][16]byte, 0, len(e.entries))
	for key := range e.entries {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b [16]byte) int {
		return cmp.Or(cmp.Compare(e.entries[a].expires, e.entries[b].expires), bytes.Compare(a[:], b[:]))
	})
	return keys
}

// endHeap has what may end first on top.
type endHeap []end

func (h endHeap) Len() int           { return len(h) }
func (h endHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h endHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *endHeap) Push(v any)        { *h = append(*h, v.(end)) }
func (h *endHeap) Pop() any {
	last := len(*h) - 1
	v := (*h)[last]
	*h = (*h)[:last]
	return v
}
