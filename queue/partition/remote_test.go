package partition

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/state"
)

// A question reaches another process as it was asked.
func TestQuestionsRoundTrip(t *testing.T) {
	t.Parallel()
	version := 0
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, q := range map[string]question{
		"load": {Kind: askLoad, RunID: newEvent("e", "").InternalID},
		"no output": {Kind: askCommit, Transition: &state.Transition{
			Job: "j", Kind: state.JobEdge, Generation: 3, Version: &version, Then: state.JobRetry, RetryAt: 7, Mark: 1 << 60,
			Finish: &state.Finish{Status: state.Cancelled},
			Defers: []state.Defer{{ID: "d", Status: state.DeferRejected}},
			Waits:  []state.NewWait{{Invoke: &state.Outgoing{Name: "n", Data: raw(`{}`)}}},
		}},
		"an output of null": {Kind: askCommit, Transition: &state.Transition{
			Saves:  []state.Save{{Step: "a", Memo: raw(`null`)}, {Step: "b", Memo: raw(`{"html":"<&>"}`)}},
			Finish: &state.Finish{Status: state.Failed, Output: raw(`null`), Error: raw(`{"a":1}`)},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := encode(q)
			require.NoError(t, err)
			var got question
			require.NoError(t, json.Unmarshal(b, &got))
			require.Equal(t, q, got)
		})
	}
}

func TestAnswersRoundTrip(t *testing.T) {
	t.Parallel()
	run := &state.Run{
		Version: state.Undecided, Events: []json.RawMessage{json.RawMessage(`{"a":"<"}`)}, Jobs: []state.Job{{ID: "j"}},
		Steps: []state.Step{{ID: "a", Memo: json.RawMessage(`null`)}}, Defers: []state.Defer{{ID: "d"}},
	}
	b, err := encode(answer{Run: run})
	require.NoError(t, err)
	var got answer
	require.NoError(t, json.Unmarshal(b, &got))
	require.Equal(t, run, got.Run)
}
