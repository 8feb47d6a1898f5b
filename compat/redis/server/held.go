package server

import (
	"context"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/function"
)

// Limit is a limit that a job waits for.
type Limit struct {
	Kind  string // "throttle", "concurrency" or "runs"
	Scope function.Scope
	Key   string // expression, "" for none
}

// Held are the limits that jobs of a run wait for, by job, as far as this process
// has asked. Nothing is known of a run that cannot be read now.
func (s *Server) Held(ctx context.Context, id ulid.ULID) map[string]Limit {
	run, err := s.Load(ctx, id)
	if err != nil {
		return nil
	}
	held := map[string]Limit{}
	for i := range run.Jobs {
		by, refused := s.Refused(run.Jobs[i].ID)
		if !refused {
			continue
		}
		if fn, ok := s.cfg.Registry.Known(run.FunctionID); ok {
			held[run.Jobs[i].ID] = limitOf(fn.Function, by)
		}
	}
	return held
}

// limitOf is a limit of Redis in the function's terms.
func limitOf(fn *function.Function, by format.Constraint) Limit {
	switch by.Kind {
	case format.ConstraintThrottle:
		l := Limit{Kind: "throttle", Scope: function.ScopeFunction}
		if fn.Throttle != nil {
			l.Key = fn.Throttle.Key
		}
		return l
	case format.ConstraintSemaphore:
		l := Limit{Kind: "runs", Scope: function.ScopeFunction}
		if runs, ok := fn.Concurrency.RunLimit(); ok {
			l.Key = runs.Key
		}
		return l
	}
	l := Limit{Kind: "concurrency", Scope: function.ScopeFunction}
	if c := by.Concurrency; c != nil {
		switch c.Scope {
		case format.ScopeAccount:
			l.Scope = function.ScopeAccount
		case format.ScopeEnvironment:
			l.Scope = function.ScopeEnvironment
		}
		for _, k := range fn.Concurrency.Keyed() {
			if k.Hash == c.Hash && k.Scope == l.Scope {
				l.Key = k.Key
			}
		}
	}
	return l
}
