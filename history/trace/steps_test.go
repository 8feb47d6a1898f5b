package trace_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
)

// TestStepsOfCapturedRuns reads the steps of runs of the original.
func TestStepsOfCapturedRuns(t *testing.T) {
	t.Parallel()
	rows := tracetest.Rows(t, root)
	type memo struct{ id, memo string }
	for slug, want := range map[string][]memo{
		"fixture-app-two-steps":     {{"first", `{"data":{"a":1}}`}, {"second", `{"data":2}`}},
		"fixture-app-sleeper":       {{"short-nap", `null`}, {"after", `{"data":"awake"}`}},
		"fixture-app-parallel":      {{"right", `{"data":"R"}`}, {"left", `{"data":"L"}`}},
		"fixture-app-retry-step":    {{"flaky", `{"data":"ok on attempt 1"}`}},
		"fixture-app-parent":        {{"call-child", `{"data":{"doubled":42}}`}},
		"fixture-app-signal-waiter": {{"sig", `{"data":{"data":{"s":"hello signal"}, "signal":"fx-signal-1"}}`}},
		"fixture-app-cancellable":   {{"before", `{"data":1}`}, {"long", ``}},
		"fixture-app-hello":         nil,
	} {
		steps := trace.Steps(tracetest.OfRun(rows, latestRun(t, rows, slug)))
		var got []memo
		for _, s := range steps {
			require.Equal(t, s.Memo != nil, s.Finished)
			got = append(got, memo{s.UserID, strings.ReplaceAll(string(s.Memo), `": `, `":`)}) // as jsonb shows it
		}
		require.Equal(t, want, got, slug)
	}
}

func TestOriginOfCapturedRuns(t *testing.T) {
	t.Parallel()
	rows := tracetest.Rows(t, root)
	rerun := trace.OriginOf(tracetest.OfRun(rows, "01M8AFYQRBJYS7G4394TAY6VKP"))
	require.Equal(t, "01M8AFXH1GDVC7F2ZK72ESG24S", rerun.Original)
	require.Len(t, rerun.Events, 1)
	require.JSONEq(t, `{"id":"01M8AFXGSSHBK1K6325RADC40H","ts":1795648570169,"data":{},"name":"fx/steps"}`, string(rerun.Events[0]))

	batch := trace.OriginOf(tracetest.OfRun(rows, latestRun(t, rows, "fixture-app-batched")))
	require.Empty(t, batch.Original)
	require.Len(t, batch.Events, 3)
	require.Zero(t, trace.OriginOf(nil))
}

// TestStepsOfARunUnderWay has a step that was planned, one that failed, and one
// that is tried again.
func TestStepsOfARunUnderWay(t *testing.T) {
	t.Parallel()
	row := func(dynamic, status, step, output string) trace.Row {
		r := trace.Row{SpanID: dynamic + status, DynamicID: dynamic, ParentID: "run", Name: trace.NameStep,
			Attributes: []byte(`{"_inngest.dynamic.status":"` + status + `","_inngest.step.id":"` + step + `"}`)}
		if output != "" {
			r.Output = []byte(output)
		}
		return r
	}
	steps := trace.Steps([]trace.Row{
		row("1", "Queued", "planned", ""),
		row("2", "Errored", "again", `{"error":{"message":"x"}}`),
		row("3", "Failed", "failed", `"{\"error\":{\"message\":\"y\"}}"`),
		{SpanID: "4", Name: trace.NameExecution, Attributes: []byte(`{"_inngest.dynamic.status":"Completed","_inngest.step.id":"failed"}`)},
	})
	require.Equal(t, []trace.Step{
		{ID: "failed", Finished: true, Memo: []byte(`{"error":{"message":"y"}}`)}, {ID: "planned"}, {ID: "again"},
	}, steps)
}

// TestStepsThatWereKept are those of a run that was made again from a step.
func TestStepsThatWereKept(t *testing.T) {
	t.Parallel()
	require.Nil(t, trace.MarshalKept(nil))
	kept := []trace.Step{{ID: "a", Finished: true, Memo: []byte(`{"data":1}`)}, {ID: "b", Finished: true, Memo: []byte(`null`)}}
	text, err := json.Marshal(map[string]string{"_inngest." + trace.KeptSteps: string(trace.MarshalKept(kept))})
	require.NoError(t, err)
	steps := trace.Steps([]trace.Row{
		{SpanID: "1", Name: trace.NameRun, ParentID: trace.NoParent, Attributes: text},
		{SpanID: "2", Name: trace.NameStep, ParentID: "1", Output: []byte(`{"data":2}`),
			Attributes: []byte(`{"_inngest.step.id":"c","_inngest.dynamic.status":"Completed"}`)},
	})
	require.Equal(t, append(kept, trace.Step{ID: "c", Finished: true, Memo: []byte(`{"data":2}`)}), steps)
	require.Empty(t, trace.Steps([]trace.Row{{Name: trace.NameRun, Attributes: []byte(`{"_inngest.jetstep.kept_steps":7}`)}}))
}

// latestRun is the last run of a function.
func latestRun(t *testing.T, rows []trace.Row, slug string) string {
	t.Helper()
	found := ""
	for _, row := range rows {
		if row.Name == trace.NameRun && row.RunID > found && strings.Contains(string(row.Attributes), `"`+slug+`"`) {
			found = row.RunID
		}
	}
	require.NotEmpty(t, found, slug)
	return found
}
