package reader_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/graph"
	v2 "jetstep/api/v2"
	"jetstep/history/database"
	"jetstep/history/reader"
	"jetstep/history/search"
	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
	"jetstep/history/view"
	"jetstep/history/view/viewtest"
)

const root = "../.."

var (
	_ graph.Reader = (*reader.Reader)(nil)
	_ v2.Reader    = (*reader.Reader)(nil)

	captured = time.Date(2026, 11, 25, 23, 17, 30, 0, time.UTC)
)

// open makes a database with the captured rows.
func open(t *testing.T) (*reader.Reader, *database.Store) {
	store, err := database.Open(t.Context(), database.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Write(t.Context(), records(viewtest.Load(t, root))))
	var workers []database.WorkerConnection
	for _, w := range viewtest.Load(t, root).WorkerRows {
		workers = append(workers, database.WorkerConnection{
			AppName: w.AppName, AppID: *w.AppID, ID: w.ID, GatewayID: w.GatewayID, InstanceID: w.InstanceID, WorkerIP: w.IP, Status: 4,
			MaxWorkerConcurrency: w.MaxConcurrency, ConnectedAt: w.ConnectedAt, LastHeartbeatAt: w.LastHeartbeatAt,
			DisconnectReason: *w.DisconnectReason, GroupHash: w.GroupHash, SDKLanguage: w.SDKLanguage, SDKVersion: w.SDKVersion,
			SyncID: *w.SyncID, AppVersion: *w.AppVersion, FunctionCount: w.FunctionCount, CPUCores: w.CPUCores, MemoryBytes: w.MemoryBytes, OS: w.OS,
		})
	}
	require.NoError(t, store.SaveConnections(t.Context(), workers))
	return reader.New(store), store
}

// records are the captured rows in the form in which they are written.
func records(s *viewtest.Store) *database.Records {
	r := &database.Records{}
	for _, a := range s.AppRows {
		app := database.App{
			ID: a.ID, Name: a.Name, SDKLanguage: a.SDKLanguage, SDKVersion: a.SDKVersion, Metadata: a.Metadata, Checksum: a.Checksum,
			CreatedAt: a.CreatedAt, URL: a.URL, Method: a.Method, AppVersion: a.Version,
		}
		if a.Framework != nil {
			app.Framework = *a.Framework
		}
		r.Apps = append(r.Apps, app)
	}
	for _, f := range s.FunctionRows {
		row := database.Function{ID: f.ID, AppID: f.AppID, Name: f.Name, Slug: f.Slug, Config: f.Config, CreatedAt: captured}
		if f.Archived {
			row.ArchivedAt = captured
		}
		r.Functions = append(r.Functions, row)
	}
	for _, e := range s.EventRows {
		row := database.Event{
			InternalID: e.InternalID, ReceivedAt: e.ReceivedAt, ID: e.ID, Name: e.Name, Data: e.Data, User: e.User, Timestamp: e.Timestamp,
		}
		if e.Version != nil {
			row.Version = *e.Version
		}
		r.Events = append(r.Events, row)
	}
	for run, items := range s.HistoryRows {
		for _, h := range items {
			row := database.HistoryEntry{ID: h.ID, CreatedAt: h.CreatedAt, RunID: run, Type: h.Type, Attempt: h.Attempt, Result: h.Result, Sleep: h.Sleep}
			if h.GroupID != nil {
				row.GroupID = h.GroupID.String()
			}
			r.History = append(r.History, row)
		}
	}
	for _, run := range s.RunRows {
		r.TraceRuns = append(r.TraceRuns, traceRun(run))
	}
	for _, row := range s.SpanRows {
		r.Spans = append(r.Spans, span(row))
	}
	return r
}

func traceRun(run view.Run) database.TraceRun {
	codes := map[view.Status]int{view.Completed: 300, view.Failed: 400, view.Cancelled: 500, view.Skipped: 600}
	row := database.TraceRun{
		RunID: run.ID, AppID: run.AppID, FunctionID: run.FunctionID, TraceID: run.TraceID, QueuedAt: run.QueuedAt, StartedAt: run.StartedAt,
		EndedAt: run.EndedAt, Status: codes[run.Status], TriggerIDs: run.TriggerIDs, Output: run.Output, HasAI: run.HasAI,
	}
	if run.BatchID != nil {
		row.BatchID = *run.BatchID
	}
	if run.Cron != nil {
		row.Cron = *run.Cron
	}
	return row
}

