package partition

import (
	"container/heap"

	"jetstep/state"
)

// deadlines are when the debounces and batches of a partition are due: each
// once, whatever puts it off. mu of the owner guards it.
type deadlines struct {
	heap dueHeap
	at   map[state.GateKey]*deadline
}

type deadline struct {
	key state.GateKey
	due int64 // milliseconds
	pos int   // in the heap
}

// set makes a key due at that time; first tells that no other is due earlier.
func (d *deadlines) set(key state.GateKey, due int64) (first bool) {
	found := d.at[key]
	if found == nil {
		if d.at == nil {
			d.at = map[state.GateKey]*deadline{}
		}
		found = &deadline{key: key, due: due}
		d.at[key] = found
		heap.Push(&d.heap, found)
	} else {
		found.due = due
		heap.Fix(&d.heap, found.pos)
	}
	return found.pos == 0
}

func (d *deadlines) remove(key state.GateKey) {
	if found := d.at[key]; found != nil {
		heap.Remove(&d.heap, found.pos)
		delete(d.at, key)
	}
}

// next is the key that is due first; ok is false when there is none.
func (d *deadlines) next() (key state.GateKey, due int64, ok bool) {
	if len(d.heap) == 0 {
		return key, 0, false
	}
	return d.heap[0].key, d.heap[0].due, true
}

// load finds all deadlines in the index.
func (d *deadlines) load(x *state.Index) {
	for debounce := range x.Debounces() {
		d.set(debounce.Key, debounce.Due)
	}
	for batch := range x.Batches() {
		d.set(batch.Key, batch.Due)
	}
}

// follow keeps the deadlines in step with a fact.
func (d *deadlines) follow(op state.Op) (first bool) {
	switch op := op.(type) {
	case *state.DebouncePut:
		return d.set(op.Debounce.Key, op.Debounce.Due)
	case *state.BatchPut:
		return d.set(op.Batch.Key, op.Batch.Due)
	case *state.DebounceRemoved:
		d.remove(op.Key)
	case *state.BatchRemoved:
		d.remove(op.Key)
	}
	return false
}

// deadlinesAtOnce bounds how many are served under one hold of the lock.
const deadlinesAtOnce = 256

// whenFull is how long an owner waits, in ms, whose log is behind.
const whenFull = 5

// fireDeadlines starts the runs of debounces and batches that are due, each as
// one record, and returns when the next is due (0 = none).
func (o *Owner) fireDeadlines(now int64) (next int64) {
	for range deadlinesAtOnce {
		key, due, ok := o.deadlines.next()
		switch {
		case !ok:
			return 0
		case due > now:
			return due
		case o.writer.full():
			return now + whenFull
		}
		t := o.begin()
		t.fire(key)
		t.commit(nil)
		if t.err != nil {
			return 0 // the owner fails
		}
	}
	return now
}

// fire starts the run of a debounce or batch.
func (t *tx) fire(key state.GateKey) {
	if debounce, ok := t.o.index.Debounce(key); ok {
		t.endDebounce(debounce)
	} else if batch, ok := t.o.index.Batch(key); ok {
		t.endBatch(batch)
	}
}

// dueHeap has what is due first on top.
type dueHeap []*deadline

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *dueHeap) Push(v any) {
	d := v.(*deadline)
	d.pos = len(*h)
	*h = append(*h, d)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return d
}
