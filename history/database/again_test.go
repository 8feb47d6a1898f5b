package database_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

// wholeRun is every kind of row of a run, with so many entries of the history.
func wholeRun(n, entries int) database.Records {
	r := database.Records{
		Events:    []database.Event{anEvent(n)},
		Runs:      []database.FunctionRun{{RunID: id(n), StartedAt: began, FunctionID: function, EventID: id(n), TriggerType: "event"}},
		Finishes:  []database.FunctionFinish{{RunID: id(n), Status: "Completed", Output: "{}", CreatedAt: began}},
		TraceRuns: []database.TraceRun{{RunID: id(n), Status: 300, QueuedAt: began}},
		Spans:     []database.Span{runSpan(n, "Queued"), extension(n, 1, "Completed", time.Second)},
	}
	for i := range entries {
		r.History = append(r.History, database.HistoryEntry{
			ID: id(1000*n + i), RunID: id(n), Type: "StepStarted", CreatedAt: began, RunStartedAt: began,
		})
	}
	return r
}

func requireWholeRun(t *testing.T, s *database.Store, n, entries int) {
	t.Helper()
	ctx := t.Context()
	history, err := s.History(ctx, id(n))
	require.NoError(t, err)
	require.Len(t, history, entries)
	runs, err := s.FunctionRunsOfEvent(ctx, id(n))
	require.NoError(t, err)
	require.Len(t, runs, 1)
	require.NotNil(t, runs[0].Finish)
	spans, err := s.Spans(ctx, id(n))
	require.NoError(t, err)
	require.Len(t, spans, 2)
}

// TestRowsThatAreThere writes a batch again of which some rows are new.
func TestRowsThatAreThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		first := wholeRun(1, 2)
		require.Equal(t, 8, first.Len())
		require.NoError(t, s.Write(t.Context(), &first))
		again := wholeRun(1, 5)
		again.Again = true
		again.Events = append(again.Events, anEvent(2), anEvent(2))
		require.NoError(t, s.Write(t.Context(), &again))
		requireWholeRun(t, s, 1, 5)
		events, err := s.EventsByID(t.Context(), []ulid.ULID{id(1), id(2), id(3)})
		require.NoError(t, err)
		require.Len(t, events, 2)
		require.Len(t, again.History, 5, "the batch is as it was")
	})
}

// TestAnAccident has a row of a new batch that is there already.
func TestAnAccident(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		require.NoError(t, s.Write(t.Context(), &database.Records{Spans: []database.Span{runSpan(1, "Queued")}}))
		batch := wholeRun(1, 1)
		batch.Source, batch.To = "A", 1
		require.NoError(t, s.Write(t.Context(), &batch))
		requireWholeRun(t, s, 1, 1)
	})
}

func TestEventsThatAreSentAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		sent := func(n int) database.Event {
			e := anEvent(n)
			e.Resent = true
			return e
		}
		require.NoError(t, s.Write(t.Context(), &database.Records{Events: []database.Event{anEvent(1), sent(2), sent(2)}}))
		require.NoError(t, s.Write(t.Context(), &database.Records{Events: []database.Event{sent(1), sent(3), sent(2)}}))
		n, err := s.CountEvents(t.Context(), database.EventFilter{})
		require.NoError(t, err)
		require.Equal(t, 3, n)
	})
}

func TestARunThatStarts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		at := began.Add(time.Second)
		rows := []database.TraceRun{{RunID: id(1), Status: 100, QueuedAt: began}, {RunID: id(2), Status: 500, QueuedAt: began}}
		require.NoError(t, s.Write(t.Context(), &database.Records{TraceRuns: rows}))
		require.NoError(t, s.Write(t.Context(), &database.Records{Started: []database.StartedRun{{id(1), at}, {id(2), at}, {id(3), at}}}))
		started, err := s.TraceRun(t.Context(), id(1))
		require.NoError(t, err)
		require.Equal(t, 200, started.Status)
		require.Equal(t, at, started.StartedAt)
		ended, err := s.TraceRun(t.Context(), id(2))
		require.NoError(t, err)
		require.Equal(t, 500, ended.Status)
	})
}

func TestManyRunsStart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		const n = 75
		var scheduled, begun database.Records
		for i := range n {
			scheduled.TraceRuns = append(scheduled.TraceRuns, database.TraceRun{RunID: id(i), Status: 100, QueuedAt: began})
			begun.Started = append(begun.Started, database.StartedRun{RunID: id(i), At: began.Add(time.Duration(i) * time.Second)})
		}
		require.NoError(t, s.Write(t.Context(), &scheduled))
		require.NoError(t, s.Write(t.Context(), &begun))
		for i := range n {
			started, err := s.TraceRun(t.Context(), id(i))
			require.NoError(t, err)
			require.Equal(t, 200, started.Status)
			require.Equal(t, began.Add(time.Duration(i)*time.Second), started.StartedAt)
		}
	})
}

