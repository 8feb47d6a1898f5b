package reader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/history"
	"jetstep/history/database"
	"jetstep/history/trace"
	"jetstep/state"
)

// Older answers what the older REST API asks (http-api §10). It is a
// history.Reader.
type Older struct {
	store *database.Store
}

var _ history.Reader = Older{}

// NewOlder makes an Older of a database.
func NewOlder(store *database.Store) Older { return Older{store} }

// Run implements history.Reader.
func (r Older) Run(ctx context.Context, id ulid.ULID) (history.Run, error) {
	row, err := r.store.FunctionRun(ctx, id)
	if !errors.Is(err, database.ErrNotFound) {
		return r.completeOne(ctx, row, err)
	}
	indexed, err := r.store.Run(ctx, id)
	switch {
	case errors.Is(err, database.ErrNotFound):
		return history.Run{}, fmt.Errorf("run %s: %w", id, history.ErrRunNotFound)
	case err != nil:
		return history.Run{}, outage(err)
	case indexed.Status == database.Skipped:
		return r.skipped(ctx, &indexed)
	}
	// It was written between the two reads, or has nothing but spans.
	row, err = r.store.FunctionRun(ctx, id)
	if errors.Is(err, database.ErrNotFound) {
		return r.fromSpans(ctx, &indexed)
	}
	return r.completeOne(ctx, row, err)
}

func (r Older) completeOne(ctx context.Context, row database.FunctionRun, err error) (history.Run, error) {
	if err != nil {
		return history.Run{}, outage(err)
	}
	runs, err := r.complete(ctx, []database.FunctionRun{row})
	if err != nil {
		return history.Run{}, err
	}
	return runs[0], nil
}

// fromSpans is a run as the index and its spans have it.
func (r Older) fromSpans(ctx context.Context, indexed *database.Run) (history.Run, error) {
	run := fromIndex(indexed)
	outputs, err := r.store.RunOutputs(ctx, []ulid.ULID{run.ID})
	if err != nil {
		return history.Run{}, outage(err)
	}
	if output := outputs[run.ID]; output != nil && run.Status.Ended() {
		run.Output = trace.Inner(output)
	}
	return run, nil
}

// EventRuns implements history.Reader.
func (r Older) EventRuns(ctx context.Context, event ulid.ULID) ([]history.Run, error) {
	rows, err := r.store.FunctionRunsOfEvent(ctx, event)
	if err != nil {
		return nil, outage(err)
	}
	var own []database.FunctionRun
	for _, row := range rows {
		if row.EventID == event { // else it is a later event of a batch
			own = append(own, row)
		}
	}
	return r.complete(ctx, own)
}

// complete adds to rows of function_runs what other tables know: the events and
// the batch, whether a run has begun, and outputs that have no row of their own
// (database §7).
func (r Older) complete(ctx context.Context, rows []database.FunctionRun) ([]history.Run, error) {
	ids := make([]ulid.ULID, len(rows))
	var silent []ulid.ULID // ended without output
	for i := range rows {
		ids[i] = rows[i].RunID
		if finish := rows[i].Finish; finish != nil && finish.Status == state.Completed.String() && finish.Output == "" {
			silent = append(silent, rows[i].RunID)
		}
	}
	indexed, err := r.store.RunsByID(ctx, ids)
	if err != nil {
		return nil, outage(err)
	}
	outputs, err := r.store.RunOutputs(ctx, silent)
	if err != nil {
		return nil, outage(err)
	}
	runs := make([]history.Run, len(rows))
	for i := range rows {
		runs[i] = fromFunctionRun(&rows[i])
		if known, ok := indexed[runs[i].ID]; ok {
			fillIn(&runs[i], &known)
		}
		if output := outputs[runs[i].ID]; output != nil {
			runs[i].Output = trace.Inner(output)
		}
	}
	return runs, nil
}

func fromFunctionRun(row *database.FunctionRun) history.Run {
	run := history.Run{
		ID: row.RunID, FunctionID: row.FunctionID, FunctionVersion: row.FunctionVersion, EventIDs: []ulid.ULID{row.EventID},
		Status: state.Running, QueuedAt: row.StartedAt, Cron: row.Cron, BatchID: optional(row.BatchID),
		OriginalRunID: optional(row.OriginalRunID),
	}
	if finish := row.Finish; finish != nil {
		run.Status, run.EndedAt, run.Output = statusNamed(finish.Status), finish.CreatedAt, asJSON(finish.Output)
	}
	return run
}

// fillIn takes over what the index of runs has besides.
func fillIn(run *history.Run, indexed *database.Run) {
	if len(indexed.EventIDs) > 0 {
		run.EventIDs = indexed.EventIDs
	}
	if run.BatchID == nil {
		run.BatchID = optional(indexed.BatchID)
	}
	if !run.Status.Ended() && indexed.Status == database.Scheduled {
		run.Status = state.Scheduled
	}
}

