package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/executor/driver"
	"jetstep/state"
)

// MaxStepOutput is how large one step's output may be, in bytes.
const MaxStepOutput = 4 << 20

// The errors of checkpoints that are the SDK's doing.
var (
	ErrStepTooLarge  = errors.New("step output too large")
	ErrStateTooLarge = errors.New("run state size limit exceeded")
	ErrRefused       = errors.New("cannot checkpoint")
)

// Checkpoint stores the steps that an SDK reports while its call lasts
// (sdk-protocol §18.1). job is the hashed id of the job of that call, "" when
// unknown; its attempts start again. No discovery follows: the call goes on.
func (e *Executor) Checkpoint(ctx context.Context, run ulid.ULID, job string, ops []driver.Opcode) error {
	r, err := e.Store.Load(ctx, run)
	if err != nil {
		return err
	}
	for i := range ops {
		if !reportable(ops[i].Op) {
			return fmt.Errorf("%w async steps", ErrRefused)
		}
	}
	_, limit := e.Limits.Of(r.FunctionID)
	t := &state.Transition{RunID: run, ResetJob: job, MetadataSize: e.screenMetadata(r, ops)}
	d := &decision{situation: &situation{run: r, size: limit}, t: t}
	var refused error
	for i := range ops {
		if refused = d.checkpoint(&ops[i]); refused != nil {
			t.ResetJob = "" // what came before it stays, but it is no success
			ops = ops[:i]
			break
		}
	}
	if len(t.Saves)+len(t.Defers)+len(t.AbortDefers) > 0 {
		t.Reported = &state.Reported{RunID: run, FunctionID: r.FunctionID, JobID: job, Ops: show(ops)}
		if called, ok := r.Job(job); ok {
			t.Reported.Attempt = called.Attempt
		}
		if err := e.Store.Commit(ctx, t); err != nil {
			return err
		}
	}
	return refused
}

// reportable tells ops that are done while a call lasts from those for which
// it has to end. Of the former not all are accepted; the protocol wants them
// refused one by one.
func reportable(op driver.OpCode) bool {
	return op.Sync() || op == driver.OpStepPlanned || op == driver.OpStepError
}

func (d *decision) checkpoint(op *driver.Opcode) error {
	switch op.Op {
	case driver.OpStep, driver.OpStepRun:
		return d.checkpointStep(op)
	case driver.OpStepPlanned:
	case driver.OpDeferAdd:
		d.addDefer(op)
	case driver.OpDeferAbort:
		d.abortDefer(op)
	default:
		return fmt.Errorf("%w opcode: %s", ErrRefused, op.Op)
	}
	return nil
}

func (d *decision) checkpointStep(op *driver.Opcode) error {
	memo, err := stepMemo(op)
	if err != nil {
		return fmt.Errorf("%w output of step %s: %w", ErrRefused, op.ID, err)
	}
	if len(memo) > MaxStepOutput {
		return fmt.Errorf("step %s: %w: %d bytes", op.ID, ErrStepTooLarge, len(memo))
	}
	if err := d.save(op, memo); err != nil {
		return fmt.Errorf("%w: step %s of %d bytes is too much", ErrStateTooLarge, op.ID, len(memo))
	}
	return nil
}
