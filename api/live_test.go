package api

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/state"
)

// fakeSpans are the rows of every run's trace.
type fakeSpans struct{ rows []trace.Row }

func (s *fakeSpans) Spans(context.Context, ulid.ULID) ([]trace.Row, error) { return s.rows, nil }

// TestStreamOfAnEndedRun is short: all that there is, and the end.
func TestStreamOfAnEndedRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := ranRun()
	f.history.RunScheduled(run)
	f.history.RunFinished(run.ID, state.Completed, json.RawMessage(`{"ok":true}`), now)
	f.spans.rows = []trace.Row{{
		Name: trace.NameRun, SpanID: "r", DynamicID: "r", ParentID: trace.NoParent, RunID: run.ID.String(), Start: now, End: now,
		Attributes: json.RawMessage(`{"_inngest.dynamic.status":"Completed"}`),
	}}
	w := f.do(t, "GET", "/v1/runs/"+knownRun+"/stream", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	var shown struct{ Data json.RawMessage }
	require.NoError(t, json.Unmarshal(f.do(t, "GET", "/v1/runs/"+knownRun, "").Body.Bytes(), &shown))
	require.Regexp(t, `^event: snapshot\ndata: {"run":{.*},"spans":\[{"id":"r",.*}\]}\n\nid: [0-9a-f]{16}\nevent: end\ndata: {.*}\n\n$`, w.Body.String())
	require.Contains(t, w.Body.String(), string(shown.Data), "the run as it is elsewhere")
}

func TestStreamOfNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(t, "GET", "/v1/runs/x/stream", "")
	require.Equal(t, 400, w.Code)
	w = f.do(t, "GET", "/v1/runs/"+knownRun+"/stream", "")
	require.Equal(t, 404, w.Code)
	require.Equal(t, f.do(t, "GET", "/v1/runs/"+knownRun, "").Body.String(), w.Body.String())
	f.cfg.Changes.Close()
	w = f.do(t, "GET", "/v1/runs/"+knownRun+"/stream", "")
	require.Equal(t, 503, w.Code)
	require.Equal(t, 401, newFixture(t, inStart).do(t, "GET", "/v1/runs/"+knownRun+"/stream", "").Code)
}