// statusNamed is the status of that name, of which there are few.
func statusNamed(name string) state.Status {
	for _, s := range []state.Status{state.Completed, state.Failed, state.Cancelled, state.Overflowed, state.Skipped} {
		if s.String() == name {
			return s
		}
	}
	return state.Unknown
}

// asJSON is an output as JSON: the original stores the body of an SDK as it is.
func asJSON(output string) json.RawMessage {
	switch {
	case output == "":
		return nil
	case json.Valid([]byte(output)):
		return json.RawMessage(output)
	}
	text, _ := json.Marshal(output) // a string has no reason to fail
	return text
}

// skipped is a run that was not made, which has only a span.
func (r Older) skipped(ctx context.Context, indexed *database.Run) (history.Run, error) {
	run := fromIndex(indexed)
	spans, err := r.store.Spans(ctx, run.ID)
	rows, err := convert(spans, err, toRow)
	if err != nil {
		return history.Run{}, outage(err)
	}
	assembled, err := trace.Assemble(rows)
	if err != nil {
		return run, nil // the rest is decoration
	}
	root := assembled.Preview()
	if root.SkipReason != nil {
		run.Reason = *root.SkipReason
	}
	if root.SkipExistingRun != nil {
		if existing, err := ulid.ParseStrict(*root.SkipExistingRun); err == nil {
			run.ExistingRunID = &existing
		}
	}
	return run, nil
}

// indexStatuses are the states of runs in the index.
var indexStatuses = map[database.RunStatus]state.Status{
	database.Scheduled: state.Scheduled, database.Running: state.Running, database.Completed: state.Completed,
	database.Failed: state.Failed, database.Cancelled: state.Cancelled, database.Skipped: state.Skipped,
}

// fromIndex is a run as the index of runs has it.
func fromIndex(indexed *database.Run) history.Run {
	run := history.Run{
		ID: indexed.ID, FunctionID: indexed.FunctionID, EventIDs: indexed.EventIDs, Status: indexStatuses[indexed.Status],
		QueuedAt: ulid.Time(indexed.ID.Time()).UTC(), Cron: indexed.Cron, BatchID: optional(indexed.BatchID),
	}
	if run.Status.Ended() {
		run.EndedAt = indexed.EndedAt
	}
	return run
}

// RecentRuns implements history.Reader.
func (r Older) RecentRuns(ctx context.Context, limit int) ([]history.Run, error) {
	indexed, err := r.store.Runs(ctx, database.RunQuery{Limit: limit})
	if err != nil {
		return nil, outage(err)
	}
	var failed []ulid.ULID
	runs := make([]history.Run, len(indexed))
	for i := range indexed {
		runs[i] = fromIndex(&indexed[i])
		if runs[i].Status == state.Failed {
			failed = append(failed, runs[i].ID)
		}
	}
	outputs, err := r.store.RunOutputs(ctx, failed)
	if err != nil {
		return nil, outage(err)
	}
	for i := range runs {
		if output := outputs[runs[i].ID]; output != nil {
			runs[i].Output = trace.Inner(output)
		}
	}
	return runs, nil
}

// Event implements history.Reader.
func (r Older) Event(ctx context.Context, id ulid.ULID) (history.Event, error) {
	row, err := r.store.Event(ctx, id)
	switch {
	case errors.Is(err, database.ErrNotFound):
		return history.Event{}, fmt.Errorf("event %s: %w", id, history.ErrEventNotFound)
	case err != nil:
		return history.Event{}, outage(err)
	}
	return fromEvent(row), nil
}

// Events implements history.Reader.
func (r Older) Events(ctx context.Context, filter history.EventFilter) ([]history.Event, error) {
	query := database.EventFilter{From: filter.ReceivedAfter, Until: filter.ReceivedBefore, Before: filter.Before, Limit: filter.Limit}
	if filter.Name != "" {
		query.Names = []string{filter.Name}
	}
	rows, err := r.store.Events(ctx, query)
	events, err := convert(rows, err, fromEvent)
	return events, outage(err)
}

func fromEvent(row database.Event) history.Event {
	return history.Event{
		InternalID: row.InternalID, ID: row.ID, Name: row.Name, Data: unlessNull(row.Data), User: unlessNull(row.User),
		TS: row.Timestamp.UnixMilli(), V: row.Version, ReceivedAt: row.ReceivedAt, Matched: -1,
	}
}

// unlessNull is nil for JSON that stands for nothing (database §6).
func unlessNull(raw json.RawMessage) json.RawMessage {
	if text := string(raw); text == "null" || text == "" {
		return nil
	}
	return raw
}
