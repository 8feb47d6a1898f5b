package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

var startJob = state.Job{ID: "1w0yzca941u2b", Kind: state.JobStart, MaxAttempts: 2, Generation: 1, Attempt: 1}

// execute runs one job to its end, on fake time.
func execute(t *testing.T, r *rig, job state.Job) {
	t.Helper()
	r.Start(t.Context())
	r.queue.put(job)
	time.Sleep(time.Second) // of the bubble: longer than any pause
	synctest.Wait()
	close(r.queue.closed)
	require.NoError(t, r.Wait(t.Context()))
}

func TestExecuteCommitsWhatFollows(t *testing.T) {
	t.Parallel()
	done := &driver.Response{Kind: driver.KindDone, Output: raw(`1`)}
	for name, c := range map[string]struct {
		job    state.Job
		change func(*rig)
		call   bool
		want   func(t *testing.T, got *state.Transition)
	}{
		"a call": {startJob, nil, true, func(t *testing.T, got *state.Transition) {
			require.Equal(t, `1`, string(got.Finish.Output))
		}},
		"the end of a sleep": {state.Job{ID: "z", Kind: state.JobSleep, Step: stepZ}, nil, false, func(t *testing.T, got *state.Transition) {
			require.Equal(t, []state.Save{{Step: stepZ, Memo: raw(`null`)}}, got.Saves)
		}},
		"a timeout": {state.Job{ID: "w", Kind: state.JobPause, Step: stepW}, func(r *rig) {
			r.store.run.Waits = []state.Wait{{Kind: state.WaitEvent, Step: stepW}}
		}, false, func(t *testing.T, got *state.Transition) {
			require.Equal(t, []string{stepW}, got.Unwaits)
		}},
		"a function that is gone": {startJob, func(r *rig) { r.Functions = fakeFunctions{} }, false, func(t *testing.T, got *state.Transition) {
			require.Equal(t, failedWith("Error", "the function of this run is no longer registered"), got.Finish)
		}},
		"a run of too many steps": {startJob, func(r *rig) {
			r.store.run.Steps = make([]state.Step, 3)
			r.Limits.SetStepLimit(goldenFn, 3)
		}, false, func(t *testing.T, got *state.Transition) {
			require.Equal(t, failedWith("InngestErrFunctionOverflowed", "function has too many steps"), got.Finish)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				r := newRig(func(_ context.Context, req *driver.Request) (*driver.Response, error) { calls++; return done, nil })
				if c.change != nil {
					c.change(r)
				}
				execute(t, r, c.job)
				require.Len(t, r.store.commits, 1)
				got := r.store.commits[0]
				require.Equal(t, goldenRun, got.RunID)
				require.Equal(t, c.job.ID, got.Job)
				require.Equal(t, c.job.Kind, got.Kind)
				require.Equal(t, c.job.Generation, got.Generation)
				require.EqualValues(t, 42, got.Mark)
				c.want(t, got)
				require.Equal(t, c.call, calls == 1)
				require.Empty(t, r.queue.released)
			})
		})
	}
}

func TestExecuteFailures(t *testing.T) {
	t.Parallel()
	done := &driver.Response{Kind: driver.KindDone}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		change  func(*rig)
		commits int
	}{
		"the run has ended":             {func(r *rig) { r.store.loadErr = fmt.Errorf("x: %w", state.ErrRunNotFound) }, 0},
		"the run cannot be loaded":      {func(r *rig) { r.store.loadErr = broken }, 0},
		"the run ended during the call": {func(r *rig) { r.store.commitErr = fmt.Errorf("x: %w", state.ErrRunNotFound) }, 1},
		"the outcome cannot be stored":  {func(r *rig) { r.store.commitErr = broken }, 1},
		"the call cannot be made to an end": {func(r *rig) {
			r.SDK = &fakeSDK{func(context.Context, *driver.Request) (*driver.Response, error) { return nil, broken }}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(always(done))
				c.change(r)
				execute(t, r, startJob)
				require.Len(t, r.store.commits, c.commits)
				require.Len(t, r.queue.released, 1, "whatever happened, the lease ends")
				require.Equal(t, startJob, r.queue.released[0].Job)
			})
		})
	}
}

