// Package queuetest is the conformance suite of queue.Queue: how due work is
// handed out, whatever keeps the jobs.
//
// It knows an implementation only through the contracts in state and queue and
// a statetest.Harness, and uses real time. It must not know how jobs are
// stored, nor does it expect more precision of timers than a queue's users do.
package queuetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/queue"
	"jetstep/state"
	"jetstep/state/statetest"
)

// Run runs the suite. open makes a harness of its own for each test and cleans
// up when that test ends.
func Run(t *testing.T, open func(t *testing.T) statetest.Harness) {
	for name, test := range map[string]func(*suite){
		"one lease at a time":                     oneLease,
		"a released job is due again":             release,
		"a job that is released late":             lateRelease,
		"sleeping jobs come when they are due":    dueOrder,
		"a retry comes when it is due":            retryDue,
		"lanes":                                   lanes,
		"a planned step comes before what is due": plannedFirst,
		"jobs of ended runs are dropped":          droppedJobs,
		"a lease ends with its context":           leaseContext,
		"a closed queue":                          closed,
		"the lease of a run that has ended":       endedRun,
		"first calls":                             firstCalls,
		"many workers":                            manyWorkers,
		"a deep backlog of one run":               backlog,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&suite{T: t, Harness: open(t)})
		})
	}
}

// suite is one test with its harness.
type suite struct {
	*testing.T
	statetest.Harness
}

const patience = 20 * time.Second

func (s *suite) lease(lane queue.Lane) queue.Lease {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	lease, err := s.Lease(ctx, lane)
	require.NoError(s, err, "no job in time")
	return lease
}

func (s *suite) begin() queue.Lease {
	s.Helper()
	id := s.Start(s.T, json.RawMessage(`{}`))
	lease := s.lease(queue.LaneCall)
	require.Equal(s, id, lease.RunID, "something else is due")
	return lease
}

func (s *suite) commit(t *state.Transition) {
	s.Helper()
	require.NoError(s, s.Commit(s.Context(), t))
}

func (s *suite) finish(lease queue.Lease) {
	s.Helper()
	t := outcome(lease)
	t.Finish = &state.Finish{Status: state.Completed}
	s.commit(t)
}

func outcome(lease queue.Lease) *state.Transition {
	return &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Mark: lease.Mark,
	}
}

func now() int64 { return time.Now().UnixMilli() }

func edge(id string) state.Job {
	return state.Job{ID: id, Kind: state.JobEdge, Due: now(), MaxAttempts: 5, Step: id}
}

func sleep(id string, due int64) state.Job {
	return state.Job{ID: id, Kind: state.JobSleep, Due: due, MaxAttempts: 5, Step: id}
}

// oneLease: while a job is leased nobody else gets it, and it is dispatched
// the first time with attempt and generation 0.
func oneLease(s *suite) {
	first := s.begin()
	require.Zero(s, first.Job.Attempt)
	require.Zero(s, first.Job.Generation)
	second := s.begin()
	require.NotEqual(s, first.Job.ID, second.Job.ID)
	s.finish(first)
	s.finish(second)
}

func release(s *suite) {
	first := s.begin()
	s.Release(first)
	again := s.lease(queue.LaneCall)
	require.Equal(s, first.Job, again.Job, "it was not executed: neither attempt nor generation count")
	require.Equal(s, first.RunID, again.RunID)
	s.finish(again)
}

// lateRelease: a lease that has ended is not given back.
func lateRelease(s *suite) {
	first := s.begin()
	s.Release(first)
	second := s.lease(queue.LaneCall)
	s.Release(first)
	third := s.begin()
	require.NotEqual(s, second.RunID, third.RunID, "the job is still leased")
	s.finish(second)
	s.Release(second)
	fourth := s.begin()
	require.NotEqual(s, second.RunID, fourth.RunID)
}

func dueOrder(s *suite) {
	lease := s.begin()
	t := outcome(lease)
	start := now()
	delays := []int64{180, 60, 120, 0, 240, 20}
	for i, delay := range delays {
		t.Jobs = append(t.Jobs, sleep(fmt.Sprint("z", i), start+delay))
	}
	s.commit(t)
	last := int64(0)
	for range delays {
		lease := s.lease(queue.LaneWake)
		require.GreaterOrEqual(s, now(), lease.Job.Due, "too early")
		require.GreaterOrEqual(s, lease.Job.Due, last, "out of order")
		last = lease.Job.Due
	}
	require.Equal(s, start+240, last)
}

