package partition

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor"
	"jetstep/executor/driver"
	"jetstep/state"
)

// script answers the calls of a site's functions and remembers them.
type script struct {
	mu     sync.Mutex
	calls  []*driver.Request
	answer func(*driver.Request) *driver.Response
}

func (s *script) Call(_ context.Context, req *driver.Request) (*driver.Response, error) {
	s.mu.Lock()
	s.calls = append(s.calls, req)
	s.mu.Unlock()
	return s.answer(req), nil
}

func (s *script) Gateway(context.Context, driver.GatewayOpts) (driver.GatewayAnswer, *driver.GatewayError) {
	return driver.GatewayAnswer{Memo: json.RawMessage(`{"data":{}}`)}, nil
}

func (s *script) AIGateway(context.Context, driver.AIGatewayOpts) (driver.GatewayAnswer, *driver.GatewayError) {
	return driver.GatewayAnswer{Memo: json.RawMessage(`{"data":{}}`)}, nil
}

func (s *script) made() []*driver.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*driver.Request(nil), s.calls...)
}

// execute lets an executor run the site's jobs by a script. change may put
// something between executor and store.
func (s *site) execute(answer func(*driver.Request) *driver.Response, change func(*executor.Config)) *script {
	s.t.Helper()
	calls := &script{answer: answer}
	cfg := executor.Config{
		Queue: s.node, Store: s.node, SDK: calls, Functions: s.bus.Registry(), Workers: 16, RetryInterval: time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	e := executor.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	e.Start(ctx)
	s.t.Cleanup(func() {
		s.node.StopLeasing()
		cancel()
		require.NoError(s.t, e.Wait(context.Background()))
	})
	return calls
}

func answerSteps(version int, list ...driver.Opcode) *driver.Response {
	return &driver.Response{Kind: driver.KindSteps, Ops: list, Version: version, HasVersion: true}
}

func answerDone(output string) *driver.Response {
	return &driver.Response{Kind: driver.KindDone, Output: json.RawMessage(output)}
}

// put makes a run that no event started, as it is.
func (s *site) put(run state.Run) {
	s.t.Helper()
	done := make(chan error, 1)
	s.in(s.node.partitionOfRun(run.ID), func(o *Owner) {
		t := o.begin()
		t.do(&state.RunPut{Run: run})
		t.commit(func(err error) { done <- err })
	})
	require.NoError(s.t, <-done)
}
