// Package engine tests bus, partitions and executor together in one process,
// with an SDK that is a Go function.
package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/executor"
	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/queue/partition"
	"jetstep/state"
)

// outcome is how a run ended.
type outcome struct {
	run    ulid.ULID
	status state.Status
	output string
}

// recorder remembers the ends of runs.
type recorder struct {
	mu        sync.Mutex
	finished  map[ulid.ULID]outcome
	events    map[string]int
	scheduled []ulid.ULID
	changed   chan struct{}
}

func newRecorder() *recorder {
	return &recorder{finished: map[ulid.ULID]outcome{}, events: map[string]int{}, changed: make(chan struct{}, 1)}
}

func (r *recorder) EventReceived(e *bus.Delivery, _ int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[e.Name]++
}
func (r *recorder) RunScheduled(run *state.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scheduled = append(r.scheduled, run.ID)
}

func (r *recorder) RunStarted(ulid.ULID, time.Time) {}
func (r *recorder) RunFinished(id ulid.ULID, s state.Status, output json.RawMessage, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished[id] = outcome{id, s, string(output)}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *recorder) RunSkipped(*state.RunSkipped, time.Time) {}
func (r *recorder) StartDecided(uuid.UUID, string)          {}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.finished)
}

func (r *recorder) runs() []ulid.ULID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.scheduled)
}

func (r *recorder) outcome(id ulid.ULID) outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finished[id]
}

// sdk answers calls by function slug.
type sdk struct {
	mu        sync.Mutex
	functions map[string]func(*driver.Request) *driver.Response
	calls     []*driver.Request
}

func (s *sdk) Call(_ context.Context, req *driver.Request) (*driver.Response, error) {
	s.mu.Lock()
	s.calls = append(s.calls, req)
	s.mu.Unlock()
	return s.functions[req.URL](req), nil
}

func (s *sdk) Gateway(context.Context, driver.GatewayOpts) (driver.GatewayAnswer, *driver.GatewayError) {
	return driver.GatewayAnswer{Memo: json.RawMessage(`{"data":{}}`)}, nil
}

func (s *sdk) AIGateway(context.Context, driver.AIGatewayOpts) (driver.GatewayAnswer, *driver.GatewayError) {
	return driver.GatewayAnswer{Memo: json.RawMessage(`{"data":{}}`)}, nil
}

func done(output string) *driver.Response {
	return &driver.Response{Kind: driver.KindDone, Output: json.RawMessage(output)}
}

func steps(ops ...driver.Opcode) *driver.Response {
	return &driver.Response{Kind: driver.KindSteps, Ops: ops, Version: 2, HasVersion: true}
}

// engine is a whole installation in a directory.
type engine struct {
	t    *testing.T
	bus  *bus.Bus
	node *partition.Node
	exec *executor.Executor
	sdk  *sdk
	rec  *recorder
}

func start(t *testing.T, dir string, s *sdk) *engine {
	t.Helper()
	return startWith(t, bus.Config{StoreDir: dir}, s)
}

func startWith(t *testing.T, cfg bus.Config, s *sdk) *engine {
	t.Helper()
	ctx := t.Context()
	b, err := bus.Open(ctx, cfg)
	require.NoError(t, err)
	e := &engine{t: t, bus: b, sdk: s, rec: newRecorder()}
	e.node = partition.NewNode(partition.Config{Bus: b, Name: "test", History: e.rec})
	e.node.Start(ctx)
	e.exec = executor.New(executor.Config{Queue: e.node, Store: e.node, SDK: s, Functions: b.Registry(), RetryInterval: 10 * time.Millisecond})
	e.exec.Start(context.WithoutCancel(ctx))
	select {
	case <-e.node.Opened():
	case <-time.After(20 * time.Second):
		t.Fatal("partitions did not open")
	}
	t.Cleanup(e.stop)
	return e
}

func (e *engine) stop() {
	if e.node == nil {
		return
	}
	e.node.StopLeasing()
	require.NoError(e.t, e.exec.Wait(context.Background()))
	e.node.Close()
	e.bus.Close()
	e.node = nil
}

func (e *engine) register(functions ...function.Function) {
	app := &function.App{Name: "app", URL: "http://app", Method: function.MethodServe}
	for _, fn := range functions {
		fn.ID = function.FunctionID(fn.Slug, fn.Slug)
		fn.Version = 1
		fn.Steps = []function.Step{{ID: "step", Name: "step", URI: fn.Slug}}
		app.Functions = append(app.Functions, fn)
	}
	_, err := e.bus.Registry().Update(e.t.Context(), function.AppID("app"), func(*function.App) (*function.App, error) { return app, nil })
	require.NoError(e.t, err)
}