// A process that ends gives back what it was doing, at once.
func TestExecuteEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func(ctx context.Context, _ *driver.Request) (*driver.Response, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		ctx, cancel := context.WithCancel(t.Context())
		r.Start(ctx)
		r.queue.put(startJob)
		synctest.Wait()
		require.Equal(t, 1, r.Calls())
		waiting, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		require.ErrorContains(t, r.Wait(waiting), "1 calls still running")
		cancel()
		before := time.Now()
		require.NoError(t, r.Wait(t.Context()))
		require.Equal(t, before, time.Now())
		require.Zero(t, r.Calls())
		require.Len(t, r.queue.givenBack(), 1)
		require.Empty(t, r.store.committed())
	})
}

// An answer whose gateway requests were cut short is no answer.
func TestGatewayRequestsOfAnEndingProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := newRig(func(context.Context, *driver.Request) (*driver.Response, error) {
			cancel()
			return ops(2, withOpts(driver.OpGateway, stepA, "", `{"url":"http://x"}`)), nil
		})
		r.Start(ctx)
		r.queue.put(startJob)
		require.NoError(t, r.Wait(t.Context()))
		require.Len(t, r.queue.givenBack(), 1)
		require.Empty(t, r.store.committed())
	})
}

// Calls are bounded by the number of workers; what only wakes a run is not
// held up by them.
func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var most, now atomic.Int64
		release := make(chan struct{})
		r := newRig(func(context.Context, *driver.Request) (*driver.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			<-release
			now.Add(-1)
			return &driver.Response{Kind: driver.KindDone}, nil
		})
		r.Start(t.Context())
		for range 5 {
			r.queue.put(startJob)
		}
		synctest.Wait()
		require.EqualValues(t, 2, now.Load())
		r.queue.put(state.Job{ID: "z", Kind: state.JobSleep, Step: stepZ})
		synctest.Wait()
		require.Len(t, r.store.committed(), 1)
		close(release)
		synctest.Wait()
		require.Len(t, r.store.committed(), 6)
		require.EqualValues(t, 2, most.Load())
		close(r.queue.closed)
		require.NoError(t, r.Wait(t.Context()))
	})
}

// A job whose lease has ended may be someone else's: nothing is begun for it.
func TestNothingIsBegunAfterTheLease(t *testing.T) {
	t.Parallel()
	calls := 0
	r := newRig(func(context.Context, *driver.Request) (*driver.Response, error) {
		calls++
		return &driver.Response{Kind: driver.KindDone}, nil
	})
	lasts := false
	for _, job := range []state.Job{startJob, {ID: "z", Kind: state.JobSleep, Step: stepZ}} {
		lease := queue.Lease{RunID: goldenRun, Job: job, Lasts: func() bool { return lasts }}
		lasts = false
		require.NoError(t, r.execute(t.Context(), lease))
		require.Empty(t, r.store.committed())
		require.NotEmpty(t, r.queue.givenBack(), "it is not counted as being executed any more")
		lasts = true
		require.NoError(t, r.execute(t.Context(), lease))
		require.Len(t, r.store.committed(), 1)
		r.store.commits = nil
	}
	require.Equal(t, 1, calls)
}

// sdk-protocol §12.9, §12.10: the executor makes these requests itself.
func TestGatewayOps(t *testing.T) {
	t.Parallel()
	answer := ops(2,
		withOpts(driver.OpGateway, "up", "", `{"url":"http://up"}`),
		withData(driver.OpStepRun, stepA, `1`),
		withOpts(driver.OpAIGateway, "ai", "", `{"url":"http://ai"}`),
		withOpts(driver.OpGateway, "down", "", `{"url":"http://down"}`),
		withOpts(driver.OpGateway, "bad", "", `{"url":7}`),
		withOpts(driver.OpAIGateway, "worse", "", `{"url":7}`),
	)
	r := newRig(always(answer))
	job := startJob
	job.Attempt = 1 // the last
	require.NoError(t, r.execute(t.Context(), queue.Lease{RunID: goldenRun, Job: job}))
	memos := map[string]string{}
	for _, save := range r.store.commits[0].Saves {
		memos[save.Step] = string(save.Memo)
	}
	require.Equal(t, `{"data":"http://up"}`, memos["up"])
	require.Equal(t, `{"data":"AI http://ai"}`, memos["ai"])
	require.Equal(t, `{"data":1}`, memos[stepA])
	require.Equal(t, `{"error":{"name":"GatewayError"}}`, memos["down"])
	require.Contains(t, memos["bad"], `{"error":{"message":"Error making gateway request: `)
	require.Contains(t, memos["worse"], `{"error":{"message":"Error making AI request: `)
	require.Contains(t, memos["worse"], `"name":"AIGatewayError"`)
	for _, shown := range r.store.commits[0].Called.Ops {
		require.Equal(t, shown.Op != "StepRun", shown.End >= shown.Start && shown.Start > 0, "%s says when it was made", shown.ID)
	}
}

