package engine

import (
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/state"
)

// WithDebug is a run's context with the ids by which people find the run who debug
// (redis-state §5.4); d may be nil.
func WithDebug(c format.Context, d *state.Debug) format.Context {
	if d == nil {
		return c
	}
	if !d.Session.IsZero() {
		c.DebugSession = d.Session.String()
	}
	if !d.Run.IsZero() {
		c.DebugRun = d.Run.String()
	}
	return c
}

// debugOf are these ids, nil for none. What is no id says nothing.
func debugOf(c *format.Context) *state.Debug {
	var d state.Debug
	d.Session, _ = ulid.ParseStrict(c.DebugSession)
	d.Run, _ = ulid.ParseStrict(c.DebugRun)
	if d == (state.Debug{}) {
		return nil
	}
	return &d
}