func retryDue(s *suite) {
	lease := s.begin()
	for attempt := 1; attempt <= 3; attempt++ {
		t := outcome(lease)
		due := now() + 40
		t.Then, t.RetryAt = state.JobRetry, due
		s.commit(t)
		want := lease.Job
		lease = s.lease(queue.LaneCall)
		require.GreaterOrEqual(s, now(), due, "too early")
		want.Attempt, want.Generation, want.Due = attempt, attempt, due
		require.Equal(s, want, lease.Job)
	}
	// In the past is now.
	t := outcome(lease)
	t.Then, t.RetryAt = state.JobRetry, 1
	s.commit(t)
	require.Equal(s, 4, s.lease(queue.LaneCall).Job.Generation)
}

// lanes: ends of sleeps and waits never queue behind calls, nor calls behind
// them.
func lanes(s *suite) {
	lease := s.begin()
	t := outcome(lease)
	t.Jobs = []state.Job{
		edge("call"), sleep("sleep", now()),
		{ID: "failed", Kind: state.JobEdgeError, Due: now(), MaxAttempts: 5},
	}
	t.Waits = []state.NewWait{{
		Wait:    state.Wait{Kind: state.WaitEvent, Step: "w", Name: "never"},
		Timeout: state.Job{ID: "pause", Kind: state.JobPause, Due: now(), MaxAttempts: 5, Step: "w"},
	}}
	s.commit(t)
	wakes := []string{s.lease(queue.LaneWake).Job.ID, s.lease(queue.LaneWake).Job.ID}
	require.ElementsMatch(s, []string{"sleep", "pause"}, wakes)
	calls := []string{s.lease(queue.LaneCall).Job.ID, s.lease(queue.LaneCall).Job.ID}
	require.ElementsMatch(s, []string{"call", "failed"}, calls)
}

// plannedFirst: what is due earlier comes first, though both are due.
func plannedFirst(s *suite) {
	lease := s.begin()
	t := outcome(lease)
	first, second := edge("first"), edge("second")
	first.Due = second.Due - 1
	t.Jobs = []state.Job{first, second}
	s.commit(t)
	require.Equal(s, "first", s.lease(queue.LaneCall).Job.ID)
	require.Equal(s, "second", s.lease(queue.LaneCall).Job.ID)
}

func droppedJobs(s *suite) {
	lease := s.begin()
	t := outcome(lease)
	t.Jobs = []state.Job{edge("a"), edge("b"), edge("c"), edge("later"), sleep("z", now()+30)}
	t.Jobs[3].Due = now() + 30
	s.commit(t)
	leased := s.lease(queue.LaneCall)
	s.finish(s.lease(queue.LaneCall))
	s.Release(leased)
	after := s.begin() // and not "c"
	t = outcome(after)
	t.Jobs = []state.Job{sleep("mine", now()+100), edge("mine too")}
	t.Jobs[1].Due = now() + 100
	s.commit(t)
	require.Equal(s, "mine", s.lease(queue.LaneWake).Job.ID, "and not z")
	require.Equal(s, "mine too", s.lease(queue.LaneCall).Job.ID, "and not later")
}

func leaseContext(s *suite) {
	ctx, cancel := context.WithCancelCause(s.Context())
	why := errors.New("the worker ends")
	ended := make(chan error, 1)
	go func() {
		_, err := s.Lease(ctx, queue.LaneCall)
		ended <- err
	}()
	cancel(why)
	select {
	case err := <-ended:
		require.ErrorIs(s, err, why)
	case <-time.After(patience):
		s.Fatal("the lease did not end")
	}
	_, err := s.Lease(ctx, queue.LaneCall)
	require.ErrorIs(s, err, why)
	s.finish(s.begin())
}

// endedRun: who holds a job of a run that ended meanwhile gives it back, and
// nothing comes of it.
func endedRun(s *suite) {
	lease := s.begin()
	t := outcome(lease)
	t.Jobs = []state.Job{edge("a"), edge("b")}
	s.commit(t)
	void := s.lease(queue.LaneCall)
	s.finish(s.lease(queue.LaneCall))
	require.ErrorIs(s, s.Commit(s.Context(), outcome(void)), state.ErrRunNotFound)
	s.Release(void)
	s.Release(void)
	s.finish(s.begin()) // and not "a" or "b"
}

