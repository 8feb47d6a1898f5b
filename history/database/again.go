package database

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// idChunk is how many ids are looked for at once.
const idChunk = 500

// missing leaves of a batch what is not stored yet, in the tables without keys:
// in the others a row finds itself.
func (tx *transaction) missing(ctx context.Context, r *Records) (*Records, error) {
	left := *r
	var err error
	if left.Events, err = absent(ctx, tx, "events", "internal_id", r.Events, func(e *Event) ulid.ULID { return e.InternalID }); err != nil {
		return nil, err
	}
	if left.Runs, err = absent(ctx, tx, "function_runs", "run_id", r.Runs, func(r *FunctionRun) ulid.ULID { return r.RunID }); err != nil {
		return nil, err
	}
	if left.Finishes, err = absent(ctx, tx, "function_finishes", "run_id", r.Finishes, func(f *FunctionFinish) ulid.ULID { return f.RunID }); err != nil {
		return nil, err
	}
	// Entries are found by their runs: that is what they are indexed by everywhere.
	var runs []ulid.ULID
	for i := range r.History {
		runs = append(runs, r.History[i].RunID)
	}
	stored, err := tx.ids(ctx, `SELECT id FROM history WHERE run_id IN (`, runs)
	if err != nil {
		return nil, err
	}
	left.History = slices.DeleteFunc(slices.Clone(r.History), func(h HistoryEntry) bool { return stored[h.ID] })
	return &left, nil
}

// absent leaves the rows whose id is not in a table, each once.
func absent[R any](ctx context.Context, tx *transaction, table, column string, rows []R, id func(*R) ulid.ULID) ([]R, error) {
	var ids []ulid.ULID
	for i := range rows {
		ids = append(ids, id(&rows[i]))
	}
	stored, err := tx.ids(ctx, `SELECT `+column+` FROM `+table+` WHERE `+column+` IN (`, ids)
	if err != nil {
		return nil, err
	}
	var left []R
	for i := range rows {
		if !stored[id(&rows[i])] {
			stored[id(&rows[i])] = true
			left = append(left, rows[i])
		}
	}
	return left, nil
}

// ids are what a query for ids finds, of which text is the beginning.
func (tx *transaction) ids(ctx context.Context, text string, of []ulid.ULID) (map[ulid.ULID]bool, error) {
	found := map[ulid.ULID]bool{}
	for chunk := range slices.Chunk(of, idChunk) {
		var raw [][]byte
		for _, id := range chunk {
			raw = append(raw, id.Bytes())
		}
		marks, args := inList(padded(raw))
		err := tx.via.query(ctx, text+marks+`)`, args, func(value any) error {
			var id ulid.ULID
			err := ulidOf{&id}.Scan(value)
			found[id] = true
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("looking for rows: %w", err)
		}
	}
	return found, nil
}

// unsent leaves out the events that have come before.
func (tx *transaction) unsent(ctx context.Context, events []Event) ([]Event, error) {
	var resent []ulid.ULID
	for i := range events {
		if events[i].Resent {
			resent = append(resent, events[i].InternalID)
		}
	}
	if len(resent) == 0 {
		return events, nil
	}
	stored, err := tx.ids(ctx, `SELECT internal_id FROM events WHERE internal_id IN (`, resent)
	if err != nil {
		return nil, err
	}
	left := make([]Event, 0, len(events))
	for i := range events {
		e := &events[i]
		if e.Resent && stored[e.InternalID] {
			continue
		}
		stored[e.InternalID] = e.Resent // also if it comes twice in this batch
		left = append(left, *e)
	}
	return left, nil
}

// startChunks are how many runs one statement of start has: each is a question to
// the database and its answer.
var startChunks = [...]int{64, 8, 1}

// start notes that runs have started which their rows in trace_runs, of earlier
// batches, have as scheduled.
func (tx *transaction) start(ctx context.Context, runs []StartedRun) error {
	for len(runs) > 0 {
		n := chunkOf(startChunks[:], len(runs))
		var args, ids []any
		for _, run := range runs[:n] {
			id := tx.enc.ulidText(run.RunID)
			args, ids = append(args, id, unixMilli(run.At.Truncate(time.Millisecond))), append(ids, id)
		}
		marks, _ := inList(ids)
		text := `UPDATE trace_runs SET status = 200, started_at = CASE run_id` + strings.Repeat(` WHEN ? THEN CAST(? AS BIGINT)`, n) +
			` END WHERE run_id IN (` + marks + `) AND status = 100`
		if err := tx.exec(ctx, text, append(args, ids...)...); err != nil {
			return fmt.Errorf("writing trace_runs: %w", err)
		}
		runs = runs[n:]
	}
	return nil
}
