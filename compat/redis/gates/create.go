package gates

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/function"
	"jetstep/state"
)

// create makes the run, or tells why it is skipped.
func (g *Gates) create(ctx context.Context, s *starting) (Result, error) {
	if s.Paused {
		return Result{Outcome: Skipped}, g.skip(ctx, s, state.SkipPaused, ulid.ULID{})
	}
	key := s.singletonKey(g)
	if key == "" {
		return g.make(ctx, s, key)
	}
	holder, held, err := g.holder(ctx, key)
	switch {
	case err != nil:
		return Result{}, err
	case held && s.Singleton.Mode != function.SingletonCancel:
		return Result{Outcome: Skipped}, g.skip(ctx, s, state.SkipSingleton, holder)
	case held:
		// It ends first, which frees the key: broken off here, it is done again.
		if err := g.cancel(ctx, holder, "singleton:"+s.EventIDs[0].String()); err != nil {
			return Result{}, err
		}
	}
	return g.make(ctx, s, key)
}

// cancel cancels a run that may have ended. What is left of one whose end broke off
// goes.
func (g *Gates) cancel(ctx context.Context, run ulid.ULID, by string) error {
	err := g.Node.Cancel(ctx, run, by)
	if errors.Is(err, state.ErrRunNotFound) {
		return nil
	}
	return err
}

// singletonKey is the key that the run has to hold, "" for none (flow-control
// §16).
func (s *starting) singletonKey(g *Gates) string {
	cfg := s.Singleton
	if cfg == nil {
		return ""
	}
	if cfg.Key == "" {
		return function.FunctionKey(s.ID)
	}
	text, off, err := s.in.KeyText(cfg.Key)
	g.complain(s.Function, cfg.Key, err)
	if off {
		return ""
	}
	return function.FunctionValueKey(s.ID, text)
}

// holder is the run that holds the key of a singleton. One that is gone, because
// its end broke off or its state was deleted by hand, holds nothing: what is left
// of it goes.
func (g *Gates) holder(ctx context.Context, key string) (run ulid.ULID, held bool, err error) {
	run, held, err = g.jobs.Singleton(ctx, key)
	if err != nil || !held {
		return run, false, err
	}
	_, err = g.runs.Metadata(ctx, run)
	if !errors.Is(err, format.ErrNoRun) {
		return run, err == nil, err
	}
	if err := g.cancel(ctx, run, "gone"); err != nil {
		return run, false, err
	}
	if _, err := g.jobs.FreeSingleton(ctx, key, run); err != nil {
		return run, false, err
	}
	return g.jobs.Singleton(ctx, key)
}

// make makes the run, and cancels it at once if it is cancelled in bulk already.
func (g *Gates) make(ctx context.Context, s *starting, singleton string) (Result, error) {
	run, ended, err := g.Node.Start(ctx, g.startOf(s, singleton))
	if errors.Is(err, engine.ErrSingletonTaken) {
		holder, _, err := g.jobs.Singleton(ctx, singleton)
		if err != nil {
			return Result{}, err
		}
		return Result{Outcome: Skipped}, g.skip(ctx, s, state.SkipSingleton, holder)
	}
	switch {
	case err != nil:
		return Result{}, err
	case ended, !s.RunID.IsZero() && run != s.RunID:
		return Result{Outcome: Idempotency, Run: run}, nil
	}
	if c := s.cancelledInBulk(run); c != nil {
		if err := g.cancel(ctx, run, "cancellation:"+c.ID.String()); err != nil {
			return Result{}, err
		}
	}
	return Result{Outcome: Success, Run: run}, nil
}

// cancelledInBulk is the cancellation that covers a run, nil for none.
func (s *starting) cancelledInBulk(run ulid.ULID) *function.Cancellation {
	for i := range s.Cancellations {
		c := &s.Cancellations[i]
		if !c.Covers(run) {
			continue
		}
		if fits, err := s.in.Holds(c.If); err == nil && fits {
			return c
		}
	}
	return nil
}

// startOf is the start as the engine takes it.
func (g *Gates) startOf(s *starting, singleton string) *engine.Start {
	start := &engine.Start{
		RunID: s.RunID, FunctionID: s.ID, FunctionVersion: s.Version, Slug: s.Slug, AppID: s.App, Key: s.Idempotency,
		Events: s.Events, EventIDs: s.EventIDs, Cron: s.Cron, BatchID: s.BatchID, Debounced: s.debounced,
		Original: s.Original, Steps: s.Steps, Inputs: s.Inputs, Debug: s.Debug, At: s.NotBefore,
		Flow: g.flow(s),
	}
	start.Flow.Singleton = singleton
	if !s.BatchID.IsZero() {
		return start // neither cancelled by events, nor has it to start in time
	}
	start.Flow.StartWithin, _ = s.Timeouts.StartLimit() // one that cannot be read is none
	start.Cancels = g.cancels(s)
	return start
}

