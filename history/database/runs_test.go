package database_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

// manyRuns are runs of three functions in every state, five in each second, which
// do not end in the order in which they started.
func manyRuns(n int) []database.Span {
	statuses := []string{"Queued", "Running", "Completed", "Errored", "Cancelled", "Skipped", "Sleeping"}
	var rows []database.Span
	for i := range n {
		row := runSpan(i, statuses[i%len(statuses)])
		row.StartTime = began.Add(time.Duration(i/5) * time.Second)
		row.EndTime = row.StartTime.Add(time.Duration(i*37%90/3) * time.Second)
		row.FunctionID = uuid.UUID{byte(i % 3)}
		row.IsDeferred = i%4 == 0
		rows = append(rows, row)
	}
	rows[0].DebugRunID = id(99).String()
	return rows
}

// wanted is the list by the definition, from all rows.
func wanted(rows []database.Span, q database.RunQuery) []ulid.ULID {
	sorted := slices.Clone(rows)
	timeOf := func(s database.Span, end bool) time.Time {
		if end {
			return s.EndTime
		}
		return s.StartTime
	}
	slices.SortFunc(sorted, func(a, b database.Span) int {
		c := timeOf(b, q.SortByEnd).Compare(timeOf(a, q.SortByEnd))
		if q.OldestFirst {
			c = -c
		}
		if c == 0 {
			c = a.RunID.Compare(b.RunID)
		}
		return c
	})
	var list []ulid.ULID
	for _, r := range sorted {
		status := database.RunStatusOf(r.Status)
		if r.DebugRunID != "" || len(q.Statuses) == 0 && status == database.Skipped ||
			len(q.Statuses) > 0 && !slices.Contains(q.Statuses, status) ||
			len(q.FunctionIDs) > 0 && !slices.Contains(q.FunctionIDs, r.FunctionID) ||
			q.Deferred != nil && *q.Deferred != r.IsDeferred ||
			q.ByEnd && (status == database.Scheduled || status == database.Running) ||
			!q.From.IsZero() && timeOf(r, q.ByEnd).Before(q.From) || !q.Until.IsZero() && timeOf(r, q.ByEnd).After(q.Until) ||
			len(q.AppIDs) > 0 && !slices.Contains(q.AppIDs, r.AppID) {
			continue
		}
		list = append(list, r.RunID)
	}
	return list
}

// TestRunLists pages through each list and compares it with its definition.
func TestRunLists(t *testing.T) {
	t.Parallel()
	rows := manyRuns(90)
	deferred := true
	var manyFunctions []uuid.UUID
	for i := range 80 {
		manyFunctions = append(manyFunctions, uuid.UUID{byte(i + 1)})
	}
	filters := map[string]database.RunFilter{
		"all":                {},
		"failed":             {Statuses: []database.RunStatus{database.Failed}},
		"skipped":            {Statuses: []database.RunStatus{database.Skipped}},
		"two states":         {Statuses: []database.RunStatus{database.Completed, database.Running}},
		"a function":         {FunctionIDs: []uuid.UUID{{1}}},
		"function and state": {FunctionIDs: []uuid.UUID{{1}, {2}}, Statuses: []database.RunStatus{database.Cancelled}},
		"too many branches":  {FunctionIDs: manyFunctions},
		"deferred":           {Deferred: &deferred},
		"time":               {From: began.Add(2 * time.Second), Until: began.Add(9 * time.Second)},
		"end":                {From: began.Add(12 * time.Second), Until: began.Add(19 * time.Second), ByEnd: true},
		"end, no bounds":     {ByEnd: true},
		"end and function":   {From: began.Add(3 * time.Second), FunctionIDs: []uuid.UUID{{1}}, ByEnd: true},
		"app":                {AppIDs: []uuid.UUID{app}},
		"another app":        {AppIDs: []uuid.UUID{function}},
	}
	each(t, func(t *testing.T, s *database.Store) {
		require.NoError(t, s.Write(t.Context(), &database.Records{Spans: rows}))
		for name, filter := range filters {
			for order := range 4 {
				q := database.RunQuery{RunFilter: filter, OldestFirst: order&1 > 0, SortByEnd: order&2 > 0, Limit: 4}
				want := wanted(rows, q)
				require.Equal(t, want, pages(t, s, q), "%s %d", name, order)
				n, err := s.CountRuns(t.Context(), filter)
				require.NoError(t, err)
				require.Len(t, want, n, name)
			}
		}
	})
}

