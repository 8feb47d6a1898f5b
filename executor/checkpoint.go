package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	// ErrStale means that the call is not the one that the job is executed by
	// now: the SDK had better stop.
	ErrStale = errors.New("stale dispatch")
)

// Reporter is the call whose steps an SDK reports while it lasts, by what the
// request told it of itself.
type Reporter struct {
	RunID ulid.ULID
	Job   string // hashed id, "" if unknown
	// Generation is the number of the job's dispatch, from 1; 0 if unknown.
	Generation int
	StartedAt  int64 // milliseconds since 1970
}

// freshFor is how long after its start a call is not checked for being stale.
const freshFor = 10 * time.Second

// stale tells whether the job of a call is gone, or was dispatched again.
func (c *Reporter) stale(run *state.Run, now time.Time) bool {
	if c.Generation == 0 || c.Job == "" || now.UnixMilli()-c.StartedAt < freshFor.Milliseconds() {
		return false
	}
	job, ok := run.Job(c.Job)
	return !ok || job.Generation+1 != c.Generation
}

// Checkpoint stores the steps that an SDK reports while its call lasts
// (sdk-protocol §18.1). The attempts of that call's job start again. No
// discovery follows: the call goes on.
func (e *Executor) Checkpoint(ctx context.Context, call Reporter, ops []driver.Opcode) error {
	run, job := call.RunID, call.Job
	r, err := e.Store.Load(ctx, run)
	if err != nil {
		return err
	}
	if e.RefuseStale && call.stale(r, time.Now()) {
		return fmt.Errorf("%w of run %s", ErrStale, run)
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
		t.HasAI = t.HasAI || ops[i].AI()
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