// flow evaluates what flow control has to know of the run as long as it lives.
func (g *Gates) flow(s *starting) engine.Flow {
	var f engine.Flow
	if s.Priority != nil {
		factor, err := s.in.Priority(s.Priority.Run)
		g.complain(s.Function, s.Priority.Run, err)
		f.Priority = int64(factor)
	}
	for _, l := range s.Concurrency.Keyed() {
		f.Concurrency = append(f.Concurrency, format.ConcurrencyKey{
			Key: function.ConcurrencyKey(l.Scope, g.scopeID(s, l.Scope), g.keyText(s, l.Key)), Hash: l.Hash, Limit: l.Effective(),
		})
	}
	if l, ok := s.Concurrency.RunLimit(); ok {
		semaphore := format.Semaphore{ID: function.RunSemaphore(s.ID, l.Key), Weight: 1, Release: format.ReleaseManual}
		if l.Key != "" {
			semaphore.Value = function.Hash(g.keyText(s, l.Key))
		}
		f.Semaphores = []format.Semaphore{semaphore}
	}
	f.Throttle = g.throttle(s)
	return f
}

// keyText is the text of a key's value; an expression that fails has that of no
// value.
func (g *Gates) keyText(s *starting, expression string) string {
	text, _, err := s.in.KeyText(expression)
	g.complain(s.Function, expression, err)
	return text
}

func (g *Gates) scopeID(s *starting, scope function.Scope) uuid.UUID {
	switch scope {
	case function.ScopeEnvironment:
		return g.Node.Environment
	case function.ScopeAccount:
		return g.Node.Account
	}
	return s.ID
}

// throttle is the throttle of the run's start, nil for none (flow-control §15).
func (g *Gates) throttle(s *starting) *format.Throttle {
	cfg := s.Throttle
	if cfg == nil {
		return nil
	}
	period, err := cfg.Window()
	if err != nil {
		g.complain(s.Function, cfg.Period, err) // registration refuses it
		return nil
	}
	key := function.ThrottleKey(s.ID)
	if cfg.Key != "" {
		key = function.ThrottleValueKey(s.ID, g.keyText(s, cfg.Key))
	}
	return &format.Throttle{
		Key: key, Limit: int(cfg.Limit), Burst: int(cfg.Burst), Period: int(period / time.Second), ExpressionHash: function.Hash(cfg.Key),
	}
}

// cancels are the events that cancel the run (flow-control §18).
func (g *Gates) cancels(s *starting) []engine.Cancel {
	var all []engine.Cancel
	for _, c := range s.Cancel {
		until, err := c.Expires(time.Now())
		if err != nil {
			g.complain(s.Function, c.Timeout, err) // a year counts
		}
		cancel := engine.Cancel{Event: c.Event, Expires: until.UnixMilli()}
		if c.If != "" {
			bound, err := s.in.Bind(c.If)
			if err != nil {
				g.complain(s.Function, c.If, err) // it never matches
				continue
			}
			cancel.Expression = bound
		}
		all = append(all, cancel)
	}
	return all
}

// skip tells of a run that is not made (flow-control §8), also whoever invoked it,
// who would wait in vain otherwise. The same start has the same id each time.
func (g *Gates) skip(ctx context.Context, s *starting, reason state.SkipReason, existing ulid.ULID) error {
	id := s.RunID
	if id.IsZero() {
		id = function.DeterministicULID(ulid.Time(s.EventIDs[0].Time()), "skipped:"+s.Idempotency)
	}
	err := g.World.Skipped(ctx, &state.RunSkipped{
		RunID: id, FunctionID: s.ID, FunctionVersion: s.Version, Slug: s.Slug,
		EventIDs: s.EventIDs, Trigger: s.Trigger, Cron: s.Cron, Reason: reason, Existing: existing,
		BatchID: s.BatchID, Original: s.Original,
	})
	if err != nil {
		return err
	}
	g.Log.Debug("run skipped", "run_id", id, "function_id", s.Slug, "reason", reason.String())
	return g.refuse(ctx, s.Correlations, state.InvokeSkipped(reason))
}
