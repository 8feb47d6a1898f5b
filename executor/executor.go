package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// SDK makes calls to apps.
type SDK interface {
	// Call calls a function; the error is only of the caller's own context.
	Call(ctx context.Context, req *driver.Request) (*driver.Response, error)
	Gateway(ctx context.Context, opts driver.GatewayOpts) (driver.GatewayAnswer, *driver.GatewayError)
	AIGateway(ctx context.Context, opts driver.AIGatewayOpts) (driver.GatewayAnswer, *driver.GatewayError)
}

// Functions finds the configuration that a run executes with.
type Functions interface {
	// Executable finds a function, active or archived, and its app.
	Executable(id uuid.UUID) (fn *function.Function, app uuid.UUID, ok bool)
}

// Config of an Executor.
type Config struct {
	Queue     queue.Queue
	Store     state.Store
	SDK       SDK
	Functions Functions
	// Runs records runs that apps begin themselves; nil if none can be.
	Runs   Beginner
	Limits *Limits
	Logger *slog.Logger
	// Workers is how many SDK calls are made at once, default 100. An eighth
	// more, and four at least, is for functions that are not being called when
	// these are busy.
	Workers int
	// RetryInterval, if set, replaces the back-off table.
	RetryInterval time.Duration
	// Patience is how long the app of a durable endpoint may report nothing of
	// a run before the run goes on by itself; default DefaultPatience.
	Patience time.Duration
	// RefuseStale refuses the steps of calls whose job was dispatched again
	// meanwhile, or is gone (sdk-protocol §18.1).
	RefuseStale bool
	// OnTrouble, if set, is told why a run has to be called again, and with ""
	// that the reason is gone.
	OnTrouble func(run ulid.ULID, reason string)
	// OnCall, if set, is told of each call that has ended, before what follows
	// from it is stored. It must be quick and must not change what it is given.
	OnCall func(*state.Called)
	// Publish, if set, sends what a request made for a step got back to a
	// realtime topic. It must not block.
	Publish func(run ulid.ULID, to driver.Publish, body json.RawMessage) error
}

// There is one more worker for each so many, and a least number of them, that
// only make a function's first call, when all others are busy: a function that
// is not being called does not wait until slow calls of others end.
const (
	reserve    = 8
	minReserve = 4
)

// wakers is how many ends of sleeps and waits are committed at once; a commit
// takes a fraction of a millisecond.
const wakers = 32

// Executor runs due jobs until it is stopped.
type Executor struct {
	Config
	log     *slog.Logger
	workers sync.WaitGroup
	calls   atomic.Int64 // being made now
}

// New makes an executor.
func New(cfg Config) *Executor {
	if cfg.Workers <= 0 {
		cfg.Workers = 100
	}
	if cfg.Patience <= 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Limits == nil {
		cfg.Limits = NewLimits()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnTrouble == nil {
		cfg.OnTrouble = func(ulid.ULID, string) {}
	}
	if cfg.OnCall == nil {
		cfg.OnCall = func(*state.Called) {}
	}
	return &Executor{Config: cfg, log: cfg.Logger}
}

// Start begins to execute jobs. Calls are cancelled when ctx ends; to let them
// finish, close the queue and Wait first.
func (e *Executor) Start(ctx context.Context) {
	for range e.Workers {
		e.workers.Go(func() { e.work(ctx, queue.LaneCall) })
	}
	for range max(e.Workers/reserve, minReserve) {
		e.workers.Go(func() { e.work(ctx, queue.LaneFirst) })
	}
	for range wakers {
		e.workers.Go(func() { e.work(ctx, queue.LaneWake) })
	}
}

// Wait returns when all workers have ended, which they do once the queue is
// closed, or when ctx ends.
func (e *Executor) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		e.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d calls still running: %w", e.calls.Load(), context.Cause(ctx))
	}
}

// Calls is how many SDK calls are being made.
func (e *Executor) Calls() int { return int(e.calls.Load()) }

// The pause of a worker after its queue failed. It doubles up to the longest.
const (
	retryLease    = 100 * time.Millisecond
	maxRetryLease = 5 * time.Second
)

func (e *Executor) work(ctx context.Context, lane queue.Lane) {
	pause := retryLease
	for {
		lease, err := e.Queue.Lease(ctx, lane)
		if errors.Is(err, queue.ErrClosed) || err != nil && ctx.Err() != nil {
			return
		}
		if err != nil {
			e.log.Error("no job can be leased: it is tried again", "error", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, maxRetryLease)
			continue
		}
		pause = retryLease
		if err := e.execute(ctx, lease); err != nil {
			e.giveBack(ctx, lease, err)
		}
	}
}

