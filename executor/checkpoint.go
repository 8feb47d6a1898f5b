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

// ErrTooLarge is wrapped by errors of checkpoints over a size limit.
var ErrTooLarge = errors.New("too large")

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
		return errors.New("cannot checkpoint async steps")
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
			return fmt.Errorf("step %s output %w: %d bytes", op.ID, ErrTooLarge, len(memo))
		}
		if *size += len(memo); *size > limit {
			return fmt.Errorf("run state size limit exceeded: %w: %d bytes", ErrTooLarge, *size)
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
		return fmt.Errorf("cannot checkpoint opcode: %s", op.Op)
	}
	d.t.Discoveries = nil // lazy ops ask for one only in an answer
	return nil
}
