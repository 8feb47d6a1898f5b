package projector

import (
	"encoding/json"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/state"
)

// TestEntriesOfALaterBatch has what was written of a run before in another batch:
// all entries name its first event and its key nevertheless.
func TestEntriesOfALaterBatch(t *testing.T) {
	t.Parallel()
	run, event, fn := aRun(1), aRun(2), benchFunction
	about := state.About{EventID: event, Idempotency: "i"}
	for name, ops := range map[string][]state.Op{
		"a call":            {&state.Called{RunID: run, FunctionID: fn, Job: state.Job{ID: "j"}, About: about}},
		"a wait that ended": {&state.StepEnded{RunID: run, FunctionID: fn, Step: "s", Kind: state.WaitEvent, About: about}},
		"its end":           {&state.RunFinished{RunID: run, FunctionID: fn, Status: state.Cancelled, EventIDs: []ulid.ULID{event}, Idempotency: "i"}},
	} {
		b := newBatch(registered{}, false)
		b.record(&state.Record{At: benchBegan, Ops: ops})
		b.seal()
		require.NotEmpty(t, b.rows.History, name)
		for _, entry := range b.rows.History {
			require.Equal(t, event, entry.EventID, name)
			require.Equal(t, fn.String()+":i", entry.IdempotencyKey, name)
		}
	}
}

func TestASkippedRerunNamesTheOtherRun(t *testing.T) {
	t.Parallel()
	b := newBatch(registered{}, false)
	b.record(&state.Record{At: benchBegan, Ops: []state.Op{&state.RunSkipped{
		RunID: aRun(1), FunctionID: benchFunction, Reason: state.SkipPaused, Original: aRun(2),
	}}})
	require.Contains(t, string(b.rows.Spans[0].Attributes), `"_inngest.run.replay_original_run_id":"`+aRun(2).String()+`"`)
}

// TestRunsToDebug name what they were made for, as their start or the event that
// invoked them says.
func TestRunsToDebug(t *testing.T) {
	t.Parallel()
	session, debugRun := aRun(8), aRun(9)
	invoked := func(ids string) state.Run {
		return state.Run{ID: aRun(1), FunctionID: benchFunction, Trigger: state.EventInvoked, Events: []json.RawMessage{json.RawMessage(`{"data":{"_inngest":{` + ids + `"fn_id":"f"}}}`)}}
	}
	for name, test := range map[string]struct {
		run           state.Run
		session, made string
	}{
		"made again": {state.Run{ID: aRun(1), FunctionID: benchFunction, Debug: &state.Debug{Session: session, Run: debugRun}}, session.String(), debugRun.String()},
		"invoked":    {invoked(`"debug_session_id":"` + session.String() + `","debug_run_id":"` + debugRun.String() + `",`), session.String(), debugRun.String()},
		"half":       {invoked(`"debug_run_id":"` + debugRun.String() + `",`), "", debugRun.String()},
		"no id":      {invoked(`"debug_run_id":"x",`), "", ""},
		"not":        {invoked(``), "", ""},
	} {
		b := newBatch(registered{}, false)
		b.record(&state.Record{At: benchBegan, Ops: []state.Op{&state.RunPut{Run: test.run}}})
		b.seal()
		require.Len(t, b.rows.Spans, 1, name)
		require.Equal(t, []string{test.session, test.made}, []string{b.rows.Spans[0].DebugSessionID, b.rows.Spans[0].DebugRunID}, name)
	}
}
