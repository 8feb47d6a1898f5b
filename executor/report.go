package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

// completeID is the id of ops about the function as a whole: the hash of
// "complete", which a user's step may have too.
const completeID = "0737c22d3bfae812339732d14d8c7dbd6dc4e09c"

// Report records what an app has done of a run that it began (sdk-protocol
// §19.2). What needs more than the app's own request lets the run go on by
// itself. It fails with state.ErrRunNotFound, with ErrRefused for a run that
// the executor began, and with ErrStepTooLarge or ErrStateTooLarge when the
// steps from the first that is too large on were dropped.
func (e *Executor) Report(ctx context.Context, id ulid.ULID, steps []json.RawMessage) error {
	run, err := e.Store.Load(ctx, id)
	if err != nil {
		return err
	}
	ops := e.readable(run, steps)
	fn, app, _, ok := e.executable(run)
	if run.Endpoint == nil || !ok {
		return fmt.Errorf("%w steps of a run that its app did not begin", ErrRefused)
	}
	now := time.Now()
	maxSteps, size := e.Limits.Of(run.FunctionID)
	answer := &driver.Response{Kind: driver.KindSteps, Ops: ops}
	s := &situation{
		run: run, function: fn, appID: app, attempts: run.Endpoint.Attempts, now: now, called: now,
		steps: maxSteps, size: size, newID: uuid.New, backoff: Backoff(1, e.RetryInterval, rand.Float64()),
		remote: e.remoteCalls(ctx, run.ID, answer),
	}
	metadata := e.screenMetadata(run, ops)
	t, dropped := report(s, answer)
	t.MetadataSize = metadata
	if run.Sync() {
		t.Patience = now.Add(e.Patience).UnixMilli()
	}
	if t.Finish != nil && t.Finish.Status == state.Failed {
		e.log.Warn("run failed", "run_id", run.ID, "function_id", fn.Slug, "error", shorten(string(t.Finish.Error)))
	}
	if err := e.Store.Commit(ctx, t); err != nil {
		return err
	}
	return dropped
}

// readable are the reported steps that are ops; others are passed over.
func (e *Executor) readable(run *state.Run, steps []json.RawMessage) []driver.Opcode {
	ops := make([]driver.Opcode, 0, len(steps))
	for _, step := range steps {
		var op driver.Opcode
		if err := op.UnmarshalJSON(step); err != nil {
			e.log.Warn("reported step was passed over", "run_id", run.ID, "function_id", run.Slug, "error", err)
			continue
		}
		ops = append(ops, op)
	}
	return ops
}

// report turns what an app reports into the transition that follows from it.
// The error is about steps that were dropped.
func report(s *situation, answer *driver.Response) (t *state.Transition, dropped error) {
	d := &decision{situation: s, answer: answer, version: s.run.Version, t: &state.Transition{RunID: s.run.ID}}
	d.ops = show(answer.Ops)
	d.planReported()
	dropped = d.allReported()
	d.t.Reported = &state.Reported{RunID: s.run.ID, FunctionID: s.run.FunctionID, Ops: d.ops}
	return d.t, dropped
}

// allReported adds what the ops ask for, up to the one that ends the run or is
// dropped with all after it; the error is why.
func (d *decision) allReported() error {
	for _, priority := range []bool{true, false} {
		for i := range d.answer.Ops {
			op := &d.answer.Ops[i]
			if op.Op.Priority() != priority {
				continue
			}
			d.shown = d.showing(i)
			if err := d.reported(i, op); err != nil {
				d.passOver(i)
				return err
			}
			if d.t.Finish != nil {
				return nil
			}
		}
	}
	return nil
}

// planReported prepares for steps that are planned together.
func (d *decision) planReported() {
	var planned []string
	for i := range d.answer.Ops {
		op := &d.answer.Ops[i]
		d.t.HasAI = d.t.HasAI || op.AI()
		if op.Op.Plan() && op.ID != "" {
			planned = append(planned, op.ID)
		}
	}
	if len(planned) < 2 {
		return
	}
	d.t.ForcePlan = true
	if d.version >= tracksPending {
		d.group = function.CoalesceKey(d.run.ID.String(), planned)
		d.t.Pending = planned
	}
}

// reported adds what one op asks for; the error is why it is dropped.
func (d *decision) reported(i int, op *driver.Opcode) error {
	switch op.Op {
	case driver.OpNone:
	case driver.OpStep, driver.OpStepRun:
		return d.checkpointStep(op)
	case driver.OpDeferAdd:
		d.addDefer(op)
	case driver.OpDeferAbort:
		d.abortDefer(op)
	case driver.OpRunComplete, driver.OpSyncRunComplete:
		d.complete(op)
	case driver.OpDiscoveryRequest:
		d.t.Detach = true
		d.t.Discoveries = append(d.t.Discoveries, state.Discovery{Always: true, Job: state.Job{
			ID: function.DiscoveryJob(d.run.Key(), op.ID), Kind: state.JobEdge, Due: d.now.UnixMilli(), MaxAttempts: d.attempts,
		}})
	default:
		d.t.Detach = true
		d.detaching(i, op)
	}
	return nil
}

// passOver drops an op and those after it, but for what the app itself cannot
// undo: that it has answered, or that it will not go on.
func (d *decision) passOver(from int) {
	for i := from; i < len(d.answer.Ops); i++ {
		switch op := &d.answer.Ops[i]; op.Op {
		case driver.OpRunComplete, driver.OpSyncRunComplete:
			d.complete(op)
		case driver.OpNone, driver.OpStep, driver.OpStepRun, driver.OpDeferAdd, driver.OpDeferAbort:
		default:
			d.t.Detach = true // with nothing else to do it is called at once
		}
	}
	d.ops = d.ops[:min(from, len(d.ops))]
}

// detaching handles an op because of which the run goes on by itself. What
// cannot be done with it is tried again, by calling the app, or fails the run.
func (d *decision) detaching(i int, op *driver.Opcode) {
	if (op.Op == driver.OpStepError || op.Op == driver.OpStepFailed) && d.ofFunction(op) {
		d.functionReported(op)
		return
	}
	err := d.op(i, op)
	var fatal *driver.FatalError
	switch {
	case err == nil:
	case errors.As(err, &fatal):
		d.fail(nil, fatal.RunError())
	case d.mayRetry():
		d.retryReported(op)
	default:
		d.fail(nil, (&driver.FatalError{Name: "Error", Message: "error handling reported step: " + err.Error()}).RunError())
	}
}

// ofFunction tells whether an op is about the function itself: it has the id
// of its end, and nothing that a step has.
func (d *decision) ofFunction(op *driver.Opcode) bool {
	return op.ID == completeID && op.Userland.ID == "" && op.DisplayName == "" && op.Name == ""
}

// functionReported handles an error that the function threw.
func (d *decision) functionReported(op *driver.Opcode) {
	if op.Op == driver.OpStepError && d.mayRetry() {
		d.retryReported(op)
		return
	}
	if op.Error == nil {
		op.Error = &driver.UserError{Name: "Error", Message: "Function execution error"}
	}
	d.fail(op.Error.JSON(), op.Error.RunError("NonRetriableError"))
}

// retryReported calls the app for what failed within its own request, which
// was the first attempt.
func (d *decision) retryReported(op *driver.Opcode) {
	d.t.Jobs = append(d.t.Jobs, state.Job{
		ID: function.SyncRetryJob(d.run.Key(), op.ID), Kind: state.JobEdge, Attempt: 1, MaxAttempts: d.attempts,
		Due: d.now.Add(d.backoff).UnixMilli(),
	})
}
