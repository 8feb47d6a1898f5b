package partition

import (
	"jetstep/queue/heap"
	"jetstep/state"
)

// deadlines are when the debounces and batches of a partition are due: each
// once, whatever puts it off. mu of the owner guards it.
type deadlines struct {
	heap heap.Heap[*deadline]
	at   map[state.GateKey]*deadline
}

type deadline struct {
	key state.GateKey
	due int64 // milliseconds
	pos int   // in the heap
}

// Before implements heap.Element.
func (d *deadline) Before(e *deadline) bool { return d.due < e.due }

// At implements heap.Element.
func (d *deadline) At(i int) { d.pos = i }

// set makes a key due at that time.
func (d *deadlines) set(key state.GateKey, due int64) {
	found := d.at[key]
	if found == nil {
		if d.at == nil {
			d.at = map[state.GateKey]*deadline{}
		}
		found = &deadline{key: key, due: due}
		d.at[key] = found
		d.heap.Push(found)
	} else {
		found.due = due
		d.heap.Fix(found.pos)
	}
}

func (d *deadlines) remove(key state.GateKey) {
	if found := d.at[key]; found != nil {
		d.heap.Remove(found.pos)
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

// followDeadlines keeps them in step with a fact.
func (o *Owner) followDeadlines(op state.Op) {
	switch op := op.(type) {
	case *state.DebouncePut:
		o.deadlines.set(op.Debounce.Key, op.Debounce.Due)
		o.wakeBy(op.Debounce.Due)
	case *state.BatchPut:
		o.deadlines.set(op.Batch.Key, op.Batch.Due)
		o.wakeBy(op.Batch.Due)
	case *state.DebounceRemoved:
		o.deadlines.remove(op.Key)
	case *state.BatchRemoved:
		o.deadlines.remove(op.Key)
	}
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
