package database

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// noParent is the parent of a run's span and its extensions (database §11.1).
const noParent = "0000000000000000"

// RunStatus is the state of a run as lists have it (database §11.3).
type RunStatus string

// The states.
const (
	Scheduled RunStatus = "Scheduled"
	Running   RunStatus = "Running"
	Completed RunStatus = "Completed"
	Failed    RunStatus = "Failed"
	Cancelled RunStatus = "Cancelled"
	Skipped   RunStatus = "Skipped"
)

// RunStatusOf is the state of a run whose newest row has a span's status.
func RunStatusOf(span string) RunStatus {
	switch span {
	case "Failed", "Errored":
		return Failed
	case "TimedOut", "Cancelled":
		return Cancelled
	case "Scheduled", "Queued":
		return Scheduled
	case "Completed":
		return Completed
	case "Skipped":
		return Skipped
	}
	return Running
}

// runChange is what rows of spans say about one run.
type runChange struct {
	run        ulid.ULID
	app        uuid.UUID
	function   uuid.UUID
	traceID    string
	startedAt  *int64 // Unix µs; nil without the row executor.run
	endedAt    int64  // Unix µs
	lastSpanID string
	status     RunStatus
	deferred   bool
	debug      bool
	cron       string
	batchID    string
	events     []ulid.ULID
}