func span(row trace.Row) database.Span {
	var a struct {
		Status string      `json:"_inngest.dynamic.status"`
		Events []ulid.ULID `json:"_inngest.event.ids"`
	}
	_ = json.Unmarshal(row.Attributes, &a) // of the fixture
	return database.Span{
		SpanID: row.SpanID, TraceID: row.TraceID, ParentSpanID: row.ParentID, DynamicSpanID: row.DynamicID, Name: row.Name,
		StartTime: row.Start, EndTime: row.End, Attributes: row.Attributes, Output: row.Output, Input: row.Input, EventIDs: a.Events,
		AppID: uuid.MustParse(row.AppID), FunctionID: uuid.MustParse(row.FunctionID), RunID: ulid.MustParse(row.RunID), Status: a.Status,
	}
}

type nothing struct{ graph.Commands }

func (nothing) Discovered(string) bool { return false }

func ask(t *testing.T, api http.Handler, document string, variables map[string]any) map[string]any {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	require.NoError(t, err)
	request := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, "/v0/gql", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, request)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
	return answer
}

// TestCapturedAnswers asks the database, through GraphQL, what the original was
// asked.
func TestCapturedAnswers(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	api := graph.New(graph.Config{Reader: r, Commands: nothing{}, Now: func() time.Time { return captured }})
	files, err := filepath.Glob(filepath.Join(root, tracetest.Fixtures, "expected", "gql-*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var golden struct {
			Query     string
			Variables map[string]any
			Response  map[string]any
		}
		require.NoError(t, json.Unmarshal(text, &golden))
		answer := ask(t, api, golden.Query, golden.Variables)
		name := filepath.Base(file)
		switch {
		case name == "gql-runs-cel-event-custom-id.json":
			require.Len(t, nodes(answer), 1, "the run of an event with an id of its own, which the original misses")
		case strings.Contains(name, "-cel-"):
			require.ElementsMatch(t, ids(golden.Response), ids(answer), name)
		case name == "gql-runs-nopreview.json":
			require.ElementsMatch(t, nodes(golden.Response), nodes(answer), "in the order of the start here")
		default:
			require.Equal(t, golden.Response, answer, name)
		}
	}
}

func nodes(answer map[string]any) []any {
	runs := answer["data"].(map[string]any)["runs"].(map[string]any)
	var all []any
	for _, edge := range runs["edges"].([]any) {
		all = append(all, edge.(map[string]any)["node"])
	}
	return all
}

func ids(answer map[string]any) []any {
	var all []any
	for _, node := range nodes(answer) {
		all = append(all, node.(map[string]any)["id"])
	}
	return all
}

// TestPages walks through both kinds of lists, searched and not.
func TestPages(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	found, err := search.Parse(`event.name != "fx/hello"`)
	require.NoError(t, err)
	for _, query := range []view.RunQuery{
		{}, {Orders: []view.Order{{Field: view.QueuedAt}}}, {RunFilter: view.RunFilter{Source: view.FromRuns}},
		{RunFilter: view.RunFilter{Search: found}}, {RunFilter: view.RunFilter{Source: view.FromRuns, Search: found, Statuses: []view.Status{view.Failed, view.Completed}}},
	} {
		query.Limit, query.Until = 4, captured.Add(time.Hour)
		total, err := r.CountRuns(t.Context(), query.RunFilter)
		require.NoError(t, err)
		seen := map[ulid.ULID]bool{}
		for {
			page, err := r.Runs(t.Context(), query)
			require.NoError(t, err)
			for _, run := range page {
				require.False(t, seen[run.ID])
				seen[run.ID] = true
			}
			if len(page) < query.Limit {
				break
			}
			cursor := query.Cursor(&page[len(page)-1])
			query.After = &cursor
		}
		require.Len(t, seen, total)
		require.NotZero(t, total)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	unknown := ulid.MustParse("01M8AFNA89V4FR54NKFFTV1PNK")
	_, err := r.Run(t.Context(), unknown)
	require.ErrorIs(t, err, view.ErrNotFound)
	_, err = r.Event(t.Context(), unknown)
	require.ErrorIs(t, err, view.ErrNotFound)
	_, err = r.Worker(t.Context(), unknown)
	require.ErrorIs(t, err, view.ErrNotFound)
	_, err = r.Runs(t.Context(), view.RunQuery{After: &view.Cursor{ID: unknown.String()}, Limit: 1})
	require.ErrorIs(t, err, view.ErrNotFound)
	_, err = r.Runs(t.Context(), view.RunQuery{After: &view.Cursor{ID: "x"}, Limit: 1})
	require.Error(t, err)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	items, err := r.History(t.Context(), ulid.MustParse("01M8AFXH2TTMTB471120WCPH09"))
	require.NoError(t, err)
	require.Len(t, items, 8)
	require.Equal(t, "FunctionScheduled", items[0].Type)
	require.NotNil(t, items[0].GroupID)
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	r, store := open(t)
	at := time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC)
	var more []database.WorkerConnection
	for i := range 3 {
		more = append(more, database.WorkerConnection{
			ID: ulid.MustNew(uint64(i+1), nil), AppName: "a", Status: i, ConnectedAt: at, LastHeartbeatAt: at.Add(time.Duration(-i) * time.Minute),
		})
	}
	require.NoError(t, store.SaveConnections(t.Context(), more))
	one, err := r.Worker(t.Context(), more[1].ID)
	require.NoError(t, err)
	require.Equal(t, "READY", one.Status)

	query := view.WorkerQuery{TimeField: view.ConnectedAt, Orders: []view.WorkerOrder{{Field: view.LastHeartbeatAt, Descending: true}}, Limit: 2, Until: at}
	n, err := r.CountWorkers(t.Context(), query)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	page, err := r.Workers(t.Context(), query)
	require.NoError(t, err)
	require.Equal(t, []string{"CONNECTED", "READY"}, []string{page[0].Status, page[1].Status})
	cursor := query.Cursor(&page[1])
	query.After = &cursor
	page, err = r.Workers(t.Context(), query)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "DRAINING", page[0].Status)

	for _, q := range []view.WorkerQuery{{From: captured, Limit: 9}, {Statuses: []string{"DISCONNECTING"}, Limit: 9}, {AppIDs: []uuid.UUID{uuid.Max}, Limit: 9}} {
		page, err := r.Workers(t.Context(), q)
		require.NoError(t, err)
		require.Empty(t, page)
	}
}

