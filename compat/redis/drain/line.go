package drain

import (
	"context"
	"errors"
	"sync"
	"time"

	"jetstep/queue"
)

// held is how long a job from there waits for a worker in this process: then
// another one may have it. For as long, jobs are still asked for after the last
// worker came.
const held = 500 * time.Millisecond

// line hands jobs from there to workers of a lane.
type line struct {
	lane queue.Lane
	jobs chan queue.Lease

	mu      sync.Mutex
	turn    bool          // the next worker looks for a job from there first
	waiting int           // workers that are waiting
	came    time.Time     // when the last one came, or went with a job
	resting bool          // nothing is there
	changed chan struct{} // closed when one comes
}

func newLine(lane queue.Lane) *line {
	return &line{lane: lane, jobs: make(chan queue.Lease), changed: make(chan struct{})}
}

// come notes a worker that wants a job, until the function is called.
func (l *line) come() (went func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting++
	l.came = time.Now()
	if l.waiting == 1 {
		l.wake()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waiting--
		l.came = time.Now()
	}
}

// wake makes pumps look again. mu is held.
func (l *line) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// rest stops asking for jobs, or begins again.
func (l *line) rest(resting bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resting = resting
	l.wake()
}

// next is a job from there, if it is there's turn and one was taken out.
func (l *line) next() (queue.Lease, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.turn {
		return queue.Lease{}, false
	}
	select {
	case lease := <-l.jobs:
		l.turn = false
		return lease, true
	default:
		return queue.Lease{}, false
	}
}

// tookHere says that a job from here was taken: it is there's turn.
func (l *line) tookHere() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn = true
}

// await takes a job until ctx ends, and calls got when it has one. The channel has
// it then; it is closed in any case.
func (l *line) await(ctx context.Context, got func()) <-chan queue.Lease {
	theirs := make(chan queue.Lease, 1)
	go func() {
		defer close(theirs)
		select {
		case lease := <-l.jobs:
			theirs <- lease
			got()
		case <-ctx.Done():
		}
	}()
	return theirs
}

// offer hands a job to a worker, or gives it back.
func (l *line) offer(ctx context.Context, there queue.Queue, lease queue.Lease) {
	timer := time.NewTimer(held)
	defer timer.Stop()
	select {
	case l.jobs <- lease:
	case <-timer.C:
		there.Release(lease)
	case <-ctx.Done():
		there.Release(lease)
	}
}

// pump takes jobs out as long as workers want them, until ctx ends or there are no
// more.
func (l *line) pump(ctx context.Context, there queue.Queue) {
	for l.wanted(ctx) {
		asking, stop := context.WithCancel(ctx)
		go l.watch(asking, stop)
		lease, err := there.Lease(asking, l.lane)
		stop()
		switch {
		case err == nil:
			l.offer(ctx, there, lease)
		case errors.Is(err, queue.ErrClosed):
			return
		}
	}
}

// wanted waits until a worker wants a job; false when ctx has ended.
func (l *line) wanted(ctx context.Context) bool {
	for {
		l.mu.Lock()
		wanted, changed := l.demand(), l.changed
		l.mu.Unlock()
		if wanted {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// demand tells whether workers want jobs, or did just now. mu is held.
func (l *line) demand() bool {
	return !l.resting && (l.waiting > 0 || time.Since(l.came) < held)
}

// watch stops asking when no worker wants a job any more.
func (l *line) watch(asking context.Context, stop func()) {
	ticker := time.NewTicker(held / 2)
	defer ticker.Stop()
	for {
		select {
		case <-asking.Done():
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		wanted := l.demand()
		l.mu.Unlock()
		if !wanted {
			stop()
			return
		}
	}
}
