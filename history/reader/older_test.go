package reader_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history"
	"jetstep/history/database"
	"jetstep/history/reader"
	"jetstep/state"
)

// The captured database is read through the older API by package api's tests.

func openOlder(t *testing.T, records *database.Records) reader.Older {
	store, err := database.Open(t.Context(), database.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Write(t.Context(), records))
	return reader.NewOlder(store)
}

func rootSpan(run ulid.ULID, function uuid.UUID, status string, event ulid.ULID, output string) database.Span {
	return database.Span{
		SpanID: "0000000000000001", TraceID: "t", DynamicSpanID: "0000000000000001", ParentSpanID: "0000000000000000", Name: "executor.run",
		StartTime: captured, EndTime: captured.Add(time.Second), RunID: run, FunctionID: function, Status: status,
		EventIDs: []ulid.ULID{event}, Attributes: json.RawMessage(`{}`), Output: json.RawMessage(output),
	}
}

// TestRunOfSpans is about a run that has no row in function_runs.
func TestRunOfSpans(t *testing.T) {
	t.Parallel()
	run, function, event := ulid.MustNew(ulid.Timestamp(captured), nil), uuid.New(), ulid.Make()
	r := openOlder(t, &database.Records{Spans: []database.Span{rootSpan(run, function, "Completed", event, `{"data":{"n":1}}`)}})
	got, err := r.Run(t.Context(), run)
	require.NoError(t, err)
	require.Equal(t, history.Run{
		ID: run, FunctionID: function, EventIDs: []ulid.ULID{event}, Status: state.Completed, QueuedAt: captured,
		EndedAt: captured.Add(time.Second), Output: json.RawMessage(`{"n":1}`),
	}, got)
	_, err = r.Run(t.Context(), ulid.Make())
	require.ErrorIs(t, err, history.ErrRunNotFound)
}

func TestRunThatHasNotEnded(t *testing.T) {
	t.Parallel()
	for span, want := range map[string]state.Status{"Queued": state.Scheduled, "Running": state.Running} {
		run, function, event, batch := ulid.Make(), uuid.New(), ulid.Make(), ulid.Make()
		root := rootSpan(run, function, span, event, "null")
		root.Attributes, root.EventIDs = json.RawMessage(`{"_inngest.batch.id":"`+batch.String()+`"}`), []ulid.ULID{event, ulid.Make()}
		r := openOlder(t, &database.Records{
			Runs:  []database.FunctionRun{{RunID: run, FunctionID: function, EventID: event, StartedAt: captured, TriggerType: "event"}},
			Spans: []database.Span{root},
		})
		got, err := r.Run(t.Context(), run)
		require.NoError(t, err)
		require.Equal(t, want, got.Status)
		require.Equal(t, root.EventIDs, got.EventIDs)
		require.Equal(t, &batch, got.BatchID)
		require.Nil(t, got.Output)
		later, err := r.EventRuns(t.Context(), root.EventIDs[1])
		require.NoError(t, err)
		require.Empty(t, later, "a batch is listed under its first event only")
	}
}

// TestOutputsOfTheOriginal are what bodies of SDKs can be.
func TestOutputsOfTheOriginal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ status, output, want string }{
		{"Completed", `{"a":1}`, `{"a":1}`},
		{"Completed", `plain text`, `"plain text"`},
		{"Cancelled", `{}`, `{}`},
		{"Failed", ``, ``},
	} {
		run, event := ulid.Make(), ulid.Make()
		r := openOlder(t, &database.Records{
			Runs:     []database.FunctionRun{{RunID: run, EventID: event, StartedAt: captured, TriggerType: "event"}},
			Finishes: []database.FunctionFinish{{RunID: run, Status: c.status, Output: c.output, CreatedAt: captured}},
		})
		runs, err := r.EventRuns(t.Context(), event)
		require.NoError(t, err)
		require.Equal(t, c.status, runs[0].Status.String())
		require.Equal(t, c.want, string(runs[0].Output))
	}
}

