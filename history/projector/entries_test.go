package projector

import (
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