// What the requests got back goes to the topics that their steps name, if it
// can; the steps end the same.
func TestGatewayOpsPublish(t *testing.T) {
	t.Parallel()
	to := `,"publish":{"channel":"c","topic":"t"}}`
	r := newRig(always(ops(2,
		withOpts(driver.OpGateway, "up", "", `{"url":"http://up"`+to),
		withOpts(driver.OpAIGateway, "ai", "", `{"url":"http://ai"`+to),
		withOpts(driver.OpGateway, "down", "", `{"url":"http://down"`+to),
		withOpts(driver.OpGateway, "quiet", "", `{"url":"http://quiet"}`),
	)))
	var mu sync.Mutex
	published := map[string]int{}
	r.Publish = func(run ulid.ULID, to driver.Publish, body json.RawMessage) error {
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, goldenRun, run)
		published[to.Channel+"/"+to.Topic+" "+string(body)]++
		return errors.New("nobody can be reached")
	}
	job := startJob
	job.Attempt = 1 // the last
	require.NoError(t, r.execute(t.Context(), queue.Lease{RunID: goldenRun, Job: job}))
	require.Equal(t, map[string]int{`c/t "pong"`: 1, `c/t {"ai":1}`: 1}, published)
	require.Len(t, r.store.commits[0].Saves, 4)
}

// sdk-protocol §7.3, §7.4.
func TestRequestOfAJob(t *testing.T) {
	t.Parallel()
	s := newSituation()
	s.run.Version, s.run.ForcePlan = 2, true
	s.run.Steps = []state.Step{{ID: stepA, Memo: raw(`{"data":1}`)}, {ID: stepZ, Memo: raw(`null`)}}
	s.run.Inputs = []state.Step{{ID: stepA, Memo: raw(`{"input":[0]}`)}, {ID: stepP1, Memo: raw(`{"input":[1]}`)}}
	s.run.Defers = []state.Defer{{ID: "d1", Status: state.DeferAfterRun}, {ID: "d2", Status: state.DeferAborted}}
	s.job = state.Job{ID: "3l6eywz7lvhw7", Kind: state.JobEdge, Attempt: 1, Generation: 2, MaxAttempts: 9, Step: stepP1, Outgoing: stepZ}
	s.called = time.UnixMilli(1795646534628)
	got := request(s)
	require.Equal(t, &driver.Request{
		URL: "http://app", AppID: goldenApp, FunctionID: goldenFn, RunID: goldenRun, JobID: "3l6eywz7lvhw7",
		RequestID:  function.RequestID(s.called, "3l6eywz7lvhw7", 3).String(),
		Generation: 3, Attempt: 1, MaxAttempts: 2, Version: 2, StepID: stepP1, Stack: []string{stepA, stepZ}, StackCurrent: 2,
		DisableImmediateExecution: true, NoCheckpoints: true, Events: s.run.Events,
		Steps: []driver.Memo{
			{ID: stepA, Data: raw(`{"data":1}`)}, {ID: stepZ, Data: raw(`null`)}, {ID: stepP1, Data: raw(`{"input":[1]}`)},
		},
		Defers: map[string]bool{"d1": true, "d2": false},
	}, got)

	first := request(newSituation())
	require.NotNil(t, first.Stack)
	require.Empty(t, first.Stack)
	require.Zero(t, first.StackCurrent)
	require.Equal(t, driver.VersionUndecided, first.Version)
	require.Equal(t, 1, first.Generation)
	require.Nil(t, first.Defers)

	// The captured id (§4.7).
	s.job.Generation = 0
	require.Equal(t, "01M8ADZCZ4YQ870JKK65JZ0V28", request(s).RequestID)
}