// TestRefusedRows has rows that PostgreSQL does not store as they are.
func TestRefusedRows(t *testing.T) {
	t.Parallel()
	s := open(t, options(t, postgres))
	ctx := t.Context()
	batch := wholeRun(1, 1)
	batch.Source, batch.To = "A", 1
	batch.Spans[0].Output = json.RawMessage(`{"data":"a\u0000b"}`)
	batch.Spans[1].Output = json.RawMessage(`{"data":1e999999}`)
	batch.Finishes[0].Output = "a\x00b"
	batch.History[0].StepName = "a\x00b"
	batch.Events[0].Name, batch.Events[0].Data = strings.Repeat("long", 5000), json.RawMessage("{\"a\":\"\x00\"}")
	batch.Runs = append(batch.Runs, database.FunctionRun{RunID: id(2), TriggerType: "a\x00b"})
	err := s.Write(ctx, &batch)
	require.True(t, database.Refused(err), "%v", err)
	dropped, err := s.WriteEach(ctx, &batch)
	require.NoError(t, err)
	kept := map[string]bool{}
	for _, d := range dropped {
		require.Error(t, d.Err)
		kept[d.Table] = d.Kept
	}
	require.Equal(t, map[string]bool{"spans": true, "function_finishes": true, "history": true, "events": true, "function_runs": false}, kept)
	requireWholeRun(t, s, 1, 1)
	outputs, err := s.RunOutputs(ctx, []ulid.ULID{id(1)})
	require.NoError(t, err)
	require.JSONEq(t, `{"data":"a\ufffdb"}`, string(outputs[id(1)]), "of the other nothing is left")
	again, err := s.WriteEach(ctx, &batch)
	require.NoError(t, err)
	require.Empty(t, again, "it is known")
	_, err = s.WriteEach(ctx, &database.Records{Source: "A", From: 5, To: 6})
	var position *database.PositionError
	require.ErrorAs(t, err, &position)
}

// TestRefusedBySQLite has a row without what every row has.
func TestRefusedBySQLite(t *testing.T) {
	t.Parallel()
	s := open(t, options(t, sqlite))
	batch := &database.Records{Functions: []database.Function{
		{ID: app, AppID: app, Slug: "s", Name: "one"}, {ID: function, AppID: app, Slug: "s", Name: "two"},
	}}
	err := s.Write(t.Context(), batch)
	require.True(t, database.Refused(err), "%v", err)
	dropped, err := s.WriteEach(t.Context(), batch)
	require.NoError(t, err)
	require.Len(t, dropped, 1)
	found, err := s.FunctionWithSlug(t.Context(), app, "s")
	require.NoError(t, err)
	require.Equal(t, "one", found.Name)
	require.False(t, database.Refused(nil))
}

func TestHoldAndSeize(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		release, err := s.Hold(t.Context())
		require.NoError(t, err)
		another, err := s.Hold(t.Context())
		require.NoError(t, err, "many may hold it")
		another()
		release()
		release, err = s.Seize(t.Context())
		require.NoError(t, err)
		release()
	})
}

func TestSeizedDatabases(t *testing.T) {
	t.Parallel()
	s := open(t, options(t, postgres))
	seized, err := s.Seize(t.Context())
	require.NoError(t, err)
	_, err = s.Seize(t.Context())
	require.ErrorIs(t, err, database.ErrInUse)
	held := make(chan error, 1)
	go func() {
		release, err := s.Hold(t.Context())
		if err == nil {
			release()
		}
		held <- err
	}()
	seized()
	require.NoError(t, <-held)
}

func TestPlacesAndForgetting(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		ctx := t.Context()
		for n := 1; n <= 2; n++ {
			batch := wholeRun(n, 1)
			batch.Source, batch.From, batch.To = "LOG_0", uint64(n-1), uint64(n)
			require.NoError(t, s.Write(ctx, &batch))
		}
		require.NoError(t, s.SetPosition(ctx, "EVENTS", 9))
		places, err := s.Places(ctx)
		require.NoError(t, err)
		require.Len(t, places, 2)
		require.Equal(t, "EVENTS", places[0].Source)
		require.EqualValues(t, 2, places[1].Position)
		require.WithinDuration(t, time.Now(), places[1].UpdatedAt, time.Hour)

		require.NoError(t, s.Forget(ctx, []ulid.ULID{id(1), id(5)}))
		_, err = s.FunctionRun(ctx, id(1))
		require.ErrorIs(t, err, database.ErrNotFound)
		requireWholeRun(t, s, 2, 1)
		byID, err := s.RunsByID(ctx, []ulid.ULID{id(1), id(2)})
		require.NoError(t, err)
		require.Len(t, byID, 1)
		_, err = s.Event(ctx, id(1))
		require.NoError(t, err, "events stay")
		deleted, err := s.Retain(ctx, database.Retention{Before: began.Add(time.Hour)}, 1)
		require.NoError(t, err)
		require.Equal(t, database.Deleted{Runs: 1, More: true}, deleted, "the rest is left to the next time")
	})
}
