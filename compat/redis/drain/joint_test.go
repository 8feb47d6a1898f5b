package drain_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/drain"
	"jetstep/queue"
	"jetstep/state"
)

const patience = 30 * time.Second

// fakePath is a path with jobs and runs that a test puts there.
type fakePath struct {
	mu       sync.Mutex
	jobs     [3][]queue.Lease
	asking   int
	released []queue.Lease
	runs     map[ulid.ULID]*state.Run
	commits  []*state.Transition
	err      error
	closed   bool
	changed  *sync.Cond
}

func newFakePath() *fakePath {
	f := &fakePath{runs: map[ulid.ULID]*state.Run{}}
	f.changed = sync.NewCond(&f.mu)
	return f
}

func (f *fakePath) put(lane queue.Lane, lease queue.Lease) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs[lane] = append(f.jobs[lane], lease)
	f.runs[lease.RunID] = &state.Run{ID: lease.RunID}
	f.changed.Broadcast()
}

func (f *fakePath) Lease(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	defer context.AfterFunc(ctx, func() { f.mu.Lock(); f.changed.Broadcast(); f.mu.Unlock() })()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asking++
	defer func() { f.asking-- }()
	for {
		switch {
		case f.closed:
			return queue.Lease{}, queue.ErrClosed
		case ctx.Err() != nil:
			return queue.Lease{}, context.Cause(ctx)
		case len(f.jobs[lane]) > 0:
			lease := f.jobs[lane][0]
			f.jobs[lane] = f.jobs[lane][1:]
			return lease, nil
		}
		f.changed.Wait()
	}
}

func (f *fakePath) Release(lease queue.Lease) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = append(f.released, lease)
}

func (f *fakePath) Load(_ context.Context, id ulid.ULID) (*state.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	if run, ok := f.runs[id]; ok {
		return run, nil
	}
	return nil, state.ErrRunNotFound
}

func (f *fakePath) Commit(ctx context.Context, t *state.Transition) error {
	if _, err := f.Load(ctx, t.RunID); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commits = append(f.commits, t)
	return nil
}

func (f *fakePath) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.changed.Broadcast()
}

func (f *fakePath) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// seen reads something that other goroutines change.
func seen[T any](f *fakePath, of func() T) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return of()
}

func jobOf(id string) queue.Lease {
	return queue.Lease{RunID: ulid.Make(), Job: state.Job{ID: id, Kind: state.JobEdge}}
}

type joined struct {
	*testing.T
	*drain.Joint
	here, there *fakePath
}

func join(t *testing.T) *joined {
	t.Helper()
	j := &joined{T: t, here: newFakePath(), there: newFakePath()}
	j.Joint = drain.Join(j.here)
	_, err := j.Load(t.Context(), ulid.Make())
	require.ErrorIs(t, err, state.ErrRunNotFound)
	j.Attach(j.there)
	t.Cleanup(func() {
		j.here.close()
		j.there.close()
		j.Close()
	})
	return j
}

func (j *joined) lease(lane queue.Lane) queue.Lease {
	j.Helper()
	ctx, cancel := context.WithTimeout(j.Context(), patience)
	defer cancel()
	lease, err := j.Lease(ctx, lane)
	require.NoError(j, err)
	return lease
}

func concluded(lease queue.Lease) *state.Transition {
	return &state.Transition{RunID: lease.RunID, Job: lease.Job.ID}
}

// TestJointWaitsForBoth: a worker gets what comes first, from either path.
func TestJointWaitsForBoth(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(*joined) *fakePath{
		"here": func(j *joined) *fakePath { return j.here }, "there": func(j *joined) *fakePath { return j.there },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := join(t)
			for _, lane := range []queue.Lane{queue.LaneCall, queue.LaneWake, queue.LaneFirst} {
				got := make(chan queue.Lease)
				go func() { got <- j.lease(lane) }()
				require.Eventually(t, func() bool { return seen(j.here, func() int { return j.here.asking }) == 1 }, patience, time.Millisecond)
				want := jobOf("a")
				of(j).put(lane, want)
				require.Equal(t, want.RunID, (<-got).RunID)
				require.NoError(t, j.Commit(t.Context(), concluded(want)))
				require.Len(t, of(j).commits, 1)
				of(j).commits = nil
			}
		})
	}
}

