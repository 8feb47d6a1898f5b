package queue

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// Ready is the line of due jobs, fair between functions: each function's jobs
// wait in order, and functions take turns, so that a function with a deep
// backlog does not delay another's next job.
type Ready[T any] struct {
	mu     sync.Mutex
	wake   *sync.Cond
	lines  map[uuid.UUID]*line[T]
	turns  []*line[T] // functions with waiting jobs, in turn order
	next   int        // first used element of turns
	length int
	closed bool
}

// line is one function's waiting jobs, a queue in a slice.
type line[T any] struct {
	function uuid.UUID
	jobs     []T
	next     int
}

// NewReady makes an empty line.
func NewReady[T any]() *Ready[T] {
	r := &Ready[T]{lines: map[uuid.UUID]*line[T]{}}
	r.wake = sync.NewCond(&r.mu)
	return r
}

// Push adds a due job of a function.
func (r *Ready[T]) Push(function uuid.UUID, job T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[function]
	if l == nil {
		l = &line[T]{function: function}
		r.lines[function] = l
	}
	if l.next == len(l.jobs) {
		r.turns = append(r.turns, l)
	}
	l.jobs = append(l.jobs, job)
	r.length++
	r.wake.Signal()
}

// Pop takes the next job out; it blocks until there is one. The error is
// ErrClosed once the line is closed, or the cause of the end of ctx.
func (r *Ready[T]) Pop(ctx context.Context) (job T, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.await(ctx); err != nil {
		return job, err
	}
	l := r.takeTurn()
	job = l.jobs[l.next]
	var zero T
	l.jobs[l.next] = zero
	l.next++
	r.length--
	if l.next < len(l.jobs) {
		r.turns = append(r.turns, l)
		l.shrink()
	} else {
		delete(r.lines, l.function)
	}
	return job, nil
}

// await blocks until a job is there. mu is held.
func (r *Ready[T]) await(ctx context.Context) error {
	watched := false
	for r.length == 0 && !r.closed && ctx.Err() == nil {
		if !watched {
			watched = true
			defer context.AfterFunc(ctx, r.look)()
		}
		r.wake.Wait()
	}
	if r.closed {
		return ErrClosed
	}
	if ctx.Err() != nil {
		r.wake.Signal() // it may have been meant for someone who still waits
		return context.Cause(ctx)
	}
	return nil
}

// look makes everyone who waits look again.
func (r *Ready[T]) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake.Broadcast()
}

func (r *Ready[T]) takeTurn() *line[T] {
	l := r.turns[r.next]
	r.turns[r.next] = nil
	r.next++
	if r.next > 64 && r.next*2 > len(r.turns) {
		r.turns = append(r.turns[:0], r.turns[r.next:]...)
		r.next = 0
	}
	return l
}

// shrink gives the room of taken jobs back once it is the larger part.
func (l *line[T]) shrink() {
	if l.next > 64 && l.next*2 > len(l.jobs) {
		l.jobs = append(l.jobs[:0], l.jobs[l.next:]...)
		l.next = 0
	}
}

// Len is the number of waiting jobs.
func (r *Ready[T]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.length
}

// Close wakes everyone who waits; what is in the line stays unclaimed.
func (r *Ready[T]) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.wake.Broadcast()
}