func pages(t *testing.T, s *database.Store, q database.RunQuery) []ulid.ULID {
	t.Helper()
	var list []ulid.ULID
	for {
		page, err := s.Runs(t.Context(), q)
		require.NoError(t, err)
		for _, run := range page {
			list = append(list, run.ID)
		}
		if len(page) < q.Limit {
			return list
		}
		last := page[len(page)-1]
		q.After = q.Cursor(&last)
	}
}

// TestDebugRuns finds what lists leave out.
func TestDebugRuns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		rows := []database.Span{runSpan(1, "Completed"), runSpan(2, "Running"), runSpan(3, "Completed"), runSpan(4, "Completed")}
		rows[0].DebugRunID, rows[0].DebugSessionID = id(91).String(), id(90).String()
		rows[1].DebugRunID, rows[1].DebugSessionID = id(92).String(), id(90).String()
		rows[3].DebugRunID = id(90).String()
		require.NoError(t, s.Write(t.Context(), &database.Records{Spans: rows}))
		for _, test := range []struct {
			of      ulid.ULID
			session bool
			want    []ulid.ULID
		}{{id(90), true, []ulid.ULID{id(2), id(1)}}, {id(91), false, []ulid.ULID{id(1)}}, {id(90), false, []ulid.ULID{id(4)}}, {id(91), true, nil}} {
			found, err := s.DebugRuns(t.Context(), test.of, test.session)
			require.NoError(t, err)
			require.Equal(t, test.want, found)
		}
		listed, err := s.CountRuns(t.Context(), database.RunFilter{})
		require.NoError(t, err)
		require.Equal(t, 1, listed)
	})
}

func TestRetention(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		ctx := t.Context()
		r := &database.Records{}
		for i := 1; i <= 9; i++ {
			r.Events = append(r.Events, anEvent(i))
			r.Spans = append(r.Spans, runSpan(i, "Completed"))
			r.Runs = append(r.Runs, database.FunctionRun{RunID: id(i), EventID: id(i), TriggerType: "event", StartedAt: began})
			r.History = append(r.History, database.HistoryEntry{ID: id(i), RunID: id(i), Type: "FunctionScheduled", CreatedAt: began, RunStartedAt: began})
			r.TraceRuns = append(r.TraceRuns, database.TraceRun{RunID: id(i), Status: 300})
		}
		r.Spans[1].Status = "Sleeping" // run 2 has not ended
		require.NoError(t, s.Write(ctx, r))

		none, err := s.Retain(ctx, database.Retention{}, math.MaxInt)
		require.NoError(t, err)
		require.Zero(t, none)
		none, err = s.Retain(ctx, database.Retention{Runs: 10}, math.MaxInt)
		require.NoError(t, err)
		require.Zero(t, none)

		got, err := s.Retain(ctx, database.Retention{Before: began.Add(4 * time.Second)}, math.MaxInt)
		require.NoError(t, err)
		require.Equal(t, database.Deleted{Runs: 2, Events: 2}, got, "1 and 3")
		got, err = s.Retain(ctx, database.Retention{Before: began, Runs: 3}, math.MaxInt)
		require.NoError(t, err)
		require.Equal(t, database.Deleted{Runs: 3, Events: 3}, got, "4, 5 and 6")

		require.Equal(t, []ulid.ULID{id(9), id(8), id(7), id(2)}, pages(t, s, database.RunQuery{Limit: 100}))
		for i := 1; i <= 9; i++ {
			kept := i == 2 || i > 6
			_, runErr := s.FunctionRun(ctx, id(i))
			_, traceErr := s.TraceRun(ctx, id(i))
			_, eventErr := s.Event(ctx, id(i))
			history, err := s.History(ctx, id(i))
			require.NoError(t, err)
			spans, err := s.Spans(ctx, id(i))
			require.NoError(t, err)
			what := fmt.Sprintf("run %d", i)
			require.Equal(t, []bool{kept, kept, kept, kept, kept},
				[]bool{runErr == nil, traceErr == nil, eventErr == nil, len(history) == 1, len(spans) == 1}, what)
		}
	})
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		ctx := t.Context()
		a := database.App{
			ID: app, Name: "shop", SDKLanguage: "js", SDKVersion: "v4", Metadata: []byte("{}"), Checksum: "c",
			CreatedAt: began, URL: "http://localhost:3000/api", Method: "serve",
		}
		f := database.Function{ID: function, AppID: app, Name: "Pay", Slug: "shop-pay", Config: []byte(`{"fv":1}`), CreatedAt: began}
		require.NoError(t, s.Write(ctx, &database.Records{Apps: []database.App{a}, Functions: []database.Function{f}}))
		changedApp, changed := a, f
		changedApp.Error, changed.Name, changed.Config = "unreachable", "Renamed", []byte(`{"fv":2}`)
		require.NoError(t, s.Write(ctx, &database.Records{Apps: []database.App{changedApp}, Functions: []database.Function{changed}}))
		changed.Name = "Pay" // as of the first sync

		gotApp, err := s.App(ctx, app)
		require.NoError(t, err)
		require.Equal(t, changedApp, gotApp)
		gotApp, err = s.AppNamed(ctx, "shop")
		require.NoError(t, err)
		require.Equal(t, changedApp, gotApp)
		got, err := s.Function(ctx, function)
		require.NoError(t, err)
		require.Equal(t, changed, got)
		got, err = s.FunctionWithSlug(ctx, app, "shop-pay")
		require.NoError(t, err)
		require.Equal(t, changed, got)

		changed.ArchivedAt = began
		require.NoError(t, s.Write(ctx, &database.Records{Functions: []database.Function{changed}}))
		_, err = s.FunctionWithSlug(ctx, app, "shop-pay")
		require.ErrorIs(t, err, database.ErrNotFound)
		_, err = s.App(ctx, function)
		require.ErrorIs(t, err, database.ErrNotFound)
	})
}