// sdk-protocol §15.3.
func TestBackoff(t *testing.T) {
	t.Parallel()
	table := []time.Duration{
		15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
		20 * time.Minute, 40 * time.Minute, time.Hour, 2 * time.Hour, 2 * time.Hour, 2 * time.Hour,
	}
	for n, want := range table {
		require.Equal(t, want, Backoff(n, 0, 0))
		require.Equal(t, want+15*time.Second, Backoff(n, 0, 0.5))
		require.Less(t, Backoff(n, 0, 0.999999), want+30*time.Second)
		require.Equal(t, time.Second, Backoff(n, time.Second, 0.5), "a fixed interval has no jitter")
	}
	require.Equal(t, 15*time.Second, Backoff(-1, 0, 0))
}

func TestLimits(t *testing.T) {
	t.Parallel()
	l, fn, other := NewLimits(), uuid.UUID{1}, uuid.UUID{2}
	require.False(t, l.ClearStepLimit(fn))
	require.False(t, l.ClearStateSizeLimit(fn))
	l.SetStepLimit(fn, 3)
	l.SetStateSizeLimit(fn, 4)
	steps, size := l.Of(fn)
	require.Equal(t, []int{3, 4}, []int{steps, size})
	steps, size = l.Of(other)
	require.Equal(t, []int{1000, 32 << 20}, []int{steps, size})
	require.True(t, l.ClearStepLimit(fn))
	require.True(t, l.ClearStateSizeLimit(fn))
	steps, size = l.Of(fn)
	require.Equal(t, []int{1000, 32 << 20}, []int{steps, size})
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	require.Equal(t, 100, e.Workers)
	require.NotNil(t, e.Limits)
	require.NotNil(t, e.Logger)
}

func BenchmarkDecide(b *testing.B) {
	s := newSituation()
	answer := ops(2, withData(driver.OpStepRun, stepA, `{"a":1,"b":"some text of a usual length"}`))
	b.ReportAllocs()
	for b.Loop() {
		decide(s, answer)
	}
}

// However many slow calls hold the workers, a function that is not being called
// is called.
func TestAFirstCallNeedsNoFreeWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan string, 10)
		release := make(chan struct{})
		r := newRig(func(_ context.Context, req *driver.Request) (*driver.Response, error) {
			calls <- req.JobID
			<-release
			return &driver.Response{Kind: driver.KindDone}, nil
		})
		r.Start(t.Context())
		for range 5 {
			r.queue.put(startJob)
		}
		synctest.Wait()
		require.Len(t, calls, 2)
		first := startJob
		first.ID = "first"
		r.queue.lanes[queue.LaneFirst] <- queue.Lease{RunID: goldenRun, FunctionID: goldenFn, Job: first}
		synctest.Wait()
		require.Len(t, calls, 3)
		<-calls
		<-calls
		require.Equal(t, "first", <-calls)
		close(release)
		synctest.Wait()
		close(r.queue.closed)
		require.NoError(t, r.Wait(t.Context()))
	})
}

// failingQueue is one that is out of reach for its first leases.
type failingQueue struct {
	*fakeQueue
	failures atomic.Int64 // left
}

func (q *failingQueue) Lease(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	if q.failures.Add(-1) >= 0 {
		return queue.Lease{}, errors.New("out of reach")
	}
	return q.fakeQueue.Lease(ctx, lane)
}

// TestWorkersOutliveAQueueThatFails: they ask again, later each time, until it
// answers, and end with it.
func TestWorkersOutliveAQueueThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		r := newRig(func(context.Context, *driver.Request) (*driver.Response, error) {
			calls.Add(1)
			return &driver.Response{Kind: driver.KindDone}, nil
		})
		q := &failingQueue{fakeQueue: r.queue}
		q.failures.Store(1000)
		r.Queue = q
		r.Start(t.Context())
		time.Sleep(time.Hour)
		require.Negative(t, q.failures.Load(), "all have asked often enough")
		q.put(startJob)
		synctest.Wait()
		require.EqualValues(t, 1, calls.Load())
		close(q.closed)
		require.NoError(t, r.Wait(t.Context()))
	})
}
