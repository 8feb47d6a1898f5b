package database

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/migrations"
)

// Run is a run as lists have it (database §13.3).
type Run struct {
	ID                ulid.ULID
	AppID, FunctionID uuid.UUID
	TraceID           string
	StartedAt         time.Time // of its first row, µs; also when it was queued
	EndedAt           time.Time // of its newest row, also while it runs
	Status            RunStatus
	Deferred          bool
	Cron              string
	BatchID           ulid.ULID // zero for none
	EventIDs          []ulid.ULID
}

// RunFilter selects runs. Fields that are zero do not select. Runs of the
// debugger are never selected, skipped ones only by name.
type RunFilter struct {
	From, Until time.Time // started at or after; at or before
	ByEnd       bool      // From and Until are of the end instead, of runs that have one
	Statuses    []RunStatus
	AppIDs      []uuid.UUID
	FunctionIDs []uuid.UUID
	Deferred    *bool
}

// RunCursor is the place of a run in a list.
type RunCursor struct {
	At time.Time // µs; the time by which the list is sorted
	ID ulid.ULID
}

// RunQuery asks for a page of runs, the latest started first; those that started
// at once by ascending id.
type RunQuery struct {
	RunFilter
	OldestFirst bool
	SortByEnd   bool // which of a run that has not ended is its newest row's
	After       *RunCursor
	Limit       int // above 0
}

// Cursor is the place of a run in the list.
func (q *RunQuery) Cursor(run *Run) *RunCursor {
	if q.SortByEnd {
		return &RunCursor{run.EndedAt, run.ID}
	}
	return &RunCursor{run.StartedAt, run.ID}
}

// timeColumn is where a run's end is, or its start.
func timeColumn(end bool) string {
	if end {
		return "ended_at"
	}
	return "started_at"
}

const runColumns = `run_id, app_id, function_id, trace_id, started_at, ended_at, status, is_deferred, cron, batch_id`

// maxBranches bounds the parts of one query.
const maxBranches = 60

// Runs lists runs, with their events.
func (s *Store) Runs(ctx context.Context, q RunQuery) ([]Run, error) {
	text, args := q.statement(s.enc.dialect)
	runs, err := collect(ctx, s, "runs", text, args, scanRun)
	if err != nil {
		return nil, err
	}
	return runs, s.addEvents(ctx, runs)
}

// statement is a union with a branch for each pair of function and status, each
// of which an index has in the wanted order; a database would read and sort them all.
func (q *RunQuery) statement(dialect migrations.Dialect) (string, []any) {
	order := ` ORDER BY ` + timeColumn(q.SortByEnd) + ` DESC, run_id LIMIT ?`
	if q.OldestFirst {
		order = ` ORDER BY ` + timeColumn(q.SortByEnd) + `, run_id LIMIT ?`
	}
	var branches []string
	var args []any
	for _, b := range q.branches() {
		from := `jetstep_runs`
		if dialect == migrations.SQLite {
			from += ` INDEXED BY ` + b.index // without statistics it may choose one that has all runs of a status
		}
		branches = append(branches, `SELECT * FROM (SELECT `+runColumns+` FROM `+from+b.where()+order+`) AS b`)
		args = append(append(args, b.args...), q.Limit)
	}
	return `SELECT * FROM (` + strings.Join(branches, ` UNION ALL `) + `) AS u` + order, append(args, q.Limit)
}

// branch selects runs that an index has in the order of lists.
type branch struct {
	index string
	conditions
}

func (q *RunQuery) branches() []branch {
	functions, statuses := q.FunctionIDs, q.Statuses
	if len(functions) > 0 && len(statuses) == 0 {
		statuses = []RunStatus{Scheduled, Running, Completed, Failed, Cancelled}
	}
	if q.SortByEnd || len(statuses) == 0 || max(1, len(functions))*len(statuses) > maxBranches {
		c := q.common()
		q.RunFilter.selectIn(&c)
		if q.SortByEnd {
			return []branch{{"jetstep_runs_ended", c}}
		}
		return []branch{{"jetstep_runs_started", c}}
	}
	var list []branch
	for _, status := range statuses {
		if len(functions) == 0 {
			c := q.common()
			c.add(`status = ?`, string(status))
			list = append(list, branch{"jetstep_runs_status", c})
		}
		for _, function := range functions {
			c := q.common()
			c.add(`function_id = ?`, function.String())
			c.add(`status = ?`, string(status))
			list = append(list, branch{"jetstep_runs_function", c})
		}
	}
	return list
}

// selectIn adds the conditions on status and function.
func (f *RunFilter) selectIn(c *conditions) {
	if len(f.Statuses) == 0 {
		c.add(`status <> 'Skipped'`)
	} else {
		marks, args := inList(texts(f.Statuses))
		c.add(`status IN (`+marks+`)`, args...)
	}
	if len(f.FunctionIDs) > 0 {
		marks, args := inList(uuidTexts(f.FunctionIDs))
		c.add(`function_id IN (`+marks+`)`, args...)
	}
}

// conditions are those besides status and function.
func (f *RunFilter) conditions() conditions {
	var c conditions
	c.add(`started_at IS NOT NULL AND NOT is_debug`)
	column := timeColumn(f.ByEnd)
	if f.ByEnd {
		c.add(`status NOT IN ('Scheduled', 'Running')`)
	}
	if !f.From.IsZero() {
		c.add(column+` >= ?`, f.From.UnixMicro())
	}
	if !f.Until.IsZero() {
		c.add(column+` <= ?`, f.Until.UnixMicro())
	}
	if len(f.AppIDs) > 0 {
		marks, args := inList(uuidTexts(f.AppIDs))
		c.add(`app_id IN (`+marks+`)`, args...)
	}
	if f.Deferred != nil {
		c.add(`is_deferred = ?`, *f.Deferred)
	}
	return c
}

