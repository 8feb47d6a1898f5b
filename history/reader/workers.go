package reader

import (
	"context"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/history/view"
)

// Worker finds a connection; of one with several apps, the first.
func (r *Reader) Worker(ctx context.Context, id ulid.ULID) (view.Worker, error) {
	found, err := r.store.Connection(ctx, id)
	if err != nil {
		return view.Worker{}, outage(err)
	}
	if len(found) == 0 {
		return view.Worker{}, view.ErrNotFound
	}
	return toWorker(found[0]), nil
}

// Workers lists connections, sorted as the query says, then by id.
func (r *Reader) Workers(ctx context.Context, query view.WorkerQuery) ([]view.Worker, error) {
	found, err := r.selectWorkers(ctx, query)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b view.Worker) int { return query.Compare(query.Cursor(&a), query.Cursor(&b)) })
	if query.After != nil {
		found = slices.DeleteFunc(found, func(w view.Worker) bool { return query.Compare(query.Cursor(&w), *query.After) <= 0 })
	}
	return found[:min(query.Limit, len(found))], nil
}

// CountWorkers counts what the query selects, on all pages.
func (r *Reader) CountWorkers(ctx context.Context, query view.WorkerQuery) (int, error) {
	found, err := r.selectWorkers(ctx, query)
	return len(found), err
}

// forever bounds a list from above that has no bound.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// selectWorkers reads by the time of connection; there are few.
func (r *Reader) selectWorkers(ctx context.Context, query view.WorkerQuery) ([]view.Worker, error) {
	rows, err := r.store.Connections(ctx, time.Time{}, forever)
	if err != nil {
		return nil, outage(err)
	}
	var found []view.Worker
	for _, row := range rows {
		w := toWorker(row)
		at := w.Time(query.TimeField)
		switch {
		case !query.From.IsZero() && at.Before(query.From),
			!query.Until.IsZero() && at.After(query.Until),
			len(query.Statuses) > 0 && !slices.Contains(query.Statuses, w.Status),
			len(query.AppIDs) > 0 && (w.AppID == nil || !slices.Contains(query.AppIDs, *w.AppID)):
			continue
		}
		found = append(found, w)
	}
	return found, nil
}
