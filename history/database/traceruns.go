package database

import (
	"context"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// TraceRun finds the row of a run in trace_runs, or fails with [ErrNotFound].
func (s *Store) TraceRun(ctx context.Context, id ulid.ULID) (TraceRun, error) {
	return first(ctx, s, "run", `SELECT `+traceRunColumns+` FROM trace_runs WHERE run_id = ?`, []any{s.enc.ulidText(id)}, scanTraceRun)
}

// TraceRunsByID finds rows of trace_runs; those that are not there are left out.
func (s *Store) TraceRunsByID(ctx context.Context, ids []ulid.ULID) (map[ulid.ULID]TraceRun, error) {
	found := make(map[ulid.ULID]TraceRun, len(ids))
	for chunk := range slices.Chunk(ids, idChunk) {
		var texts []any
		for _, id := range chunk {
			texts = append(texts, s.enc.ulidText(id))
		}
		marks, args := inList(padded(texts))
		rows, err := collect(ctx, s, "runs", `SELECT `+traceRunColumns+` FROM trace_runs WHERE run_id IN (`+marks+`)`, args, scanTraceRun)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			found[row.RunID] = row
		}
	}
	return found, nil
}

// TraceRuns lists runs that were queued in [from, until), the latest first, at
// most limit; skipped ones are left out (database §13.3, "non-preview").
func (s *Store) TraceRuns(ctx context.Context, from, until time.Time, limit int) ([]TraceRun, error) {
	return collect(ctx, s, "runs", `SELECT `+traceRunColumns+` FROM trace_runs WHERE queued_at >= ? AND queued_at < ?
		AND status NOT IN (600, 7) ORDER BY queued_at DESC, run_id LIMIT ?`,
		[]any{from.UnixMilli(), until.UnixMilli(), limit}, scanTraceRun)
}

// oldStatuses are the codes that old rows have (database §9).
var oldStatuses = map[int]int{0: 200, 1: 300, 2: 400, 3: 500, 4: 50, 5: 100, 7: 600}

func scanTraceRun(row scanner, r *TraceRun) error {
	var trace []byte
	var queued, started, ended int64
	var source string
	var debounce bool
	err := row.Scan(ulidOf{&r.RunID}, uuidOf{&r.AccountID}, uuidOf{&r.WorkspaceID}, uuidOf{&r.AppID}, uuidOf{&r.FunctionID},
		&trace, &queued, &started, &ended, &r.Status, &source, joinedOf{&r.TriggerIDs}, &r.Output, &debounce,
		ulidOf{&r.BatchID}, textOf{&r.Cron}, &r.HasAI)
	r.TraceID = string(trace)
	r.QueuedAt, r.StartedAt, r.EndedAt = milliTime(queued), milliTime(started), milliTime(ended)
	if code, ok := oldStatuses[r.Status]; ok {
		r.Status = code
	}
	return err
}

// milliTime reads what unixMilli made; 0, as some rows have, is the zero time too.
func milliTime(ms int64) time.Time {
	if ms == 0 || ms == unixMilli(time.Time{}) {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
