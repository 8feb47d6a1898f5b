package drain

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/oklog/ulid/v2"

	"jetstep/queue"
	"jetstep/state"
)

// Path hands out jobs, and keeps the runs that they are of.
type Path interface {
	queue.Queue
	state.Store
}

// Joint is two paths as one: here new runs are made, there others end. It is safe
// for concurrent use.
type Joint struct {
	here  Path
	lines [3]*line // of jobs from there, by lane

	mu     sync.Mutex
	there  Path                 // nil before Attach
	leased map[ulid.ULID]leased // runs with leased jobs

	empty  atomic.Bool // nothing is there any more
	ending context.Context
	end    context.CancelFunc
	pumps  sync.WaitGroup
}

// leased is where a run with leased jobs is, and how many of them there are.
type leased struct {
	path Path
	jobs int
}

var _ Path = (*Joint)(nil)

// How many jobs from there are taken out at once and handed over, by lane.
var pumps = [3]int{queue.LaneCall: 16, queue.LaneWake: 8, queue.LaneFirst: 4}

// Join takes jobs from here, and from another path as soon as there is one.
func Join(here Path) *Joint {
	j := &Joint{here: here, leased: map[ulid.ULID]leased{}}
	j.ending, j.end = context.WithCancel(context.Background())
	for lane := range j.lines {
		j.lines[lane] = newLine(queue.Lane(lane))
	}
	return j
}

// Attach begins to take jobs from there, too.
func (j *Joint) Attach(there Path) {
	j.mu.Lock()
	j.there = there
	j.mu.Unlock()
	for lane, n := range pumps {
		for range n {
			j.pumps.Go(func() { j.lines[lane].pump(j.ending, there) })
		}
	}
}

// other is the path there, nil before Attach.
func (j *Joint) other() Path {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.there
}

// Close ends what was begun. Both paths stay open.
func (j *Joint) Close() {
	j.end()
	j.pumps.Wait()
}

// SetEmpty says whether nothing is there any more: then nobody asks there.
func (j *Joint) SetEmpty(empty bool) {
	j.empty.Store(empty)
	for _, l := range j.lines {
		l.rest(empty)
	}
}

// Lease implements queue.Queue. Both paths take turns when both have jobs.
func (j *Joint) Lease(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	l := j.lines[lane]
	defer l.come()()
	if lease, ok := l.next(); ok {
		return j.note(lease, j.other()), nil
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	theirs := l.await(waiting, stop)
	lease, err := j.here.Lease(waiting, lane)
	stop()
	other, ok := <-theirs
	switch {
	case !ok && err != nil:
		return lease, err
	case !ok:
		l.tookHere()
		return j.note(lease, j.here), nil
	case err != nil:
		return j.note(other, j.other()), nil
	}
	l.tookHere()
	j.pumps.Go(func() { l.offer(j.ending, j.other(), other) }) // both came at once
	return j.note(lease, j.here), nil
}

// note remembers where the run of a leased job is.
func (j *Joint) note(lease queue.Lease, path Path) queue.Lease {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.leased[lease.RunID] = leased{path, j.leased[lease.RunID].jobs + 1}
	return lease
}

// of is where a run is that has leased jobs, nil for others.
func (j *Joint) of(run ulid.ULID) Path {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.leased[run].path
}

// forget says that a job is leased no more.
func (j *Joint) forget(run ulid.ULID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.leased[run]
	if l.jobs--; l.jobs <= 0 {
		delete(j.leased, run)
		return
	}
	j.leased[run] = l
}

// Release implements queue.Queue.
func (j *Joint) Release(lease queue.Lease) {
	path := j.of(lease.RunID)
	if path == nil {
		return // concluded already
	}
	path.Release(lease)
	j.forget(lease.RunID)
}

// Load implements state.Store.
func (j *Joint) Load(ctx context.Context, run ulid.ULID) (found *state.Run, err error) {
	err = j.Do(ctx, run, func(p state.Store) error {
		found, err = p.Load(ctx, run)
		return err
	})
	return found, err
}

// Commit implements state.Store.
func (j *Joint) Commit(ctx context.Context, t *state.Transition) error {
	err := j.Do(ctx, t.RunID, func(p state.Store) error { return p.Commit(ctx, t) })
	if err == nil && t.Job != "" {
		j.forget(t.RunID)
	}
	return err
}

// Do does something with a run where it is: where its leased jobs come from, or
// here, unless it is not here. What is done has to fail with state.ErrRunNotFound
// then.
func (j *Joint) Do(ctx context.Context, run ulid.ULID, do func(state.Store) error) error {
	if path := j.of(run); path != nil {
		return do(path)
	}
	err, there := do(j.here), j.other()
	switch {
	case err == nil || there == nil || j.empty.Load():
		return err
	case errors.Is(err, state.ErrRunNotFound):
		return do(there)
	}
	// The partition of its id, which says nothing of a run from there, may not be
	// served now.
	if _, elsewhere := there.Load(ctx, run); elsewhere != nil {
		return err
	}
	return do(there)
}
