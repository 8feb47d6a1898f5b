package engine

import (
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/function"
	"jetstep/state"
)

// PauseOf writes a new wait as a pause. invocation is the event that an invoke
// sends.
func PauseOf(id *format.Identifier, w *state.NewWait, now time.Time, invocation ulid.ULID) *format.Pause {
	run := id.RunID.String()
	p := &format.Pause{
		ID: function.PauseID(run, w.Wait.Step), EnvironmentID: id.EnvironmentID,
		Run:      format.PauseRun{RunID: id.RunID, FunctionID: id.FunctionID, AccountID: id.AccountID},
		Outgoing: w.Wait.Step, Incoming: format.EdgeStep, DataKey: w.Wait.Step, Expires: min(w.Timeout.Due, format.LatestTime),
		Metadata: null, CoalesceKey: w.Wait.Group, CreatedAt: now.UTC(),
	}
	if w.Timeout.MaxAttempts > 0 {
		p.MaxAttempts = &w.Timeout.MaxAttempts
	}
	if w.Wait.Race {
		p.ParallelMode = format.ModeRace
	}
	switch w.Wait.Kind {
	case state.WaitEvent:
		p.Opcode, p.Event, p.Expression = format.OpWaitForEvent, w.Wait.Name, w.If
	case state.WaitInvoke:
		// An invoke's pause names the event, though it is found otherwise (redis-state §8.1).
		p.Opcode, p.Event, p.Invoked = format.OpInvoke, state.EventFinished, w.Wait.Name
		p.Correlation = function.CorrelationID(run, w.Wait.Step)
		p.Expression = `async.data.correlation_id == "` + p.Correlation + `"`
		p.Trigger = invocation.String()
	case state.WaitSignal:
		p.Opcode, p.Signal = format.OpWaitForSignal, w.Wait.Name
	}
	return p
}

// CancelPauseOf writes what cancels a run as a pause.
func CancelPauseOf(id *format.Identifier, c Cancel, now time.Time) *format.Pause {
	expires := c.Expires
	if expires == 0 {
		expires = now.Add(function.CancelLifetime).UnixMilli()
	}
	return &format.Pause{
		ID: function.CancelPauseID(id.Key, c.Event, c.Expression), EnvironmentID: id.EnvironmentID,
		Run:     format.PauseRun{RunID: id.RunID, FunctionID: id.FunctionID, AccountID: id.AccountID},
		Expires: min(expires, format.LatestTime), Event: c.Event, Expression: c.Expression, Cancel: true, Trigger: id.EventID.String(),
		Metadata: null, CreatedAt: now.UTC(),
	}
}