// TestClosedDatabase: every read says that it failed.
func TestClosedDatabase(t *testing.T) {
	t.Parallel()
	store, err := database.Open(t.Context(), database.Options{})
	require.NoError(t, err)
	require.NoError(t, store.Close())
	r, ctx, id := reader.New(store), t.Context(), ulid.MustParse("01M8AFNA89V4FR54NKFFTV1PNK")
	events, err := search.Parse(`event.name == "a"`)
	require.NoError(t, err)
	for name, read := range map[string]func() error{
		"apps":      func() error { _, err := r.Apps(ctx); return err },
		"functions": func() error { _, err := r.Functions(ctx); return err },
		"event":     func() error { _, err := r.Event(ctx, id); return err },
		"events":    func() error { _, err := r.Events(ctx, view.EventFilter{}); return err },
		"count":     func() error { _, err := r.CountEvents(ctx, view.EventFilter{}); return err },
		"by id":     func() error { _, err := r.EventsByID(ctx, []ulid.ULID{id}); return err },
		"run":       func() error { _, err := r.Run(ctx, id); return err },
		"runs":      func() error { _, err := r.Runs(ctx, view.RunQuery{Limit: 1}); return err },
		"searched":  func() error { _, err := r.CountRuns(ctx, view.RunFilter{Search: events}); return err },
		"counted":   func() error { _, err := r.CountRuns(ctx, view.RunFilter{}); return err },
		"of events": func() error { _, err := r.RunsOfEvents(ctx, []ulid.ULID{id}); return err },
		"spans":     func() error { _, err := r.Spans(ctx, id); return err },
		"history":   func() error { _, err := r.History(ctx, id); return err },
		"worker":    func() error { _, err := r.Worker(ctx, id); return err },
		"workers":   func() error { _, err := r.Workers(ctx, view.WorkerQuery{Limit: 1}); return err },
	} {
		err := read()
		require.Error(t, err, name)
		require.NotErrorIs(t, err, view.ErrNotFound, name)
	}
}

// TestRunsByEnd selects and sorts by the end, which the captured runs have in
// another order than their starts.
func TestRunsByEnd(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	for _, source := range []view.Source{view.FromSpans, view.FromRuns} {
		query := view.RunQuery{
			RunFilter: view.RunFilter{Source: source, Until: captured, TimeField: view.EndedAt},
			Orders:    []view.Order{{Field: view.EndedAt, Descending: true}}, Limit: 100,
		}
		all, err := r.Runs(t.Context(), query)
		require.NoError(t, err)
		require.Len(t, all, 27)
		for i := range all[1:] {
			require.False(t, all[i+1].EndedAt.After(all[i].EndedAt), all[i].ID)
		}
		late := all[9].EndedAt
		query.From, query.Limit = late, 4
		var ids []ulid.ULID
		for {
			page, err := r.Runs(t.Context(), query)
			require.NoError(t, err)
			for i := range page {
				require.False(t, page[i].EndedAt.Before(late.Truncate(time.Millisecond)))
				ids = append(ids, page[i].ID)
			}
			if len(page) < query.Limit {
				break
			}
			cursor := query.Cursor(&page[len(page)-1])
			query.After = &cursor
		}
		require.GreaterOrEqual(t, len(ids), 9)
		require.Less(t, len(ids), 13)
		for i := range ids {
			require.Equal(t, all[i].ID, ids[i])
		}
	}
}
