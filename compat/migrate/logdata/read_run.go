package logdata

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"jetstep/compat/migrate"
	"jetstep/function"
	"jetstep/state"
)

// run is a run in the neutral form.
func (r *reading) run(run *state.Run, watches []state.Watch) migrate.Item {
	m := &migrate.Run{State: *run}
	s := &m.State
	s.Jobs = slices.SortedFunc(slices.Values(run.Jobs), func(a, b state.Job) int { return cmp.Compare(a.ID, b.ID) })
	s.Defers = slices.SortedFunc(slices.Values(run.Defers), func(a, b state.Defer) int { return cmp.Compare(a.ID, b.ID) })
	addWaits(m, watches)
	fn, app, ok := r.catalog.Executable(run.FunctionID)
	if ok {
		m.AppID = app
		addLimits(m, fn)
	}
	if run.Endpoint != nil {
		m.AppID = run.Endpoint.AppID
	}
	addFlow(m)
	return m.Item()
}

// addWaits says what the run waits for and what cancels it.
func addWaits(m *migrate.Run, watches []state.Watch) {
	s := &m.State
	s.Waits = slices.SortedFunc(slices.Values(s.Waits), func(a, b state.Wait) int { return cmp.Compare(a.Step, b.Step) })
	for _, w := range s.Waits {
		more := migrate.Wait{Displaced: w.Kind == state.WaitSignal}
		for _, watch := range watches {
			switch {
			case watch.Step != w.Step:
			case w.Kind == state.WaitEvent:
				more.If, more.Expires = watch.If, watch.Expires
			default:
				more.Displaced = false
			}
		}
		for i := range s.Jobs {
			if s.Jobs[i].Kind == state.JobPause && s.Jobs[i].Step == w.Step {
				more.Expires = s.Jobs[i].Due
			}
		}
		m.Waits = append(m.Waits, more)
	}
	var cancels []state.Watch
	for _, watch := range watches {
		if watch.Step == "" {
			cancels = append(cancels, watch)
		}
	}
	slices.SortFunc(cancels, func(a, b state.Watch) int { return cmp.Or(cmp.Compare(a.Event, b.Event), cmp.Compare(a.If, b.If)) })
	s.Cancels = nil
	for _, watch := range cancels {
		s.Cancels = append(s.Cancels, watch.Event)
		w := migrate.Wait{If: watch.If, Expires: watch.Expires}
		if len(s.EventIDs) > 0 {
			w.Ignored = s.EventIDs[0]
		}
		m.Cancels = append(m.Cancels, w)
	}
}

// addLimits says what the run's jobs wait for, by the function as it is now.
func addLimits(m *migrate.Run, fn *function.Function) {
	s := &m.State
	if fn.Concurrency != nil {
		for _, l := range fn.Concurrency.Steps {
			if l.Key == "" {
				continue
			}
			k := migrate.Key{Expr: l.Hash, Limit: l.Limit, Value: valueOf(s, l.Hash)}
			k.Scope, k.Scoped = scopeOf(l.Scope, fn.ID)
			if k.Value != "" {
				m.Keys = append(m.Keys, k)
			}
		}
	}
	if l, ok := fn.Concurrency.RunLimit(); ok {
		held := migrate.Held{ID: function.RunSemaphore(fn.ID, l.Key), Weight: 1, Manual: true}
		if l.Key != "" {
			held.Value = valueOf(s, l.ID)
		}
		m.Semaphores = append(m.Semaphores, held)
	}
	starts := slices.ContainsFunc(s.Jobs, func(j state.Job) bool { return j.Kind == state.JobStart })
	if t := fn.Throttle; t != nil && starts {
		period, _ := t.Window() // registration refuses what cannot be read
		m.Throttle = &migrate.Throttle{
			Expr: function.ExpressionHash(t.Key), Limit: int(t.Limit), Burst: int(t.Burst), Period: int(period.Seconds()),
		}
		m.Throttle.Value = valueOf(s, m.Throttle.Expr)
	}
	addTimeouts(m, fn)
}

// valueOf is the hash of the value of a key, "" if it is not known.
func valueOf(run *state.Run, expr string) string {
	if run.Flow == nil || expr == "" {
		return ""
	}
	for _, k := range run.Flow.Keys {
		if k.Expr == expr {
			return k.Value
		}
	}
	return ""
}

func scopeOf(s function.Scope, fn uuid.UUID) (letter string, scoped uuid.UUID) {
	switch s {
	case function.ScopeEnvironment:
		return "e", function.EnvironmentID
	case function.ScopeAccount:
		return "a", function.AccountID
	}
	return "f", fn
}

// addTimeouts says when the run must have started, or ended.
func addTimeouts(m *migrate.Run, fn *function.Function) {
	if fn.Timeouts == nil {
		return
	}
	s := &m.State
	if limit, err := fn.Timeouts.StartLimit(); err == nil && limit > 0 && s.StartedAt == 0 {
		m.Timeouts = append(m.Timeouts, migrate.Timeout{At: s.QueuedAt + limit.Milliseconds()})
	}
	if limit, err := fn.Timeouts.FinishLimit(); err == nil && limit > 0 && s.StartedAt != 0 {
		m.Timeouts = append(m.Timeouts, migrate.Timeout{Finish: true, At: s.StartedAt + limit.Milliseconds()})
	}
}

// addFlow says what else flow control knows of the run.
func addFlow(m *migrate.Run) {
	flow := state.Flow{Admitted: m.State.StartedAt != 0}
	if kept := m.State.Flow; kept != nil {
		flow = *kept
		if kept.Singleton != nil {
			if value, ok := kept.Singleton.Value(state.OfSingleton, m.State.FunctionID, ""); ok {
				m.Singleton = m.State.FunctionID.String()
				if value != "" {
					m.Singleton += "-" + value
				}
			}
		}
		flow.Singleton = nil
	}
	m.State.Flow = &flow
}
