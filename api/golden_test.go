package api

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
	"jetstep/history/reader"
	"jetstep/history/trace/tracetest"
	"jetstep/history/view/viewtest"
)

// hexID is a ULID as captured rows have it.
type hexID ulid.ULID

func (h *hexID) UnmarshalJSON(text []byte) error {
	raw, err := hex.DecodeString(strings.Trim(string(text), `"\x`))
	copy(h[:], raw)
	return err
}

// clock is a time without a zone.
type clock time.Time

func (c *clock) UnmarshalJSON(text []byte) error {
	at, err := time.Parse("2006-01-02T15:04:05", strings.Trim(string(text), `"`))
	*c = clock(at)
	return err
}

type functionRunRow struct {
	RunID      hexID     `json:"run_id"`
	StartedAt  clock     `json:"run_started_at"`
	FunctionID uuid.UUID `json:"function_id"`
	Version    int       `json:"function_version"`
	EventID    hexID     `json:"event_id"`
	BatchID    hexID     `json:"batch_id"`
	Original   hexID     `json:"original_run_id"`
	Cron       string    `json:"cron"`
}

type finishRow struct {
	RunID     hexID  `json:"run_id"`
	Status    string `json:"status"`
	Output    string `json:"output"`
	CreatedAt clock  `json:"created_at"`
}

// capturedHistory is a database with what the older API reads of the captured
// one.
func capturedHistory(t *testing.T) reader.Older {
	const root = ".."
	store, err := database.Open(t.Context(), database.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	records := &database.Records{}
	for _, e := range viewtest.Load(t, root).EventRows {
		row := database.Event{InternalID: e.InternalID, ReceivedAt: e.ReceivedAt, ID: e.ID, Name: e.Name, Data: e.Data, User: e.User, Timestamp: e.Timestamp}
		if e.Version != nil {
			row.Version = *e.Version
		}
		records.Events = append(records.Events, row)
	}
	tracetest.Table(t, root, "function_runs", func(r functionRunRow) {
		records.Runs = append(records.Runs, database.FunctionRun{
			RunID: ulid.ULID(r.RunID), StartedAt: time.Time(r.StartedAt), FunctionID: r.FunctionID, FunctionVersion: r.Version, TriggerType: "event",
			EventID: ulid.ULID(r.EventID), BatchID: ulid.ULID(r.BatchID), OriginalRunID: ulid.ULID(r.Original), Cron: r.Cron,
		})
	})
	tracetest.Table(t, root, "function_finishes", func(r finishRow) {
		records.Finishes = append(records.Finishes, database.FunctionFinish{
			RunID: ulid.ULID(r.RunID), Status: r.Status, Output: r.Output, CreatedAt: time.Time(r.CreatedAt),
		})
	})
	for _, row := range tracetest.Rows(t, root) {
		var a struct {
			Status string      `json:"_inngest.dynamic.status"`
			Events []ulid.ULID `json:"_inngest.event.ids"`
		}
		_ = json.Unmarshal(row.Attributes, &a) // of the fixture
		records.Spans = append(records.Spans, database.Span{
			SpanID: row.SpanID, TraceID: row.TraceID, ParentSpanID: row.ParentID, DynamicSpanID: row.DynamicID, Name: row.Name,
			StartTime: row.Start, EndTime: row.End, Attributes: row.Attributes, Output: row.Output, EventIDs: a.Events,
			AppID: uuid.MustParse(row.AppID), FunctionID: uuid.MustParse(row.FunctionID), RunID: ulid.MustParse(row.RunID), Status: a.Status,
		})
	}
	require.NoError(t, store.Write(t.Context(), records))
	return reader.NewOlder(store)
}

// TestCapturedAnswers asks what the original was asked. It answered with empty
// outputs and without an environment, and never more than 51 events.
func TestCapturedAnswers(t *testing.T) {
	t.Parallel()
	captured := time.Date(2026, 11, 25, 23, 20, 27, 0, time.UTC)
	f := newFixture(t, func(cfg *Config) { cfg.History, cfg.Now = capturedHistory(t), func() time.Time { return captured } })
	for _, name := range []string{"event", "events", "event-runs", "run"} {
		text, err := os.ReadFile(filepath.Join("..", tracetest.Fixtures, "expected", "rest-"+name+".json"))
		require.NoError(t, err)
		var golden struct {
			Request  string
			Response struct{ Data any }
		}
		require.NoError(t, json.Unmarshal(text, &golden))
		method, target, _ := strings.Cut(golden.Request, " ")
		w := f.do(t, method, target, "")
		require.Equal(t, 200, w.Code, golden.Request)
		var answer struct{ Data any }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		switch name {
		case "run":
			golden.Response.Data.(map[string]any)["environment_id"] = "00000000-0000-4000-b000-000000000000"
			golden.Response.Data.(map[string]any)["output"] = map[string]any{"a": map[string]any{"a": 1.0}, "b": 2.0}
		case "event-runs":
			golden.Response.Data.([]any)[0].(map[string]any)["output"] = map[string]any{"hello": "Ada"}
		}
		require.Equal(t, golden.Response.Data, answer.Data, golden.Request)
	}
}

func TestCapturedRunsOfAllKinds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(cfg *Config) { cfg.History = capturedHistory(t) })
	for run, want := range map[string][]string{
		// skipped by a singleton
		"01M8AFXJQGEVVSKHX6TBTRFQT9": {`"status":"Skipped"`, `"reason":"Singleton"`, `"existing_run_id":"01M8AFXHR4NH9PJF5BV8DB259W"`, `"run_started_at":"2026-11-25T23:16:12.144Z"`},
		// cancelled
		"01M8AFXH27RAFZ1EATVTKM5PJZ": {`"status":"Cancelled"`, `"ended_at":"2026-11-25T23:16:14.208835Z"`, `"output":{}`},
		// failed
		"01M8AFXH3CDH861Q5MXRH6G76K": {`"status":"Failed"`, `"output":{"__serialized":true,"cause":`},
		// by a schedule
		"01M8AFX6VRYA27ND8Y19ECVV4Y": {`"cron":"* * * * *"`, `"output":"tick"`},
	} {
		w := f.do(t, "GET", "/v1/runs/"+run, "")
		require.Equal(t, 200, w.Code, run)
		for _, text := range want {
			require.Contains(t, w.Body.String(), text)
		}
	}
	require.Equal(t, 404, f.do(t, "GET", "/v1/runs/"+goneRun, "").Code)
	require.Equal(t, 404, f.do(t, "GET", "/v1/events/"+goneRun, "").Code)
	page := f.do(t, "GET", "/", "").Body.String()
	require.Contains(t, page, "do not retry", "the error of a failed run")
}