// TestRetentionOfStrays attaches rows to runs that are not there.
func TestRetentionOfStrays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		ctx := t.Context()
		attached := func(n int) database.Span {
			row := runSpan(n, "")
			row.RunID, row.Name, row.ParentSpanID, row.EventIDs = stampedID(n), "metadata", row.DynamicSpanID, nil
			return row
		}
		gone, live, young := attached(1), attached(2), attached(3)
		run := runSpan(2, "Running")
		run.RunID, run.SpanID = stampedID(2), "00000000000000aa"
		late := attached(4) // of an old run, but attached a moment ago
		late.RunID, late.StartTime = stampedID(0), began.Add(time.Hour)
		ended := extension(5, 0, "Completed", 0) // nothing else is known of its run
		ended.RunID = stampedID(-1)
		// Two runs of an original that wrote no spans, one of which has not ended.
		older := []database.TraceRun{{RunID: stampedID(-2), Status: 300, QueuedAt: began}, {RunID: stampedID(-3), Status: 200, QueuedAt: began}}
		require.NoError(t, s.Write(ctx, &database.Records{Spans: []database.Span{gone, live, run, young, late, ended}, TraceRuns: older}))

		limit := database.Retention{Before: began.Add(3 * time.Second)}
		got, err := s.Retain(ctx, limit, math.MaxInt)
		require.NoError(t, err)
		require.Zero(t, got)
		limit.Strays = true
		got, err = s.Retain(ctx, limit, math.MaxInt)
		require.NoError(t, err)
		require.Equal(t, database.Deleted{Strays: 1}, got)
		limit.Before = began.Add(6 * time.Second)
		got, err = s.Retain(ctx, limit, math.MaxInt)
		require.NoError(t, err)
		require.Equal(t, database.Deleted{Strays: 2}, got)
		got, err = s.Retain(ctx, limit, math.MaxInt)
		require.NoError(t, err)
		require.Equal(t, database.Deleted{Strays: 1}, got)
		_, err = s.TraceRun(ctx, older[0].RunID)
		require.ErrorIs(t, err, database.ErrNotFound)
		_, err = s.TraceRun(ctx, older[1].RunID)
		require.NoError(t, err)
		for of, want := range map[int]int{-1: 0, 0: 1, 1: 0, 2: 2, 3: 0} {
			spans, err := s.Spans(ctx, stampedID(of))
			require.NoError(t, err)
			require.Len(t, spans, want, of)
		}
	})
}

// stampedID names a run that began so many seconds after the others.
func stampedID(n int) (id ulid.ULID) {
	_ = id.SetTime(uint64(began.Add(time.Duration(n) * time.Second).UnixMilli())) // a time of this century
	id[15] = 7
	return id
}

// TestRetentionGoesOn deletes as much as it may, and says that there is more.
func TestRetentionGoesOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		ctx := t.Context()
		r := &database.Records{}
		for i := range 1200 {
			r.Spans = append(r.Spans, runSpan(i, "Completed"))
			r.Spans[i].EventIDs = nil
		}
		require.NoError(t, s.Write(ctx, r))
		limit := database.Retention{Before: began.Add(time.Hour)}
		got, err := s.Retain(ctx, limit, 2)
		require.NoError(t, err)
		require.Equal(t, database.Deleted{Runs: 1000, More: true}, got)
		got, err = s.Retain(ctx, limit, 2)
		require.NoError(t, err)
		require.Equal(t, database.Deleted{Runs: 200}, got)
	})
}