func (e *engine) send(name, data string) {
	id := ulid.Make()
	require.NoError(e.t, e.bus.Publish(e.t.Context(), []*bus.Event{{
		InternalID: id, ID: id.String(), Name: name, Data: json.RawMessage(data), TS: time.Now().UnixMilli(),
	}}))
}

func (e *engine) await(n int) {
	e.t.Helper()
	require.Eventually(e.t, func() bool { return e.rec.count() >= n }, 20*time.Second, 5*time.Millisecond,
		"%d of %d runs finished", e.rec.count(), n)
}

func on(slug, event string) function.Function {
	return function.Function{Slug: slug, Name: slug, Triggers: []function.Trigger{{Event: event}}}
}

func TestRunOfThreeStepsAndSleep(t *testing.T) {
	t.Parallel()
	s := &sdk{functions: map[string]func(*driver.Request) *driver.Response{
		"three": func(r *driver.Request) *driver.Response {
			switch n := len(r.Stack); n {
			case 0, 1:
				return steps(driver.Opcode{Op: driver.OpStepRun, ID: fmt.Sprint("s", n), Data: json.RawMessage(`1`)})
			case 2:
				return steps(driver.Opcode{Op: driver.OpSleep, ID: "nap", Name: "50ms"})
			default:
				return done(`"ok"`)
			}
		},
	}}
	e := start(t, t.TempDir(), s)
	e.register(on("three", "a/b"))
	for range 20 {
		e.send("a/b", `{"x":1}`)
	}
	e.await(20)
	for _, o := range e.rec.finished {
		require.Equal(t, state.Completed, o.status)
		require.Equal(t, `"ok"`, o.output)
	}
	require.Len(t, s.calls, 80)
	require.Eventually(t, func() bool {
		e.rec.mu.Lock()
		defer e.rec.mu.Unlock()
		return e.rec.events[state.EventFinished] == 20
	}, 5*time.Second, 5*time.Millisecond)
}

func TestWaitInvokeAndSignal(t *testing.T) {
	t.Parallel()
	s := &sdk{functions: map[string]func(*driver.Request) *driver.Response{
		"waiter": func(r *driver.Request) *driver.Response {
			switch len(r.Stack) {
			case 0:
				return steps(driver.Opcode{Op: driver.OpWaitForEvent, ID: "w", Name: "go", Opts: json.RawMessage(`{"timeout":"10s","if":"event.data.k == async.data.k"}`)})
			case 1:
				return steps(driver.Opcode{Op: driver.OpInvokeFunction, ID: "i", Opts: json.RawMessage(`{"function_id":"callee","payload":{"data":{"n":2}}}`)})
			case 2:
				return steps(driver.Opcode{Op: driver.OpWaitForSignal, ID: "sig", Opts: json.RawMessage(`{"signal":"s1","timeout":"10s"}`)})
			default:
				return done(`"` + string(r.Steps[1].Data[8:10]) + `"`)
			}
		},
		"callee": func(r *driver.Request) *driver.Response { return done(`42`) },
	}}
	e := start(t, t.TempDir(), s)
	e.register(on("waiter", "begin"), on("callee", "never"))
	e.send("begin", `{"k":"a"}`)
	require.Eventually(t, func() bool { return e.node.Stats().Watches == 1 }, 10*time.Second, 5*time.Millisecond)
	e.send("go", `{"k":"b"}`)
	e.send("go", `{"k":"a"}`)
	require.Eventually(t, func() bool {
		_, err := e.node.Signal(t.Context(), "s1", json.RawMessage(`{"x":1}`))
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	e.await(2)
}

func TestRestartKeepsSleepers(t *testing.T) {
	t.Parallel()
	s := &sdk{functions: map[string]func(*driver.Request) *driver.Response{
		"sleeper": func(r *driver.Request) *driver.Response {
			if len(r.Stack) == 0 {
				return steps(driver.Opcode{Op: driver.OpSleep, ID: "nap", Name: "1500ms"})
			}
			return done(`true`)
		},
	}}
	dir := t.TempDir()
	e := start(t, dir, s)
	e.register(on("sleeper", "z"))
	for range 50 {
		e.send("z", `{}`)
	}
	require.Eventually(t, func() bool { return e.node.Stats().Timers == 50 }, 10*time.Second, 5*time.Millisecond)
	e.stop()
	again := start(t, dir, s)
	again.await(50)
	require.Len(t, again.rec.finished, 50)
}
