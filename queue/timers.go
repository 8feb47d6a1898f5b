package queue

import "github.com/oklog/ulid/v2"

// Timer says that a run has a job due at that time. Which one is looked up
// then: there is a timer for every sleeping run, so that it is kept small.
type Timer struct {
	Due   int64 // milliseconds since 1970
	RunID ulid.ULID
}

// Timers is a heap of timers, the earliest on top. It is not safe for
// concurrent use. Unlike the other lines it is not a heap.Heap: there are as
// many timers as sleeping runs, and that one takes five times as long for them.
type Timers struct{ heap []Timer }

// Len is the number of timers.
func (t *Timers) Len() int { return len(t.heap) }

// Next is when the earliest timer is due; ok is false when there is none.
func (t *Timers) Next() (due int64, ok bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].Due, true
}

// Add puts a timer in.
func (t *Timers) Add(timer Timer) {
	t.heap = append(t.heap, timer)
	i := len(t.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].Due <= timer.Due {
			break
		}
		t.heap[i] = t.heap[parent]
		i = parent
	}
	t.heap[i] = timer
}

// Pop takes the earliest timer out if it is due by now.
func (t *Timers) Pop(now int64) (Timer, bool) {
	if len(t.heap) == 0 || t.heap[0].Due > now {
		return Timer{}, false
	}
	top := t.heap[0]
	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap[last] = Timer{}
	t.heap = t.heap[:last]
	if last > 0 {
		t.sink(0, moved)
	}
	return top, true
}

// sink places timer at i or below.
func (t *Timers) sink(i int, timer Timer) {
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			break
		}
		if right := child + 1; right < len(t.heap) && t.heap[right].Due < t.heap[child].Due {
			child = right
		}
		if t.heap[child].Due >= timer.Due {
			break
		}
		t.heap[i] = t.heap[child]
		i = child
	}
	t.heap[i] = timer
}

// Keep drops the timers that keep refuses: timers of jobs that are gone stay
// in the heap until someone sweeps it.
func (t *Timers) Keep(keep func(Timer) bool) {
	kept := t.heap[:0]
	for _, timer := range t.heap {
		if keep(timer) {
			kept = append(kept, timer)
		}
	}
	clear(t.heap[len(kept):])
	t.heap = kept
	for i := len(t.heap)/2 - 1; i >= 0; i-- {
		t.sink(i, t.heap[i])
	}
}
