package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// Retention says what to keep. Runs that have not ended, and their events, are
// always kept.
type Retention struct {
	Before time.Time // what is older is deleted; zero to keep any age
	Runs   int       // so many of the latest runs are kept; 0 for any number
	// Strays deletes also what belongs to no run: was attached to one that had
	// been deleted, or that never was. To find it, all rows of the old runs that
	// are kept are looked at.
	Strays bool
}

// retentionChunk is how many runs or events are deleted in one transaction, so
// that writers never wait for long.
const retentionChunk = 500

// Deleted counts what Retain has deleted.
type Deleted struct {
	Runs, Events int
	Strays       int  // runs that are not there, of which there was something
	More         bool // there may be more to delete
}

// Retain deletes ended runs, with all that is known of them, and events, in at
// most so many transactions of up to 500 runs or events each.
func (s *Store) Retain(ctx context.Context, r Retention, transactions int) (Deleted, error) {
	var d Deleted
	cutoff, err := s.cutoff(ctx, r)
	if err != nil || cutoff.IsZero() {
		return d, err
	}
	for _, some := range []struct {
		wanted bool
		delete func(context.Context, time.Time) (int, error)
		count  *int
	}{{true, s.deleteRuns, &d.Runs}, {true, s.deleteEvents, &d.Events}, {r.Strays, s.deleteStrays, &d.Strays}} {
		for n := retentionChunk; some.wanted && n == retentionChunk; transactions-- {
			if transactions <= 0 {
				d.More = true
				return d, nil
			}
			if n, err = some.delete(ctx, cutoff); err != nil {
				return d, err
			}
			*some.count += n
		}
	}
	return d, nil
}

// cutoff is the time before which everything is to go: the later of the limits.
func (s *Store) cutoff(ctx context.Context, r Retention) (time.Time, error) {
	if r.Runs == 0 {
		return r.Before, nil
	}
	started, err := first(ctx, s, "oldest run to keep", `SELECT started_at FROM jetstep_runs WHERE started_at IS NOT NULL
		ORDER BY started_at DESC, run_id LIMIT 1 OFFSET ?`, []any{r.Runs - 1}, scanInt)
	if errors.Is(err, ErrNotFound) {
		return r.Before, nil // there are fewer
	}
	if err != nil {
		return time.Time{}, err
	}
	if at := time.UnixMicro(int64(started)); at.After(r.Before) {
		return at, nil
	}
	return r.Before, nil
}

// runTables name a run in the three ways of database §4.
var (
	tablesByText  = []string{"spans", "jetstep_run_events", "jetstep_runs"}
	tablesByChar  = []string{"trace_runs", "event_batches", "traces"}
	tablesByBytes = []string{"function_runs", "function_finishes", "history"}
)

func (s *Store) deleteRuns(ctx context.Context, cutoff time.Time) (int, error) {
	ids, err := collect(ctx, s, "old runs", `SELECT run_id FROM jetstep_runs
		WHERE started_at < ? AND status NOT IN ('Scheduled', 'Running') ORDER BY started_at LIMIT ?`,
		[]any{cutoff.UnixMicro(), retentionChunk}, func(row scanner, id *ulid.ULID) error { return row.Scan(ulidOf{id}) })
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), s.forget(ctx, ids)
}

// unlisted are the conditions for a run that no list has, nor will have when it
// is taken up. %s is the column with its id.
const unlisted = ` AND NOT EXISTS (SELECT 1 FROM jetstep_runs AS r WHERE r.run_id = %[1]s
	AND (r.started_at IS NOT NULL OR r.status IN ('Scheduled', 'Running')))
	AND NOT EXISTS (SELECT 1 FROM spans AS o WHERE o.run_id = %[1]s AND o.name = 'executor.run') ORDER BY run_id LIMIT ?`

// deleteStrays finds them by the time in the run's id and their own: rows of a run
// that has just been made may come before it.
func (s *Store) deleteStrays(ctx context.Context, cutoff time.Time) (int, error) {
	var before ulid.ULID
	if err := before.SetTime(uint64(max(cutoff.UnixMilli(), 0))); err != nil {
		return 0, fmt.Errorf("old rows of no run: %w", err)
	}
	id := func(row scanner, id *ulid.ULID) error { return row.Scan(ulidOf{id}) }
	ids, err := collect(ctx, s, "old spans of no run", `SELECT DISTINCT run_id FROM spans AS s WHERE run_id < ? AND start_time < ?`+
		fmt.Sprintf(unlisted, "s.run_id"), []any{before.String(), s.enc.time(cutoff), retentionChunk}, id)
	if err == nil && len(ids) == 0 {
		// Originals before version 1.8 wrote no spans (database §3).
		ids, err = collect(ctx, s, "old runs without spans", `SELECT run_id FROM trace_runs AS t WHERE run_id < ? AND queued_at < ?
			AND status NOT IN (0, 5, 100, 200)`+fmt.Sprintf(unlisted, "t.run_id"),
			[]any{s.enc.ulidText(before), cutoff.UnixMilli(), retentionChunk}, id)
	}
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), s.forget(ctx, ids)
}

// forget deletes runs in one transaction.
func (s *Store) forget(ctx context.Context, ids []ulid.ULID) error {
	text, char, raw := make([]any, len(ids)), make([]any, len(ids)), make([]any, len(ids))
	for i, id := range ids {
		text[i], char[i], raw[i] = id.String(), s.enc.ulidText(id), id.Bytes()
	}
	return s.transact(ctx, func(tx *transaction) error {
		for _, group := range []struct {
			tables []string
			ids    []any
		}{{tablesByText, text}, {tablesByChar, char}, {tablesByBytes, raw}} {
			marks, args := inList(padded(group.ids))
			for _, table := range group.tables {
				if err := tx.exec(ctx, `DELETE FROM `+table+` WHERE run_id IN (`+marks+`)`, args...); err != nil {
					return fmt.Errorf("deleting old runs from %s: %w", table, err)
				}
			}
		}
		return nil
	})
}

func (s *Store) deleteEvents(ctx context.Context, cutoff time.Time) (int, error) {
	const text = `DELETE FROM events WHERE internal_id IN (
		SELECT internal_id FROM events AS e WHERE received_at < ?
		AND NOT EXISTS (SELECT 1 FROM jetstep_run_events AS r WHERE r.event_id = e.internal_id) LIMIT ?)`
	result, err := s.db.ExecContext(ctx, s.enc.rebind(text), s.enc.time(cutoff), retentionChunk)
	if err != nil {
		return 0, fmt.Errorf("deleting old events: %w", err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// projected are the tables that are made again from the logs.
var projected = []string{
	"events", "event_batches", "function_runs", "function_finishes", "history", "trace_runs", "traces", "spans",
	"jetstep_runs", "jetstep_run_events", "jetstep_positions",
}

// Clear deletes everything that can be projected again, and all positions; apps,
// functions and connections stay.
func (s *Store) Clear(ctx context.Context) error {
	return s.transact(ctx, func(tx *transaction) error {
		for _, table := range projected {
			if err := tx.exec(ctx, `DELETE FROM `+table); err != nil {
				return fmt.Errorf("clearing %s: %w", table, err)
			}
		}
		return nil
	})
}