// firstCalls: LaneFirst gives a call of a function none of whose calls is
// leased, and no other.
func firstCalls(s *suite) {
	first := s.Start(s.T, json.RawMessage(`{}`))
	lease := s.lease(queue.LaneFirst)
	require.Equal(s, first, lease.RunID)
	var finished atomic.Bool
	next := make(chan bool, 1)
	go func() {
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		defer cancel()
		_, err := s.Lease(ctx, queue.LaneFirst)
		next <- err == nil && finished.Load()
	}()
	s.Start(s.T, json.RawMessage(`{}`))
	finished.Store(true)
	s.finish(lease)
	require.True(s, <-next, "a second call came before the first one ended, or none did")
}

// closed: nothing is handed out any more, but what was is concluded.
func closed(s *suite) {
	lease := s.begin()
	t := outcome(lease)
	t.Jobs = []state.Job{edge("a"), edge("b")}
	s.commit(t)
	last := s.lease(queue.LaneCall)
	blocked := make(chan error, 1)
	go func() {
		_, err := s.Lease(s.Context(), queue.LaneWake)
		blocked <- err
	}()
	s.StopLeasing()
	select {
	case err := <-blocked:
		require.ErrorIs(s, err, queue.ErrClosed)
	case <-time.After(patience):
		s.Fatal("a lease outlived the queue")
	}
	_, err := s.Lease(s.Context(), queue.LaneCall)
	require.ErrorIs(s, err, queue.ErrClosed)
	s.Release(last)
	_, err = s.Lease(s.Context(), queue.LaneCall)
	require.ErrorIs(s, err, queue.ErrClosed)
	s.finish(last)
	_, err = s.Load(s.Context(), lease.RunID)
	require.ErrorIs(s, err, state.ErrRunNotFound)
}

// manyWorkers: runs come in while workers take jobs, retry, release and
// conclude them at random places. At no time have two workers the same job,
// and each run ends once.
func manyWorkers(s *suite) {
	const runs, workers = 60, 8
	var mu sync.Mutex
	busy, ended := map[string]bool{}, map[ulid.ULID]int{}
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			for turn := worker; ; turn++ {
				lease, err := s.Lease(ctx, queue.LaneCall)
				if err != nil {
					return
				}
				key := lease.RunID.String() + lease.Job.ID
				mu.Lock()
				if busy[key] {
					s.Errorf("job %s is leased twice", key)
				}
				busy[key] = true
				mu.Unlock()
				t := outcome(lease)
				end := lease.Job.Generation >= 2
				if end {
					t.Finish = &state.Finish{Status: state.Completed}
				} else {
					t.Then, t.RetryAt = state.JobRetry, now()
				}
				mu.Lock()
				busy[key] = false
				mu.Unlock()
				if turn%5 == 0 {
					s.Release(lease)
					continue
				}
				// Not with ctx: the job may be back, and the last run ended, before
				// this commit returns.
				if err := s.Commit(s.Context(), t); err != nil {
					s.Errorf("commit: %v", err)
				}
				if end {
					mu.Lock()
					ended[lease.RunID]++
					if len(ended) == runs {
						stop()
					}
					mu.Unlock()
				}
			}
		})
	}
	for range runs {
		s.Start(s.T, json.RawMessage(`{}`))
	}
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		stop()
	}
	working.Wait()
	require.Len(s, ended, runs, "runs that ended")
	for id, times := range ended {
		require.Equal(s, 1, times, "run %s", id)
	}
}

// backlog: all jobs of a run with very many come, once.
func backlog(s *suite) {
	const jobs = 500
	lease := s.begin()
	t := outcome(lease)
	for i := range jobs {
		t.Jobs = append(t.Jobs, edge(fmt.Sprint("p", i)))
	}
	s.commit(t)
	seen := map[string]bool{}
	for range jobs {
		id := s.lease(queue.LaneCall).Job.ID
		require.False(s, seen[id], "job %s came twice", id)
		seen[id] = true
	}
}