// giveBack returns a job that could not be concluded to the queue. A store
// that cannot be reached is given a moment.
func (e *Executor) giveBack(ctx context.Context, lease queue.Lease, err error) {
	if ctx.Err() == nil {
		e.log.Warn("job is executed again: its outcome was not stored", "run_id", lease.RunID, "job_id", lease.Job.ID, "error", err)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	e.Queue.Release(lease)
}

// execute brings one job to its transition. An error means that the job was
// not concluded.
func (e *Executor) execute(ctx context.Context, lease queue.Lease) error {
	began := time.Now()
	run, err := e.Store.Load(ctx, lease.RunID)
	if errors.Is(err, state.ErrRunNotFound) {
		e.Queue.Release(lease) // it ended while the job waited for a worker
		return nil
	}
	if err != nil {
		return err
	}
	if lease.Over() {
		// Another executor has the job, and may have brought the run further.
		e.log.Debug("lease ended before the job was begun", "run_id", run.ID, "job_id", lease.Job.ID)
		e.Queue.Release(lease)
		return nil
	}
	t, err := e.decide(ctx, run, lease, began)
	if err != nil {
		return err
	}
	t.Mark, t.Kind, t.Generation = lease.Mark, lease.Job.Kind, lease.Job.Generation
	err = e.Store.Commit(ctx, t)
	if errors.Is(err, state.ErrRunNotFound) {
		e.log.Debug("run ended while its function was called: the answer is void", "run_id", run.ID)
		e.Queue.Release(lease)
		return nil
	}
	return err
}

// decide brings a job to its transition; began is a moment at which the lease
// lasted.
func (e *Executor) decide(ctx context.Context, run *state.Run, lease queue.Lease, began time.Time) (*state.Transition, error) {
	switch lease.Job.Kind {
	case state.JobSleep:
		return wake(run, lease.Job, time.Now()), nil
	case state.JobPause:
		return timeOut(run, lease.Job, time.Now()), nil
	}
	return e.call(ctx, run, lease.Job, began)
}

// call calls the SDK and decides what follows.
func (e *Executor) call(ctx context.Context, run *state.Run, job state.Job, began time.Time) (*state.Transition, error) {
	fn, app, endpoint, ok := e.executable(run)
	if !ok {
		return e.refuse(run, job, "Error", "the function of this run is no longer registered"), nil
	}
	steps, size := e.Limits.Of(fn.ID)
	if len(run.Steps) >= steps {
		return e.refuse(run, job, driver.NameOverflowed, "function has too many steps"), nil
	}
	s := &situation{
		run: run, job: job, function: fn, appID: app, endpoint: endpoint, attempts: fn.Retries() + 1, called: began,
		steps: steps, size: size, newID: uuid.New,
		backoff: Backoff(job.Attempt, e.RetryInterval, rand.Float64()),
	}
	req := request(s)
	s.requestID = req.RequestID
	e.calls.Add(1)
	s.sent = time.Now()
	answer, err := e.SDK.Call(ctx, req)
	s.answered = time.Now()
	e.calls.Add(-1)
	if err != nil {
		return nil, fmt.Errorf("call function %s: %w", fn.Slug, err)
	}
	s.remote = e.remoteCalls(ctx, run.ID, answer)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.now = time.Now()
	metadata := e.screenMetadata(run, answer.Ops)
	t, trouble := decide(s, answer)
	t.MetadataSize = metadata
	e.tell(s, answer, t, trouble)
	e.OnCall(t.Called)
	return t, nil
}

// refuse fails a run without calling it.
func (e *Executor) refuse(run *state.Run, job state.Job, name, message string) *state.Transition {
	e.log.Warn("run failed", "run_id", run.ID, "function_id", run.FunctionID, "error", message)
	object := (&driver.FatalError{Name: name, Message: message}).RunError().JSON()
	return &state.Transition{RunID: run.ID, Job: job.ID, Finish: &state.Finish{Status: state.Failed, Output: object, Error: object}}
}

// request builds the call of a job.
func request(s *situation) *driver.Request {
	run, job := s.run, s.job
	req := &driver.Request{
		URL:                       s.function.URI(),
		AppID:                     s.appID,
		FunctionID:                s.function.ID,
		RunID:                     run.ID,
		JobID:                     job.ID,
		RequestID:                 function.RequestID(s.called, job.ID, job.Generation+1).String(),
		Generation:                job.Generation + 1,
		Attempt:                   job.Attempt,
		MaxAttempts:               s.attempts,
		Version:                   run.Version,
		StepID:                    job.Step,
		Stack:                     make([]string, len(run.Steps)),
		StackCurrent:              run.StackIndex(job.Outgoing) + 1,
		DisableImmediateExecution: run.ForcePlan,
		Events:                    run.Events,
		Steps:                     make([]driver.Memo, 0, len(run.Steps)+len(run.Inputs)),
	}
	for i, step := range run.Steps {
		req.Stack[i] = step.ID
		req.Steps = append(req.Steps, driver.Memo{ID: step.ID, Data: step.Memo})
	}
	for _, input := range run.Inputs {
		if _, finished := run.Memo(input.ID); !finished {
			req.Steps = append(req.Steps, driver.Memo{ID: input.ID, Data: input.Memo})
			req.NoCheckpoints = true
		}
	}
	if len(run.Defers) > 0 {
		req.Defers = map[string]bool{}
		for _, d := range run.Defers {
			req.Defers[d.ID] = d.Status == state.DeferAfterRun
		}
	}
	if s.endpoint != nil {
		reenter(req, s.endpoint, run.Endpoint.SDK)
	}
	return req
}
