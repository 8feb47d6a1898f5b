package partition

import (
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/state"
)

// reasonToSkip is why no run is made for a start, 0 when one is. holder is the
// run that holds the function's singleton, zero when it is free.
func (t *tx) reasonToSkip(s *starting, holder ulid.ULID) state.SkipReason {
	switch {
	case holder != (ulid.ULID{}) && s.fn.Singleton.Mode != function.SingletonCancel:
		return state.SkipSingleton
	case t.o.node.bus.Registry().Catalog().Paused(s.fn.ID):
		return state.SkipPaused
	}
	return 0
}

// skip records a run that is not made (flow-control §8), and tells whoever
// invoked it, who would wait in vain otherwise.
func (t *tx) skip(s *state.Start, fn *function.Function, reason state.SkipReason, existing ulid.ULID) {
	if reason != state.SkipSingleton {
		existing = ulid.ULID{}
	}
	t.do(&state.RunSkipped{
		RunID: s.RunID, FunctionID: fn.ID, FunctionVersion: fn.Version, Slug: fn.Slug,
		EventIDs: s.EventIDs, Trigger: s.Trigger, Cron: s.Cron,
		Reason: reason, Existing: existing, BatchID: s.BatchID, Original: s.Original,
	})
	t.o.log.Debug("run skipped", "run_id", s.RunID, "function_id", fn.Slug, "reason", reason.String())
	t.refuse(s.Correlations, state.InvokeSkipped(reason))
}

// refuseAloud ends an invoke as a run's end would: with an event.
func (t *tx) refuseAloud(correlation, text string) {
	event := t.newEvent(state.EventFinished, state.UnknownFunctionFinished(correlation, text))
	t.publish(event)
	t.answerInvoke(correlation, answered{memo: state.InvokeErrorMemo("Error", text), event: event.InternalID})
}

// refuse ends the invokes that asked for a start which makes no run.
func (t *tx) refuse(correlations []string, text string) {
	for _, correlation := range correlations {
		if correlation != "" {
			t.answerInvoke(correlation, answered{memo: state.InvokeErrorMemo("Error", text)})
		}
	}
}
