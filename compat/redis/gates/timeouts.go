package gates

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/function"
)

// cancelLate cancels a run that has not started, or not finished, in time, by
// what the function's configuration says now (redis-queue §19).
func (g *Gates) cancelLate(ctx context.Context, item *format.Item, p *format.CancelPayload) error {
	run, err := format.ParseULID(p.TargetID)
	if err != nil {
		return errors.Join(err, errUnfit)
	}
	fn, ok := g.Functions.Known(item.FunctionID)
	if !ok {
		return fmt.Errorf("function %s is not registered: %w", item.FunctionID, engine.ErrLater)
	}
	var due time.Time
	var again string
	switch p.Kind {
	case format.CancelStartTimeout:
		due, err = g.startDeadline(ctx, run, fn.Timeouts)
		again = "start-timeout-extended:"
	case format.CancelFinishTimeout:
		due, err = g.finishDeadline(ctx, run, fn.Timeouts, item.EnqueuedAt)
		again = "finish-timeout-extended:"
	case format.CancelRun:
		due = time.Now()
	default:
		return fmt.Errorf("cancellation of kind %q: %w", p.Kind, errUnfit)
	}
	switch {
	case errors.Is(err, format.ErrNoRun):
		return g.cancel(ctx, run, p.Kind)
	case err != nil:
		return err
	case due.IsZero():
		return nil
	case due.After(time.Now()):
		return g.lookAgain(ctx, item, again, due)
	}
	g.Log.Info("run is cancelled", "run_id", run, "function_id", p.FunctionID, "kind", p.Kind)
	return g.cancel(ctx, run, p.Kind)
}

// startDeadline is when a run must have started, zero for never, or when it has.
func (g *Gates) startDeadline(ctx context.Context, run ulid.ULID, cfg *function.Timeouts) (time.Time, error) {
	within, _ := cfg.StartLimit() // one that cannot be read is none
	if within <= 0 {
		return time.Time{}, nil
	}
	m, err := g.runs.Metadata(ctx, run)
	if err != nil || m.StartedAt != 0 {
		return time.Time{}, err
	}
	entries, _, err := g.jobs.OfRun(ctx, run)
	if err != nil {
		return time.Time{}, err
	}
	from := int64(run.Time())
	for _, e := range entries {
		if begun(e) {
			return time.Time{}, nil
		}
		if e.Item.Data.Kind == format.KindStart {
			from = max(from, e.Item.WallTime)
		}
	}
	return time.UnixMilli(from).Add(within), nil
}

// begun tells that a run's call was made, or is being made: that it has started is
// only noted when it ends.
func begun(e *jobs.Entry) bool {
	return e.Item.Data.Kind != format.KindStart || e.Item.Data.Attempt > 0 ||
		format.Leased(e.Item.LeaseID, time.Now().UnixMilli())
}

// finishDeadline is when a run must have finished, zero for never. The job that
// looks, made at that time, comes before it is noted that the run has started.
func (g *Gates) finishDeadline(ctx context.Context, run ulid.ULID, cfg *function.Timeouts, made int64) (time.Time, error) {
	within, _ := cfg.FinishLimit() // one that cannot be read is none
	if within <= 0 {
		return time.Time{}, nil
	}
	m, err := g.runs.Metadata(ctx, run)
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(cmp.Or(m.StartedAt, made)).Add(within), nil
}

// lookAgain adds a job that looks at another time.
func (g *Gates) lookAgain(ctx context.Context, item *format.Item, prefix string, at time.Time) error {
	next := *item
	next.ID, next.At = function.Hash(prefix+item.ID), at.UnixMilli()
	next.LeaseID, next.EarliestPeek, next.Generation, next.Data.Attempt = nil, 0, 0, 0
	if _, err := g.jobs.Enqueue(ctx, time.Now(), &next); err != nil {
		return err
	}
	g.Node.Expect(next.Partition(), at)
	return nil
}
