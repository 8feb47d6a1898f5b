package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
)

// TestRunPage shows captured runs.
func TestRunPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(cfg *Config) { cfg.History = capturedHistory(t) })
	rows := tracetest.Rows(t, "..")
	for run, want := range map[string][]string{
		"01M8AFYQRBJYS7G4394TAY6VKP": { // two steps, again
			`<span class="status Completed">Completed</span>`, "it repeats", `href="/runs/01M8AFXH1GDVC7F2ZK72ESG24S"`, "fx/steps",
			">function<details>", "<summary class=\"muted\">output</summary>", `<i style="left:`,
		},
		"01M8AFXJQGEVVSKHX6TBTRFQT9": {`<span class="status Skipped">Skipped</span> <span class="muted">Singleton</span>`},
		"01M8AFX6VRYA27ND8Y19ECVV4Y": {"by the schedule <code>* * * * *</code>", "inngest/scheduled.timer"},
	} {
		f.spans.rows = tracetest.OfRun(rows, run)
		w := f.do(t, "GET", "/runs/"+run, "")
		require.Equal(t, 200, w.Code, run)
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
		for _, text := range want {
			require.Contains(t, w.Body.String(), text, run)
		}
		require.NotContains(t, w.Body.String(), "http-equiv", "it has ended")
	}
	require.Equal(t, 404, f.do(t, "GET", "/runs/"+goneRun, "").Code)
	require.Equal(t, 400, f.do(t, "GET", "/runs/x", "").Code)
}

func TestRunPageOfALiveRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := ranRun()
	f.history.RunScheduled(run)
	f.history.RunWaits(run.ID, "<b>retry</b>")
	page := f.do(t, "GET", "/runs/"+knownRun, "").Body.String()
	require.Contains(t, page, `http-equiv="refresh"`)
	require.Contains(t, page, "&lt;b&gt;retry")
	require.Contains(t, page, "Nothing has been written of it yet")

	require.Contains(t, f.do(t, "GET", "/", "").Body.String(), `<a href="/runs/`+knownRun+`">`)
	require.Equal(t, 401, newFixture(t, inStart).do(t, "GET", "/runs/"+knownRun, "").Code)
}

func TestShowSteps(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time {
		return now.Truncate(time.Millisecond).Add(time.Duration(second) * time.Second)
	}
	attributes := func(m map[string]any) json.RawMessage {
		text, err := json.Marshal(m)
		require.NoError(t, err)
		return text
	}
	root := trace.Row{Name: trace.NameRun, SpanID: "r", DynamicID: "r", ParentID: trace.NoParent, RunID: knownRun, Start: at(0), End: at(0)}
	step := trace.Row{
		Name: "executor.step", SpanID: "s", DynamicID: "s", ParentID: "r", RunID: knownRun, Start: at(5), End: at(5),
		Attributes: attributes(map[string]any{
			"_inngest.dynamic.status": "Failed", "_inngest.step.name": "pay", "_inngest.step.op": "StepRun",
			"_inngest.started_at": at(5).UnixMilli(), "_inngest.ended_at": at(6).UnixMilli(),
		}),
		Output: json.RawMessage(`{"error":{"message":"no money"}}`),
	}
	steps := showSteps([]trace.Row{root, step}, at(10))
	require.Len(t, steps, 1)
	require.Contains(t, steps[0].Output, "no money")
	steps[0].Output = ""
	require.Equal(t, stepView{
		Name: "pay", Op: "RUN", Status: "FAILED", Took: "1s", StartedAt: "2026-11-25 23:00:57", Left: 50, Width: 10,
	}, steps[0])
	require.Empty(t, showSteps(nil, now))
}

func TestIndented(t *testing.T) {
	t.Parallel()
	require.Empty(t, indented(nil))
	require.Equal(t, "{\n  \"a\": 1\n}", indented(json.RawMessage(`{"a":1}`)))
	require.Equal(t, "{", indented(json.RawMessage(`{`)), "what is no JSON is shown as it is")
	require.LessOrEqual(t, len(indented(json.RawMessage(`"`+strings.Repeat("é", maxShown)+`"`))), maxShown)
}
