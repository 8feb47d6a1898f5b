package database_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 120000000, time.UTC)

func id(n int) ulid.ULID {
	var u ulid.ULID
	_ = u.SetTime(ulid.Timestamp(began) + uint64(n))
	u[15] = byte(n)
	return u
}

func anEvent(n int) database.Event {
	return database.Event{
		InternalID: id(n), ReceivedAt: began.Add(time.Duration(n) * time.Second), ID: fmt.Sprintf("e%d", n), Name: "shop/order",
		Data: json.RawMessage(`{"n":"\u0026?"}`), User: json.RawMessage("null"), Timestamp: began,
	}
}

var app, function = uuid.MustParse("1ab94682-28f9-509b-8002-4ca7eb068275"), uuid.MustParse("20be5504-9564-5440-b9c9-15d46067966b")

// runSpan is the first row of run n, extension a later one.
func runSpan(n int, status string) database.Span {
	at := began.Add(time.Duration(n) * time.Second)
	return database.Span{
		SpanID: fmt.Sprintf("%016x", n), TraceID: fmt.Sprintf("%032x", n), ParentSpanID: "0000000000000000",
		DynamicSpanID: fmt.Sprintf("%016x", n), Name: "executor.run", StartTime: at, EndTime: at.Add(time.Millisecond),
		Attributes: json.RawMessage(`{}`), Links: json.RawMessage("null"), EventIDs: []ulid.ULID{id(n)},
		AppID: app, FunctionID: function, RunID: id(n), Status: status,
	}
}

func extension(n, row int, status string, after time.Duration) database.Span {
	s := runSpan(n, status)
	s.Name, s.EventIDs, s.SpanID = "EXTEND", nil, fmt.Sprintf("%015x%x", n+1000, row)
	s.StartTime = s.StartTime.Add(after)
	s.EndTime = s.StartTime
	return s
}

func TestBatchesAreWrittenOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		ctx := t.Context()
		batch := &database.Records{
			Source: "LOG_1", To: 5, Events: []database.Event{anEvent(1), anEvent(2)}, Spans: []database.Span{runSpan(1, "Queued")},
		}
		require.NoError(t, s.Write(ctx, batch))
		require.NoError(t, s.Write(ctx, batch))
		n, err := s.CountEvents(ctx, database.EventFilter{})
		require.NoError(t, err)
		require.Equal(t, 2, n)

		var position *database.PositionError
		err = s.Write(ctx, &database.Records{Source: "LOG_1", From: 6, To: 8, Events: []database.Event{anEvent(3)}})
		require.ErrorAs(t, err, &position)
		require.EqualValues(t, 5, position.Stored)
		err = s.Write(ctx, &database.Records{Source: "LOG_1", From: 4, To: 8, Events: []database.Event{anEvent(3)}})
		require.ErrorAs(t, err, &position)
		_, err = s.Event(ctx, id(3))
		require.ErrorIs(t, err, database.ErrNotFound)

		require.NoError(t, s.SetPosition(ctx, "LOG_1", 1))
		require.NoError(t, s.Write(ctx, &database.Records{Source: "LOG_1", From: 1, To: 2, Spans: batch.Spans}), "a span again")
		rows, err := s.Spans(ctx, id(1))
		require.NoError(t, err)
		require.Equal(t, batch.Spans, rows)
		require.Error(t, s.Write(ctx, &database.Records{Source: "LOG_1", To: 1 << 63}))
	})
}

func TestABadRowUndoesItsBatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		bad := runSpan(2, "Queued")
		bad.Attributes = json.RawMessage(`{"_inngest.cron.schedule":7}`)
		err := s.Write(t.Context(), &database.Records{Source: "A", To: 1, Events: []database.Event{anEvent(1)}, Spans: []database.Span{bad}})
		require.ErrorContains(t, err, "attributes of the span")
		_, err = s.Event(t.Context(), id(1))
		require.ErrorIs(t, err, database.ErrNotFound)
		position, err := s.Position(t.Context(), "A")
		require.NoError(t, err)
		require.Zero(t, position)
	})
}

// TestStatusOfARun has its rows in every order, in one batch and in several.
func TestStatusOfARun(t *testing.T) {
	t.Parallel()
	rows := []database.Span{runSpan(1, "Queued"), extension(1, 1, "Running", time.Second), extension(1, 2, "Failed", time.Minute)}
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	each(t, func(t *testing.T, s *database.Store) {
		for _, order := range orders {
			for _, size := range []int{1, 2, 3} {
				require.NoError(t, s.Clear(t.Context()))
				for from := 0; from < len(order); from += size {
					batch := &database.Records{}
					for _, i := range order[from:min(from+size, len(order))] {
						batch.Spans = append(batch.Spans, rows[i])
					}
					require.NoError(t, s.Write(t.Context(), batch))
				}
				run, err := s.Run(t.Context(), id(1))
				require.NoError(t, err)
				require.Equal(t, database.Failed, run.Status, "%v by %d", order, size)
				require.Equal(t, rows[0].StartTime, run.StartedAt)
				require.Equal(t, rows[2].EndTime, run.EndedAt)
				require.Equal(t, []ulid.ULID{id(1)}, run.EventIDs)
			}
		}
	})
}

func TestTraceRunsDoNotBecomeUnended(t *testing.T) {
	t.Parallel()
	row := func(status int, ai bool) database.TraceRun {
		return database.TraceRun{RunID: id(1), Status: status, QueuedAt: began, TriggerIDs: []ulid.ULID{id(1), id(2)}, HasAI: ai, Output: []byte("o")}
	}
	each(t, func(t *testing.T, s *database.Store) {
		for _, c := range []struct {
			rows []database.TraceRun
			want int
		}{
			{[]database.TraceRun{row(100, true), row(200, false)}, 200},
			{[]database.TraceRun{row(100, false)}, 100},
			{[]database.TraceRun{row(300, false), row(200, false)}, 300},
			{[]database.TraceRun{row(200, false)}, 300},
			{[]database.TraceRun{row(500, false)}, 500},
		} {
			require.NoError(t, s.Write(t.Context(), &database.Records{TraceRuns: c.rows}))
			got, err := s.TraceRun(t.Context(), id(1))
			require.NoError(t, err)
			want := row(c.want, true) // once true it stays
			require.Equal(t, want, got)
		}
		_, err := s.TraceRun(t.Context(), id(2))
		require.ErrorIs(t, err, database.ErrNotFound)
	})
}
