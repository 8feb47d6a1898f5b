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
	_, limit := e.Limits.Of(r.FunctionID)
	t := &state.Transition{RunID: run, ResetJob: job}
	size := r.Size
	for i := range ops {
		op := &ops[i]
		if op.Op.Sync() || op.Op == driver.OpStepPlanned || op.Op.Lazy() {
			continue
		}
		return fmt.Errorf("%w async steps", ErrRefused)
	}
	d := &decision{situation: &situation{run: r}, answer: &driver.Response{}, t: t}
	var refused error
	for i := range ops {
		op := &ops[i]
		if refused = d.checkpoint(op, &size, limit); refused != nil {
			break // what came before it stays
		}
	}
	if len(t.Saves)+len(t.Defers)+len(t.AbortDefers) > 0 {
		if err := e.Store.Commit(ctx, t); err != nil {
			return err
		}
	}
	return refused
}

func (d *decision) checkpoint(op *driver.Opcode, size *int, limit int) error {
	switch op.Op {
	case driver.OpStep, driver.OpStepRun:
		memo, err := stepMemo(op)
		if err != nil {
			return fmt.Errorf("output of step %s: %w", op.ID, err)
		}
		if len(memo) > MaxStepOutput {
			return fmt.Errorf("step %s: %w: %d bytes", op.ID, ErrStepTooLarge, len(memo))
		}
		if *size += len(memo); *size > limit {
			return fmt.Errorf("%w: %d bytes", ErrStateTooLarge, *size)
		}
		d.t.Saves = append(d.t.Saves, state.Save{Step: op.ID, Memo: memo})
		return nil
	case driver.OpStepPlanned:
		return nil
	case driver.OpDeferAdd:
		d.deferAdd(op)
	case driver.OpDeferAbort:
		return d.deferAbort(op)
	default:
		return fmt.Errorf("%w opcode: %s", ErrRefused, op.Op)
	}
	d.t.Discoveries = nil // lazy ops ask for one only in an answer
	return nil
}
