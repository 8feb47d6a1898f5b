package engine

import (
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/function"
	"jetstep/state"
)

// pauseOf writes a new wait as a pause. invocation is the event that an invoke
// sends.
func pauseOf(id *format.Identifier, w *state.NewWait, now time.Time, invocation ulid.ULID) *format.Pause {
	run := id.RunID.String()
	p := &format.Pause{
		ID: function.PauseID(run, w.Wait.Step), EnvironmentID: id.EnvironmentID,
		Run:      format.PauseRun{RunID: id.RunID, FunctionID: id.FunctionID, AccountID: id.AccountID},
		Outgoing: w.Wait.Step, Incoming: format.EdgeStep, DataKey: w.Wait.Step, Expires: w.Timeout.Due,
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