// runChanges folds rows of spans, in any order, to one change of each run. Its
// status is that of the row with the greatest end, then id (database §13.3).
func runChanges(rows []Span) ([]runChange, error) {
	places := map[ulid.ULID]int{}
	var changes []runChange
	for i := range rows {
		s := &rows[i]
		if s.ParentSpanID != noParent && s.ParentSpanID != "" || s.Name != "executor.run" && s.Name != "EXTEND" {
			continue
		}
		place, ok := places[s.RunID]
		if !ok {
			place = len(changes)
			places[s.RunID] = place
			changes = append(changes, runChange{run: s.RunID, app: s.AppID, function: s.FunctionID, traceID: s.TraceID})
		}
		if err := changes[place].fold(s); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

func (c *runChange) fold(s *Span) error {
	if end := s.EndTime.UnixMicro(); c.lastSpanID == "" || end > c.endedAt || end == c.endedAt && s.SpanID > c.lastSpanID {
		c.endedAt, c.lastSpanID, c.status = end, s.SpanID, RunStatusOf(s.Status)
	}
	if s.Name != "executor.run" {
		return nil
	}
	started := s.StartTime.UnixMicro()
	c.startedAt, c.deferred, c.debug, c.events = &started, s.IsDeferred, s.DebugRunID != "", s.EventIDs
	if s.Told {
		c.cron = s.Cron
		if !s.BatchID.IsZero() {
			c.batchID = s.BatchID.String()
		}
		return nil
	}
	var attributes struct {
		Cron  string `json:"_inngest.cron.schedule"`
		Batch string `json:"_inngest.batch.id"`
	}
	raw := s.Attributes
	var inner string // encoded twice (database §4)
	if json.Unmarshal(raw, &inner) == nil {
		raw = json.RawMessage(inner)
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &attributes); err != nil {
			return fmt.Errorf("attributes of the span of run %s: %w", s.RunID, err)
		}
	}
	c.cron, c.batchID = attributes.Cron, attributes.Batch
	return nil
}

const newer = `(excluded.ended_at, excluded.last_span_id) > (jetstep_runs.ended_at, jetstep_runs.last_span_id)`

var runIndex = &table[runChange]{
	name:  "jetstep_runs",
	usual: map[string]string{"is_deferred": "false", "is_debug": "false", "cron": "''", "batch_id": "''"},
	columns: `run_id, app_id, function_id, trace_id, started_at, ended_at, last_span_id, status,
		is_deferred, is_debug, cron, batch_id`,
	conflict: `ON CONFLICT (run_id) DO UPDATE SET
		started_at = coalesce(excluded.started_at, jetstep_runs.started_at),
		ended_at = CASE WHEN ` + newer + ` THEN excluded.ended_at ELSE jetstep_runs.ended_at END,
		last_span_id = CASE WHEN ` + newer + ` THEN excluded.last_span_id ELSE jetstep_runs.last_span_id END,
		status = CASE WHEN ` + newer + ` THEN excluded.status ELSE jetstep_runs.status END,
		is_deferred = jetstep_runs.is_deferred OR excluded.is_deferred,
		is_debug = jetstep_runs.is_debug OR excluded.is_debug,
		cron = CASE WHEN excluded.cron = '' THEN jetstep_runs.cron ELSE excluded.cron END,
		batch_id = CASE WHEN excluded.batch_id = '' THEN jetstep_runs.batch_id ELSE excluded.batch_id END`,
	bind: func(enc encoding, c *runChange, row []any) []any {
		var started any
		if c.startedAt != nil {
			started = *c.startedAt
		}
		return append(row,
			enc.text(c.run), enc.uuid(c.app), enc.uuid(c.function), c.traceID, started, c.endedAt, c.lastSpanID,
			string(c.status), orUsual(c.deferred, false), orUsual(c.debug, false), orUsual(c.cron, ""), orUsual(c.batchID, ""),
		)
	},
}

type runEvent struct {
	event, run ulid.ULID
	place      int
}

var runEvents = &table[runEvent]{
	name: "jetstep_run_events", columns: `event_id, run_id, place`, conflict: `ON CONFLICT DO NOTHING`,
	usual: map[string]string{"place": "0"},
	bind: func(enc encoding, e *runEvent, row []any) []any {
		return append(row, enc.raw(e.event), enc.text(e.run), orUsual(e.place, 0))
	},
}

func insertRunChanges(ctx context.Context, tx *transaction, changes []runChange) error {
	var events []runEvent
	for _, c := range changes {
		for i, id := range c.events {
			events = append(events, runEvent{id, c.run, i})
		}
	}
	if err := insert(ctx, tx, runIndex, changes); err != nil {
		return err
	}
	return insert(ctx, tx, runEvents, events)
}

// reconcileChunk is how many runs are reconciled in one transaction.
const reconcileChunk = 500

// reconcileMissing takes up runs that started since a time and are not in the
// index.
func (s *Store) reconcileMissing(ctx context.Context, since time.Time) (int, error) {
	return s.reconcile(ctx, `SELECT run_id FROM spans AS s WHERE name = 'executor.run' AND start_time >= ? AND run_id > ?
		AND NOT EXISTS (SELECT 1 FROM jetstep_runs AS r WHERE r.run_id = s.run_id AND r.started_at IS NOT NULL)
		ORDER BY run_id LIMIT ?`, s.enc.time(since))
}

// reconcileActive takes up the ends of runs that the index has as not ended.
func (s *Store) reconcileActive(ctx context.Context) (int, error) {
	return s.reconcile(ctx,
		`SELECT run_id FROM jetstep_runs WHERE status IN ('Scheduled', 'Running') AND run_id > ? ORDER BY run_id LIMIT ?`)
}

// reconcile walks over the run ids of a query, whose last two parameters are the
// id to go on after and the number of ids.
func (s *Store) reconcile(ctx context.Context, query string, args ...any) (int, error) {
	for total, after := 0, ""; ; {
		ids, err := collect(ctx, s, "runs to reconcile", query, append(args[:len(args):len(args)], after, reconcileChunk),
			func(row scanner, id *string) error { return row.Scan(id) })
		if err != nil || len(ids) == 0 {
			return total, err
		}
		if err := s.reconcileRuns(ctx, ids); err != nil {
			return total, err
		}
		total, after = total+len(ids), ids[len(ids)-1]
	}
}

func (s *Store) reconcileRuns(ctx context.Context, ids []string) error {
	marks, args := inList(ids)
	rows, err := collect(ctx, s, "spans of runs", `SELECT `+spanColumns+` FROM spans
		WHERE run_id IN (`+marks+`) AND name IN ('executor.run', 'EXTEND')`, args, scanSpan)
	if err != nil {
		return err
	}
	changes, err := runChanges(rows)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *transaction) error { return insertRunChanges(ctx, tx, changes) })
}

// padded repeats the last of a list's values until their number is a power of two:
// texts of statements then are few, as they must be while these stay prepared.
func padded[T any](values []T) []T {
	if len(values) == 0 {
		return values
	}
	size := 1 << bits.Len(uint(len(values)-1))
	return append(slices.Clip(values), slices.Repeat(values[len(values)-1:], size-len(values))...)
}

// inList is the placeholders and parameters of "in (…)".
func inList[T any](values []T) (marks string, args []any) {
	for _, v := range values {
		args = append(args, v)
	}
	return strings.TrimPrefix(strings.Repeat(", ?", len(values)), ", "), args
}
