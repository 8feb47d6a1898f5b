package queue

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"jetstep/queue/heap"
)

// Ready is the line of due jobs, fair between functions: each function's jobs
// wait in order of their score, and functions take turns, so that a function
// with a deep backlog does not delay another's next job. It knows which
// functions have jobs that were taken out and are not done, so that some
// workers can be kept for those that have none.
type Ready[T any] struct {
	mu     sync.Mutex
	any    *sync.Cond // for Pop
	idle   *sync.Cond // for PopIdle
	lines  map[uuid.UUID]*line[T]
	turns  turns[T] // of functions with waiting jobs
	idlers turns[T] // of those that have no job out, besides
	pushed uint64
	length int
	free   int // those who wait in Pop
	closed bool
}

// line is one function's waiting jobs.
type line[T any] struct {
	function uuid.UUID
	jobs     heap.Heap[scored[T]]
	out      int // jobs taken out and not done
	// Whether the line is among the turns, and among the idlers. It may be
	// there for no reason, which is found out when its turn comes.
	inTurns, inIdlers bool
}

// scored is a waiting job.
type scored[T any] struct {
	score int64
	seq   uint64
	job   T
}

// Before implements heap.Element.
func (s scored[T]) Before(o scored[T]) bool {
	return s.score < o.score || s.score == o.score && s.seq < o.seq
}

// At implements heap.Element.
func (scored[T]) At(int) {}

// NewReady makes an empty line.
func NewReady[T any]() *Ready[T] {
	r := &Ready[T]{lines: map[uuid.UUID]*line[T]{}}
	r.any, r.idle = sync.NewCond(&r.mu), sync.NewCond(&r.mu)
	return r
}

// Push adds a due job of a function. Of its jobs, that with the least score
// comes first, and among equals the one that was pushed first.
func (r *Ready[T]) Push(function uuid.UUID, score int64, job T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[function]
	if l == nil {
		l = &line[T]{function: function}
		r.lines[function] = l
	}
	r.pushed++
	l.jobs.Push(scored[T]{score, r.pushed, job})
	r.length++
	if !l.inTurns {
		l.inTurns = true
		r.turns.add(l)
	}
	r.any.Signal()
	r.noteIdle(l)
}

// noteIdle lets those who wait for idle functions know about one.
func (r *Ready[T]) noteIdle(l *line[T]) {
	if l.out > 0 || len(l.jobs) == 0 {
		return
	}
	if !l.inIdlers {
		l.inIdlers = true
		r.idlers.add(l)
	}
	r.idle.Signal()
}

// Pop takes the next job out; it blocks until there is one. The job counts as
// out until Done. The error is ErrClosed once the line is closed, or the cause
// of the end of ctx.
func (r *Ready[T]) Pop(ctx context.Context) (job T, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.awaitAny(ctx); err != nil {
		return job, err
	}
	for {
		l := r.turns.take()
		if len(l.jobs) == 0 {
			l.inTurns = false // its job went to a worker for idle functions
			r.dropUnused(l)
			continue
		}
		if job = r.takeOut(l); len(l.jobs) > 0 {
			r.turns.add(l)
		} else {
			l.inTurns = false
		}
		return job, nil
	}
}

// awaitAny blocks until a job is there. mu is held.
func (r *Ready[T]) awaitAny(ctx context.Context) error {
	r.free++
	defer func() { r.free-- }()
	err := r.await(ctx, r.any, func() bool { return r.length > 0 })
	if err != nil {
		r.idle.Signal() // one less who would have taken a job
	}
	return err
}

// PopIdle is Pop for the jobs of functions that have no job out. It leaves jobs
// to those who wait in Pop.
func (r *Ready[T]) PopIdle(ctx context.Context) (job T, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.await(ctx, r.idle, r.someIdle); err != nil {
		return job, err
	}
	l := r.idlers.take()
	l.inIdlers = false
	return r.takeOut(l), nil
}

// someIdle tells whether a function with waiting jobs has none out, and puts
// it first among the idlers.
func (r *Ready[T]) someIdle() bool {
	if r.length <= r.free {
		return false
	}
	for !r.idlers.empty() {
		l := r.idlers.first()
		if l.out == 0 && len(l.jobs) > 0 {
			return true
		}
		r.idlers.take()
		l.inIdlers = false
		r.dropUnused(l)
	}
	return false
}

// Done says that a job of the function that was taken out is done with.
func (r *Ready[T]) Done(function uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[function]
	if l == nil || l.out == 0 {
		return
	}
	l.out--
	r.noteIdle(l)
	r.dropUnused(l)
}

func (r *Ready[T]) takeOut(l *line[T]) T {
	job := l.jobs.Pop().job
	l.out++
	r.length--
	return job
}

// dropUnused forgets a line with nothing in it, out of it, or to come.
func (r *Ready[T]) dropUnused(l *line[T]) {
	if len(l.jobs) == 0 && l.out == 0 && !l.inTurns && !l.inIdlers {
		delete(r.lines, l.function)
	}
}

// await blocks until there is something. mu is held.
func (r *Ready[T]) await(ctx context.Context, on *sync.Cond, there func() bool) error {
	watched := false
	for !r.closed && ctx.Err() == nil && !there() {
		if !watched {
			watched = true
			defer context.AfterFunc(ctx, r.look)()
		}
		on.Wait()
	}
	if r.closed {
		return ErrClosed
	}
	if ctx.Err() != nil {
		on.Signal() // it may have been meant for someone who still waits
		return context.Cause(ctx)
	}
	return nil
}

// look makes everyone who waits look again.
func (r *Ready[T]) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.any.Broadcast()
	r.idle.Broadcast()
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
	r.any.Broadcast()
	r.idle.Broadcast()
}
