package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/gates"
	"jetstep/function"
	"jetstep/state"
)

// functions tells the engine about functions as they are registered at present.
type functions struct{ s *Server }

var _ engine.Functions = functions{}

// Attempts implements engine.Functions.
func (f functions) Attempts(id uuid.UUID) int {
	if fn, ok := f.s.cfg.Registry.Known(id); ok {
		return fn.Retries() + 1
	}
	return function.DefaultRetries + 1
}

// App implements engine.Functions; zero for a function that is not known.
func (f functions) App(id uuid.UUID) uuid.UUID {
	fn, _ := f.s.cfg.Registry.Known(id)
	return fn.App
}

// Limits implements engine.Functions. Of a function that is not registered (yet)
// nothing is handed out: its app may be about to register, and its jobs wait for
// it. A durable endpoint has no limits, and need not be registered.
func (f functions) Limits(id uuid.UUID) engine.Limits {
	fn, ok := f.s.cfg.Registry.Known(id)
	if !ok && f.s.isEndpoint(id) {
		return engine.Limits{}
	}
	f.s.noteUnknown(id, ok)
	if !ok {
		return engine.Limits{Unknown: true}
	}
	return limitsOf(fn.Function)
}

// noteUnknown says once of each function that it has jobs and is not registered.
func (s *Server) noteUnknown(id uuid.UUID, known bool) {
	s.mu.Lock()
	_, told := s.unknown[id]
	switch {
	case known && told:
		delete(s.unknown, id)
	case !known:
		s.unknown[id] = struct{}{}
	}
	s.mu.Unlock()
	if !known && !told {
		s.cfg.Log.Warn("jobs wait for a function that is not registered", "function_id", id)
	}
	if known && told {
		s.cfg.Log.Info("a function whose jobs waited is registered", "function_id", id)
	}
}

// isEndpoint tells whether a function that is not registered is a durable endpoint. It
// asks Redis, but when it knows that it is one.
func (s *Server) isEndpoint(id uuid.UUID) bool {
	s.mu.Lock()
	_, known := s.endpoints[id]
	s.mu.Unlock()
	if known {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), pingWithin)
	defer cancel()
	if !s.OfEndpoint(ctx, id) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.endpoints) >= maxEndpoints {
		clear(s.endpoints) // they are asked for again
	}
	s.endpoints[id] = struct{}{}
	return true
}

// maxEndpoints is how many endpoints are remembered that are not registered.
const maxEndpoints = 10_000

// limitsOf are the limits of a function's configuration.
func limitsOf(fn *function.Function) engine.Limits {
	var l engine.Limits
	l.FinishWithin, _ = fn.Timeouts.FinishLimit() // one that cannot be read is none
	if fn.Concurrency != nil {
		l.Concurrency = fn.Concurrency.FunctionLimit()
	}
	for _, k := range fn.Concurrency.Keyed() {
		l.Keys = append(l.Keys, engine.KeyLimit{Scope: scopeOf(k.Scope), Hash: k.Hash, Limit: k.Effective()})
	}
	if t := fn.Throttle; t != nil {
		if period, err := t.Window(); err == nil && period > 0 {
			l.Throttle = &engine.Throttle{
				Hash: function.Hash(t.Key), Limit: int(t.Limit), Burst: int(t.Burst), Period: period.Milliseconds(),
			}
		}
	}
	return l
}

func scopeOf(scope function.Scope) format.Scope {
	switch scope {
	case function.ScopeEnvironment:
		return format.OfEnvironment
	case function.ScopeAccount:
		return format.OfAccount
	}
	return format.OfFunction
}

// syncRetry is the pause after what is registered could not be put into force; it
// doubles up to maxSyncRetry.
const (
	syncRetry    = 500 * time.Millisecond
	maxSyncRetry = 15 * time.Second
)

// follow puts into force what is registered, now and after each change.
func (s *Server) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	unwatch := s.cfg.Registry.Watch(func() {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	})
	s.stop = func() {
		unwatch()
		cancel()
	}
	s.working.Go(func() {
		for ctx.Err() == nil {
			s.untilInForce(ctx)
			select {
			case <-ctx.Done():
			case <-s.changed:
			}
		}
	})
}

// untilInForce tries until what is registered is in force.
func (s *Server) untilInForce(ctx context.Context) {
	for pause := syncRetry; ; pause = min(2*pause, maxSyncRetry) {
		err := s.putInForce(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.cfg.Log.Warn("schedules and limits that are registered are put into force later", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (s *Server) putInForce(ctx context.Context) error {
	active := s.cfg.Registry.Active()
	if err := s.gates.Sync(ctx, active); err != nil {
		return err
	}
	if err := s.mendBatches(ctx, active); err != nil {
		return err
	}
	for _, fn := range active {
		for i := range fn.Cancellations {
			if err := s.sweep(ctx, &fn, &fn.Cancellations[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// mendBatches gives the batches of functions a job that have none, once for each
// function, unless somebody else goes on with them.
func (s *Server) mendBatches(ctx context.Context, active []gates.Known) error {
	var fresh []uuid.UUID
	s.mu.Lock()
	for _, fn := range active {
		if _, done := s.mended[fn.ID]; fn.EventBatch != nil && !done {
			fresh = append(fresh, fn.ID)
		}
	}
	s.mu.Unlock()
	if len(fresh) == 0 || s.cfg.Elsewhere != nil {
		return nil
	}
	if err := s.gates.MendBatches(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fn := range fresh {
		s.mended[fn] = struct{}{}
	}
	return nil
}

// sweep cancels the runs that a cancellation covers, once. Every live run has a
// job in the partition of its function.
func (s *Server) sweep(ctx context.Context, fn *gates.Known, c *function.Cancellation) error {
	s.mu.Lock()
	_, done := s.swept[c.ID]
	s.mu.Unlock()
	if done {
		return nil
	}
	err := s.EachRun(ctx, fn.ID, func(run ulid.ULID) error {
		if !c.Covers(run) {
			return nil
		}
		live, err := s.Load(ctx, run)
		if err == nil && fits(c, live) {
			err = s.Node.Cancel(ctx, run, "cancellation:"+c.ID.String())
		}
		if errors.Is(err, state.ErrRunNotFound) {
			return nil // it has ended
		}
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.swept[c.ID] = struct{}{}
	s.mu.Unlock()
	return nil
}

// fits tells whether a run fits the expression of a cancellation. One that fails
// does not match.
func fits(c *function.Cancellation, run *state.Run) bool {
	in := function.Inputs{Event: run.Events[0]}
	ok, err := in.Holds(c.If)
	return ok && err == nil
}
