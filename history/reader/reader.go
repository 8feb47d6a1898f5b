// Package reader answers what the APIs ask (history/view) from the database
// (history/database). It owns the translation between the two and the search of
// runs by a query.
//
// It guarantees that both sources of run lists show the same runs in the same
// order; only the times and outputs differ. It must not write, and keeps nothing.
package reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/history/database"
	"jetstep/history/trace"
	"jetstep/history/view"
)

// Reader reads a database. Look-ups of one record fail with view.ErrNotFound.
type Reader struct {
	store *database.Store
}

// New makes a Reader of an open database.
func New(store *database.Store) *Reader { return &Reader{store: store} }

// known turns the database's word for nothing into that of the APIs.
func known[T any](value T, err error) (T, error) {
	if errors.Is(err, database.ErrNotFound) {
		err = view.ErrNotFound
	}
	return value, outage(err)
}

// outage turns the database's word for being out of reach into that of the APIs.
func outage(err error) error {
	if errors.Is(err, database.ErrUnavailable) {
		return fmt.Errorf("%w: %w", view.ErrUnavailable, err)
	}
	return err
}

// convert applies do to a list that was read.
func convert[From, To any](list []From, err error, do func(From) To) ([]To, error) {
	if err != nil {
		return nil, outage(err)
	}
	converted := make([]To, len(list))
	for i, item := range list {
		converted[i] = do(item)
	}
	return converted, nil
}

// Apps lists all apps, archived ones too.
func (r *Reader) Apps(ctx context.Context) ([]view.App, error) {
	apps, err := r.store.Apps(ctx, true)
	return convert(apps, err, ToApp)
}

// Functions lists all functions, archived ones too.
func (r *Reader) Functions(ctx context.Context) ([]view.Function, error) {
	functions, err := r.store.Functions(ctx, true)
	return convert(functions, err, ToFunction)
}

// Event finds an event by its internal id.
func (r *Reader) Event(ctx context.Context, id ulid.ULID) (view.Event, error) {
	event, err := known(r.store.Event(ctx, id))
	return toEvent(event), err
}

// Events lists events, the largest internal id first.
func (r *Reader) Events(ctx context.Context, filter view.EventFilter) ([]view.Event, error) {
	events, err := r.store.Events(ctx, database.EventFilter(filter))
	return convert(events, err, toEvent)
}

// CountEvents counts what the filter selects, on all pages.
func (r *Reader) CountEvents(ctx context.Context, filter view.EventFilter) (int, error) {
	filter.Before, filter.After, filter.Limit = ulid.ULID{}, ulid.ULID{}, 0
	n, err := r.store.CountEvents(ctx, database.EventFilter(filter))
	return n, outage(err)
}

// EventsByID finds events, in ascending order of their internal ids.
func (r *Reader) EventsByID(ctx context.Context, ids []ulid.ULID) ([]view.Event, error) {
	events, err := r.store.EventsByID(ctx, ids)
	converted, err := convert(events, err, toEvent)
	sortByID(converted, func(e view.Event) ulid.ULID { return e.InternalID })
	return converted, err
}

// Spans reads the rows of a run's trace.
func (r *Reader) Spans(ctx context.Context, run ulid.ULID) ([]trace.Row, error) {
	spans, err := r.store.Spans(ctx, run)
	return convert(spans, err, toRow)
}

// DebugSpans reads the rows of the latest runs of a debug run or, if that is
// empty, of a debug session. What is no ULID names nothing.
func (r *Reader) DebugSpans(ctx context.Context, debugRun, debugSession string) ([]trace.Row, error) {
	id, err := ulid.ParseStrict(cmp.Or(debugRun, debugSession))
	if err != nil {
		return nil, nil
	}
	runs, err := r.store.DebugRuns(ctx, id, debugRun == "")
	if err != nil {
		return nil, outage(err)
	}
	var rows []trace.Row
	for _, run := range runs {
		own, err := r.Spans(ctx, run)
		if err != nil {
			return nil, err
		}
		rows = append(rows, own...)
	}
	return rows, nil
}

// History reads the older history of a run, oldest first.
func (r *Reader) History(ctx context.Context, run ulid.ULID) ([]view.HistoryItem, error) {
	entries, err := r.store.History(ctx, run)
	return convert(entries, err, toHistoryItem)
}
