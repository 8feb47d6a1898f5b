package executor

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/executor/driver"
)

// remoteCalls makes the requests that gateway ops ask for, all at once.
func (e *Executor) remoteCalls(ctx context.Context, run ulid.ULID, answer *driver.Response) map[int]remoteResult {
	var calls sync.WaitGroup
	var mu sync.Mutex
	results := map[int]remoteResult{}
	for i := range answer.Ops {
		op := &answer.Ops[i]
		if op.Op != driver.OpGateway && op.Op != driver.OpAIGateway {
			continue
		}
		calls.Go(func() {
			began := time.Now()
			result := e.remoteCall(ctx, run, op)
			result.began, result.ended = began, time.Now()
			mu.Lock()
			defer mu.Unlock()
			results[i] = result
		})
	}
	calls.Wait()
	return results
}

func (e *Executor) remoteCall(ctx context.Context, run ulid.ULID, op *driver.Opcode) (r remoteResult) {
	if op.Op == driver.OpAIGateway {
		opts, err := op.AIGateway()
		if err != nil {
			return badOptions("AIGatewayError", "Error making AI request: ", err)
		}
		if r.answer, r.err = e.SDK.AIGateway(ctx, opts); r.err == nil {
			e.publish(run, opts.Publish, r.answer.Body)
		}
		return r
	}
	opts, err := op.Gateway()
	if err != nil {
		return badOptions("GatewayError", "Error making gateway request: ", err)
	}
	if r.answer, r.err = e.SDK.Gateway(ctx, opts); r.err == nil {
		e.publish(run, opts.Publish, r.answer.Body)
	}
	return r
}

// publish sends a response to the topic that the step names. Realtime messages
// are for who listens at the moment: one that cannot be sent fails no step.
func (e *Executor) publish(run ulid.ULID, to *driver.Publish, body json.RawMessage) {
	if to == nil || e.Publish == nil {
		return
	}
	if err := e.Publish(run, *to, body); err != nil {
		e.log.Warn("response of a step was not published", "run_id", run, "channel", to.Channel, "topic", to.Topic, "error", err)
	}
}

func badOptions(name, prefix string, err error) remoteResult {
	failure := &driver.UserError{Name: name, Message: prefix + err.Error()}
	return remoteResult{err: &driver.GatewayError{Name: name, Message: failure.Message, Memo: driver.MemoError(failure)}}
}