func TestRecentRuns(t *testing.T) {
	t.Parallel()
	failed, done, skipped := ulid.Make(), ulid.Make(), ulid.Make()
	span := func(run ulid.ULID, status, output string, at time.Duration) database.Span {
		s := rootSpan(run, uuid.New(), status, ulid.Make(), output)
		s.StartTime, s.SpanID = captured.Add(at), run.String()[10:]
		return s
	}
	r := openOlder(t, &database.Records{Spans: []database.Span{
		span(failed, "Failed", `{"error":{"message":"boom"}}`, time.Second), span(done, "Completed", `{"data":1}`, 2*time.Second),
		span(skipped, "Skipped", `null`, 3*time.Second),
	}})
	runs, err := r.RecentRuns(t.Context(), 5)
	require.NoError(t, err)
	require.Len(t, runs, 2, "skipped runs are not listed")
	require.Equal(t, []ulid.ULID{done, failed}, []ulid.ULID{runs[0].ID, runs[1].ID}, "the latest first")
	require.JSONEq(t, `{"message":"boom"}`, string(runs[1].Output))
	require.Nil(t, runs[0].Output, "only of failed ones")
	runs, err = r.RecentRuns(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, runs, 1)
}

func TestOlderSkippedRun(t *testing.T) {
	t.Parallel()
	run, existing := ulid.Make(), ulid.Make()
	root := rootSpan(run, uuid.New(), "Skipped", ulid.Make(), "null")
	root.Attributes = json.RawMessage(`{"_inngest.run.skip_reason":"Singleton","_inngest.run.skip_existing_run_id":"` + existing.String() + `"}`)
	got, err := openOlder(t, &database.Records{Spans: []database.Span{root}}).Run(t.Context(), run)
	require.NoError(t, err)
	require.Equal(t, state.Skipped, got.Status)
	require.Equal(t, "Singleton", got.Reason)
	require.Equal(t, &existing, got.ExistingRunID)
}

func TestOlderEvents(t *testing.T) {
	t.Parallel()
	event := func(name string, at time.Duration) database.Event {
		return database.Event{
			InternalID: ulid.MustNew(ulid.Timestamp(captured.Add(at)), nil), ReceivedAt: captured.Add(at), ID: "mine", Name: name,
			Data: json.RawMessage(`{"n":1}`), User: json.RawMessage(`null`), Timestamp: captured,
		}
	}
	a, b, own := event("app/a", 0), event("app/b", time.Second), event("inngest/function.finished", 2*time.Second)
	r := openOlder(t, &database.Records{Events: []database.Event{a, b, own}})
	got, err := r.Event(t.Context(), a.InternalID)
	require.NoError(t, err)
	require.Equal(t, history.Event{
		InternalID: a.InternalID, ID: "mine", Name: "app/a", Data: json.RawMessage(`{"n":1}`), TS: captured.UnixMilli(), ReceivedAt: captured, Matched: -1,
	}, got)
	_, err = r.Event(t.Context(), ulid.Make())
	require.ErrorIs(t, err, history.ErrEventNotFound)
	for filter, want := range map[*history.EventFilter][]string{
		{}:                     {"app/b", "app/a"},
		{Name: "app/a"}:        {"app/a"},
		{Limit: 1}:             {"app/b"},
		{Before: b.InternalID}: {"app/a"},
		{ReceivedAfter: captured.Add(time.Millisecond)}:        {"app/b"},
		{ReceivedBefore: captured.Add(500 * time.Millisecond)}: {"app/a"},
	} {
		events, err := r.Events(t.Context(), *filter)
		require.NoError(t, err)
		var names []string
		for _, e := range events {
			names = append(names, e.Name)
		}
		require.Equal(t, want, names, "%+v", *filter)
	}
}

func TestOlderOutage(t *testing.T) {
	t.Parallel()
	store, err := database.New(database.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	r := reader.NewOlder(store)
	_, runErr := r.Run(t.Context(), ulid.Make())
	_, runsErr := r.EventRuns(t.Context(), ulid.Make())
	_, recentErr := r.RecentRuns(t.Context(), 1)
	_, eventErr := r.Event(t.Context(), ulid.Make())
	_, eventsErr := r.Events(t.Context(), history.EventFilter{Name: "a"})
	for _, err := range []error{runErr, runsErr, recentErr, eventErr, eventsErr} {
		require.ErrorIs(t, err, history.ErrUnavailable)
	}
}