// TestJointTurns: an endless backlog on one path does not starve the other.
func TestJointTurns(t *testing.T) {
	t.Parallel()
	for _, endless := range []string{"here", "there"} {
		t.Run(endless, func(t *testing.T) {
			t.Parallel()
			j := join(t)
			deep, few := j.here, j.there
			if endless == "there" {
				deep, few = few, deep
			}
			const jobs = 50
			for range jobs {
				deep.put(queue.LaneCall, jobOf("deep"))
				few.put(queue.LaneCall, jobOf("few"))
			}
			for done, end := 0, time.Now().Add(patience); done < jobs; {
				require.True(t, time.Now().Before(end), "%d of %d were executed", done, jobs)
				lease := j.lease(queue.LaneCall)
				if lease.Job.ID == "few" {
					done++
				} else {
					deep.put(queue.LaneCall, jobOf("deep"))
				}
				require.NoError(t, j.Commit(t.Context(), concluded(lease)))
			}
		})
	}
}

// TestJointKeepsNothing: a job from there goes back when no worker wants it, and is
// asked for no longer.
func TestJointKeepsNothing(t *testing.T) {
	t.Parallel()
	j := join(t)
	mine := jobOf("mine")
	j.here.put(queue.LaneCall, mine)
	require.Equal(t, mine.RunID, j.lease(queue.LaneCall).RunID)
	for n := range 40 {
		j.there.put(queue.LaneCall, jobOf(string(rune('a'+n))))
	}
	require.Eventually(t, func() bool {
		return seen(j.there, func() bool {
			return j.there.asking == 0 && len(j.there.released) > 0 || len(j.there.jobs[queue.LaneCall]) == 40
		})
	}, patience, 5*time.Millisecond)
	j.SetEmpty(true)
	j.SetEmpty(false)
	require.NotEmpty(t, j.lease(queue.LaneCall).Job.ID)
}

// TestJointPlaces: runs are found where they are, and those of leased jobs nowhere
// else.
func TestJointPlaces(t *testing.T) {
	t.Parallel()
	j := join(t)
	ctx := t.Context()
	here, there := jobOf("here"), jobOf("there")
	j.here.put(queue.LaneCall, here)
	j.there.put(queue.LaneWake, there)
	for _, lease := range []queue.Lease{here, there} {
		run, err := j.Load(ctx, lease.RunID)
		require.NoError(t, err)
		require.Equal(t, lease.RunID, run.ID)
	}
	_, err := j.Load(ctx, ulid.Make())
	require.ErrorIs(t, err, state.ErrRunNotFound)

	away, notOwner := errors.New("away"), errors.New("not owner")
	j.here.fail(notOwner)
	_, err = j.Load(ctx, there.RunID)
	require.NoError(t, err, "though its id names a partition that is not served")
	_, err = j.Load(ctx, here.RunID)
	require.ErrorIs(t, err, notOwner)
	j.here.fail(nil)
	j.there.fail(away)
	_, err = j.Load(ctx, ulid.Make())
	require.ErrorIs(t, err, away, "it may be there")
	require.Equal(t, here.RunID, j.lease(queue.LaneCall).RunID)
	delete(j.here.runs, here.RunID)
	_, err = j.Load(ctx, here.RunID)
	require.ErrorIs(t, err, state.ErrRunNotFound, "where its job is from is known")
	j.Release(here)
	require.Len(t, j.here.released, 1)
	j.Release(here) // late
	require.Len(t, j.here.released, 1)
	j.SetEmpty(true)
	_, err = j.Load(ctx, ulid.Make())
	require.ErrorIs(t, err, state.ErrRunNotFound, "nothing is there any more")
	j.SetEmpty(false)
	j.there.fail(nil)
	require.Equal(t, there.RunID, j.lease(queue.LaneWake).RunID)
	again := there
	again.Job.ID = "second"
	j.there.put(queue.LaneWake, again)
	require.Equal(t, "second", j.lease(queue.LaneWake).Job.ID)
	require.NoError(t, j.Commit(ctx, concluded(there)))
	j.here.fail(notOwner)
	require.NoError(t, j.Commit(ctx, concluded(again)), "it has another job there")
	require.NoError(t, j.Commit(ctx, &state.Transition{RunID: there.RunID}))
	require.Len(t, j.there.commits, 3)
}

// TestJointCloses: workers end with the first path, as they do on their own.
func TestJointCloses(t *testing.T) {
	t.Parallel()
	j := join(t)
	j.here.close()
	_, err := j.Lease(t.Context(), queue.LaneCall)
	require.ErrorIs(t, err, queue.ErrClosed)
	j = join(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = j.Lease(ctx, queue.LaneCall)
	require.ErrorIs(t, err, context.Canceled)
}
