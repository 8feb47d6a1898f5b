package executor

import (
	"context"
	"sync"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// fakeStore has one run and remembers what is committed; it applies nothing.
type fakeStore struct {
	mu                 sync.Mutex
	run                *state.Run
	loadErr, commitErr error
	commits            []*state.Transition
}

func (s *fakeStore) Load(context.Context, ulid.ULID) (*state.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run, s.loadErr
}

func (s *fakeStore) Commit(_ context.Context, t *state.Transition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits = append(s.commits, t)
	return s.commitErr
}

func (s *fakeStore) committed() []*state.Transition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits
}

// fakeQueue hands out what is put into its lanes.
type fakeQueue struct {
	lanes    [3]chan queue.Lease
	closed   chan struct{}
	mu       sync.Mutex
	released []queue.Lease
}

func newFakeQueue() *fakeQueue {
	return &fakeQueue{lanes: [3]chan queue.Lease{make(chan queue.Lease, 100), make(chan queue.Lease, 100), make(chan queue.Lease, 100)}, closed: make(chan struct{})}
}

func (q *fakeQueue) put(job state.Job) {
	q.lanes[queue.LaneOf(job.Kind)] <- queue.Lease{RunID: goldenRun, FunctionID: goldenFn, Job: job, Mark: 42}
}

func (q *fakeQueue) Lease(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	select {
	case lease := <-q.lanes[lane]:
		return lease, nil
	case <-ctx.Done():
		return queue.Lease{}, context.Cause(ctx)
	case <-q.closed:
		return queue.Lease{}, queue.ErrClosed
	}
}

func (q *fakeQueue) Release(lease queue.Lease) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.released = append(q.released, lease)
}

func (q *fakeQueue) givenBack() []queue.Lease {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.released
}

// fakeSDK answers calls with a function, gateway requests with their URL.
type fakeSDK struct {
	call func(context.Context, *driver.Request) (*driver.Response, error)
}

func (s *fakeSDK) Call(ctx context.Context, req *driver.Request) (*driver.Response, error) {
	return s.call(ctx, req)
}

func (s *fakeSDK) Gateway(_ context.Context, opts driver.GatewayOpts) (driver.GatewayAnswer, *driver.GatewayError) {
	if opts.URL == "http://down" {
		return driver.GatewayAnswer{}, &driver.GatewayError{Name: "GatewayError", Message: "down", Memo: raw(`{"error":{"name":"GatewayError"}}`), Sent: driver.Sent{Status: 503, Size: 4}}
	}
	return driver.GatewayAnswer{Memo: raw(`{"data":"` + opts.URL + `"}`), Body: raw(`"pong"`), Sent: driver.Sent{Status: 201, Size: 3}}, nil
}

func (s *fakeSDK) AIGateway(_ context.Context, opts driver.AIGatewayOpts) (driver.GatewayAnswer, *driver.GatewayError) {
	return driver.GatewayAnswer{Memo: raw(`{"data":"AI ` + opts.URL + `"}`), Body: raw(`{"ai":1}`)}, nil
}

// fakeFunctions knows one function.
type fakeFunctions struct{ fn *function.Function }

func (f fakeFunctions) Executable(id uuid.UUID) (*function.Function, uuid.UUID, bool) {
	if f.fn == nil || f.fn.ID != id {
		return nil, uuid.UUID{}, false
	}
	return f.fn, goldenApp, true
}

// rig is an executor with everything around it.
type rig struct {
	*Executor
	queue *fakeQueue
	store *fakeStore
}

// newRig makes an executor that is not started.
func newRig(call func(context.Context, *driver.Request) (*driver.Response, error)) *rig {
	q, s := newFakeQueue(), &fakeStore{run: newRun()}
	return &rig{queue: q, store: s, Executor: New(Config{
		Queue: q, Store: s, SDK: &fakeSDK{call}, Functions: fakeFunctions{newSituation().function}, Workers: 2,
	})}
}

// always is an SDK that always says the same.
func always(r *driver.Response) func(context.Context, *driver.Request) (*driver.Response, error) {
	return func(context.Context, *driver.Request) (*driver.Response, error) { return r, nil }
}
