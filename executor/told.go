package executor

import (
	"encoding/json"
	"time"

	"jetstep/executor/driver"
	"jetstep/state"
)

// show is what the history is told of an answer's ops, in their order. What
// follows from handling one (how long a sleep is, what a wait is for) is added
// there. Ops above the limit are left out: no run has so many steps.
func show(ops []driver.Opcode) []state.CalledOp {
	ops = ops[:min(len(ops), driver.MaxOps)]
	shown := make([]state.CalledOp, len(ops))
	for i := range ops {
		op := &ops[i]
		shown[i] = state.CalledOp{
			Op:        op.Op.String(),
			ID:        op.ID,
			Name:      op.DisplayNameOrFallback(),
			UserID:    op.Userland.ID,
			UserIndex: op.Userland.Index,
			Type:      op.Type(),
			Input:     op.Input(),
			Metadata:  op.Metadata,
		}
		ran(&shown[i], op.Timing.Start, op.Timing.Start.Add(op.Timing.Duration))
	}
	return shown
}

// ran says when a step did, if that is known.
func ran(shown *state.CalledOp, from, to time.Time) {
	if !from.IsZero() {
		shown.Start, shown.End = from.UnixMilli(), to.UnixMilli()
	}
}

// showing is where to tell more of the i-th op.
func (d *decision) showing(i int) *state.CalledOp {
	if i < len(d.ops) {
		return &d.ops[i]
	}
	return new(state.CalledOp)
}

// callFact is what the call was and what became of it. The decision is complete.
func (d *decision) callFact() *state.Called {
	c := &state.Called{
		RunID:      d.run.ID,
		FunctionID: d.run.FunctionID,
		Job:        d.job,
		RequestID:  d.requestID,
		URL:        d.answer.URL,
		LeasedAt:   d.called.UnixMilli(),
		StartedAt:  d.sent.UnixMilli(),
		EndedAt:    d.answered.UnixMilli(),
		Status:     d.answer.Status,
		Size:       d.answer.Size,
		Headers:    d.answer.Headers,
		SDK:        d.answer.SDK,
		Result:     d.result(),
		Ops:        d.ops,
		About:      d.run.About(),
	}
	if d.t.Then == state.JobRetry {
		c.RetryAt = d.t.RetryAt
		if c.Result == state.CallFailed {
			c.Output = d.failedOutput()
		}
	}
	return c
}

// result is what became of the call. One that is made again because of a step,
// which says so itself, is none that failed.
func (d *decision) result() state.CallResult {
	switch finish := d.t.Finish; {
	case finish != nil && finish.Status == state.Completed:
		return state.CallDone
	case finish != nil, d.answer.Kind == driver.KindError:
		return state.CallFailed
	case d.failed != nil && !d.stepErred:
		return state.CallFailed
	}
	return state.CallSteps
}

// failedOutput is what a call returned that failed and is made again: the
// function's own output, or what was wrong with the answer.
func (d *decision) failedOutput() json.RawMessage {
	switch {
	case len(d.answer.Output) > 0:
		return canonical(d.answer.Output)
	case d.answer.Error != nil:
		return canonical(d.answer.Error.JSON())
	}
	return (&driver.RunError{Error: d.failed.Error(), Name: "Error", Message: d.failed.Error()}).JSON()
}

// ended is what the history is told of the end of a sleep, kind 0, or of a wait
// that timed out.
func ended(run *state.Run, step string, kind state.WaitKind) *state.StepEnded {
	return &state.StepEnded{RunID: run.ID, FunctionID: run.FunctionID, Step: step, Kind: kind, TimedOut: kind != 0, About: run.About()}
}