// common is the filter and the cursor, which takes the place of a wider bound of
// the filter: of two, a database may take either to enter the index.
func (q *RunQuery) common() conditions {
	if q.After == nil {
		return q.RunFilter.conditions()
	}
	f, at, id, column := q.RunFilter, q.After.At, q.After.ID.String(), timeColumn(q.SortByEnd)
	bound, beyond := column+` <= ?`, `(`+column+` < ? OR run_id > ?)`
	if q.OldestFirst {
		bound, beyond = column+` >= ?`, `(`+column+` > ? OR run_id > ?)`
	}
	same := f.ByEnd == q.SortByEnd
	switch {
	case same && q.OldestFirst && f.From.Before(at):
		f.From = at
	case same && !q.OldestFirst && (f.Until.IsZero() || f.Until.After(at)):
		f.Until = at
	}
	c := f.conditions()
	if !same {
		c.add(bound, at.UnixMicro())
	}
	c.add(beyond, at.UnixMicro(), id)
	return c
}

// CountRuns counts what the filter selects.
func (s *Store) CountRuns(ctx context.Context, f RunFilter) (int, error) {
	c := f.conditions()
	f.selectIn(&c)
	return first(ctx, s, "number of runs", `SELECT count(*) FROM jetstep_runs`+c.where(), c.args, scanInt)
}

// Run finds a run by its id, skipped ones too, or fails with [ErrNotFound].
func (s *Store) Run(ctx context.Context, id ulid.ULID) (Run, error) {
	run, err := first(ctx, s, "run", `SELECT `+runColumns+` FROM jetstep_runs
		WHERE run_id = ? AND started_at IS NOT NULL`, []any{id.String()}, scanRun)
	if err != nil {
		return Run{}, err
	}
	one := []Run{run}
	err = s.addEvents(ctx, one)
	return one[0], err
}

// RunsByID finds runs by their ids, skipped ones too; those that are not there
// are left out.
func (s *Store) RunsByID(ctx context.Context, ids []ulid.ULID) (map[ulid.ULID]Run, error) {
	found := make(map[ulid.ULID]Run, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	marks, args := inList(texts)
	runs, err := collect(ctx, s, "runs", `SELECT `+runColumns+` FROM jetstep_runs
		WHERE started_at IS NOT NULL AND run_id IN (`+marks+`)`, args, scanRun)
	if err != nil {
		return nil, err
	}
	if err := s.addEvents(ctx, runs); err != nil {
		return nil, err
	}
	for _, run := range runs {
		found[run.ID] = run
	}
	return found, nil
}

// RunsOfEvents lists the runs that each event started, also in a batch, and
// those that were skipped, in the order in which they started.
func (s *Store) RunsOfEvents(ctx context.Context, events []ulid.ULID) (map[ulid.ULID][]Run, error) {
	found := map[ulid.ULID][]Run{}
	if len(events) == 0 {
		return found, nil
	}
	var raw [][]byte
	for _, id := range events {
		raw = append(raw, id.Bytes())
	}
	marks, args := inList(raw)
	runs, err := collect(ctx, s, "runs of events", `SELECT `+runColumns+` FROM jetstep_runs WHERE started_at IS NOT NULL
		AND NOT is_debug AND run_id IN (SELECT run_id FROM jetstep_run_events WHERE event_id IN (`+marks+`))
		ORDER BY started_at, run_id`, args, scanRun)
	if err != nil {
		return nil, err
	}
	if err := s.addEvents(ctx, runs); err != nil {
		return nil, err
	}
	for _, event := range events {
		for _, run := range runs {
			if slices.Contains(run.EventIDs, event) {
				found[event] = append(found[event], run)
			}
		}
	}
	return found, nil
}

// addEvents fills in the events of runs.
func (s *Store) addEvents(ctx context.Context, runs []Run) error {
	if len(runs) == 0 {
		return nil
	}
	places, ids := map[ulid.ULID]int{}, make([]string, len(runs))
	for i, run := range runs {
		places[run.ID], ids[i] = i, run.ID.String()
	}
	marks, args := inList(ids)
	return s.query(ctx, "events of runs", `SELECT run_id, event_id FROM jetstep_run_events
		WHERE run_id IN (`+marks+`) ORDER BY run_id, place`, args, func(row scanner) error {
		var run, event ulid.ULID
		err := row.Scan(ulidOf{&run}, ulidOf{&event})
		runs[places[run]].EventIDs = append(runs[places[run]].EventIDs, event)
		return err
	})
}

func scanRun(row scanner, r *Run) error {
	var started, ended int64
	var batch string
	err := row.Scan(ulidOf{&r.ID}, uuidOf{&r.AppID}, uuidOf{&r.FunctionID}, &r.TraceID, &started, &ended, &r.Status,
		&r.Deferred, &r.Cron, &batch)
	if err != nil {
		return err
	}
	r.StartedAt, r.EndedAt = time.UnixMicro(started).UTC(), time.UnixMicro(ended).UTC()
	if batch != "" {
		r.BatchID, err = ulid.ParseStrict(batch)
	}
	return err
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func uuidTexts(ids []uuid.UUID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}
