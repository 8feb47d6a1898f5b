package reader

import (
	"context"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/history/database"
	"jetstep/history/view"
)

// scanPage is how many runs a search looks at together.
const scanPage = 200

// Run finds a run in trace_runs.
func (r *Reader) Run(ctx context.Context, id ulid.ULID) (view.Run, error) {
	row, err := known(r.store.TraceRun(ctx, id))
	if err != nil {
		return view.Run{}, err
	}
	run := fromTraceRun(row)
	if indexed, err := r.store.Run(ctx, id); err == nil {
		run.Deferred = indexed.Deferred
	}
	return run, nil
}

// Runs lists runs in the order of their start, or of their end if that is the
// first order, the latest first unless that is ascending. Other sort keys of the
// query only go into cursors.
func (r *Reader) Runs(ctx context.Context, query view.RunQuery) ([]view.Run, error) {
	page, err := r.page(ctx, query)
	if err != nil {
		return nil, err
	}
	var runs []view.Run
	err = r.scan(ctx, page, query, func(run database.Run) bool {
		runs = append(runs, fromSpans(run))
		return len(runs) < query.Limit
	})
	if err != nil || query.Source == view.FromSpans {
		return runs, err
	}
	return runs, r.overlay(ctx, runs)
}

// CountRuns counts what the filter selects.
func (r *Reader) CountRuns(ctx context.Context, filter view.RunFilter) (int, error) {
	query := view.RunQuery{RunFilter: filter, Limit: scanPage}
	page, err := r.page(ctx, query)
	if err != nil {
		return 0, err
	}
	if len(filter.Search.All) == 0 {
		n, err := r.store.CountRuns(ctx, page.RunFilter)
		return n, outage(err)
	}
	n := 0
	err = r.scan(ctx, page, query, func(database.Run) bool {
		n++
		return true
	})
	return n, err
}

// page translates a query.
func (r *Reader) page(ctx context.Context, query view.RunQuery) (database.RunQuery, error) {
	page := database.RunQuery{
		RunFilter: database.RunFilter{
			From: query.From, Until: query.Until, ByEnd: query.TimeField == view.EndedAt, AppIDs: query.AppIDs, FunctionIDs: query.FunctionIDs, Deferred: query.Deferred,
		},
		Limit: query.Limit,
	}
	if len(query.Orders) > 0 {
		page.OldestFirst, page.SortByEnd = !query.Orders[0].Descending, query.Orders[0].Field == view.EndedAt
	}
	if query.Source == view.FromRuns {
		page.Deferred = nil
		page.Until = query.Until.Add(-time.Microsecond) // which is exclusive there
	}
	for _, status := range query.Statuses {
		for stored, shown := range statuses {
			if shown == status {
				page.Statuses = append(page.Statuses, stored)
			}
		}
	}
	if query.After == nil {
		return page, nil
	}
	id, err := ulid.ParseStrict(query.After.ID)
	if err != nil {
		return page, err
	}
	place, err := known(r.store.Run(ctx, id))
	if err != nil {
		return page, err
	}
	page.After = page.Cursor(&place)
	return page, nil
}

// scan gives the runs that fulfil the query's search to take, until it has
// enough.
func (r *Reader) scan(ctx context.Context, page database.RunQuery, query view.RunQuery, take func(database.Run) bool) error {
	searching := len(query.Search.All) > 0
	if searching {
		page.Limit = scanPage
	}
	for {
		runs, err := r.store.Runs(ctx, page)
		if err != nil {
			return outage(err)
		}
		last := len(runs) < page.Limit
		if len(runs) > 0 {
			page.After = page.Cursor(&runs[len(runs)-1])
		}
		if searching {
			if runs, err = r.matching(ctx, query.Search, runs); err != nil {
				return err
			}
		}
		for _, run := range runs {
			if !take(run) {
				return nil
			}
		}
		if last {
			return nil
		}
	}
}

// overlay takes times and outputs from trace_runs, for runs that are there.
func (r *Reader) overlay(ctx context.Context, runs []view.Run) error {
	ids := make([]ulid.ULID, len(runs))
	for i := range runs {
		ids[i] = runs[i].ID
	}
	rows, err := r.store.TraceRunsByID(ctx, ids)
	if err != nil {
		return outage(err)
	}
	for i := range runs {
		if row, ok := rows[runs[i].ID]; ok {
			deferred := runs[i].Deferred
			runs[i] = fromTraceRun(row)
			runs[i].Deferred = deferred
		}
	}
	return nil
}

// RunsOfEvents finds the runs of events, skipped ones too, as Run reads them.
func (r *Reader) RunsOfEvents(ctx context.Context, events []ulid.ULID) (map[ulid.ULID][]view.Run, error) {
	found, err := r.store.RunsOfEvents(ctx, events)
	if err != nil {
		return nil, outage(err)
	}
	converted := make(map[ulid.ULID][]view.Run, len(found))
	for event, rows := range found {
		runs, _ := convert(rows, nil, fromSpans)
		if err := r.overlay(ctx, runs); err != nil {
			return nil, err
		}
		sortByID(runs, func(run view.Run) ulid.ULID { return run.ID })
		converted[event] = runs
	}
	return converted, nil
}
