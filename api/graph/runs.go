package graph

import (
	"context"
	"fmt"

	"jetstep/api/graph/generated"
	"jetstep/history/search"
	"jetstep/history/view"
)

// The sizes of a page of runs (graphql §9).
const (
	maxRuns     = 399
	defaultRuns = 40
)

func (q queries) Runs(ctx context.Context, first int, after *string, orderBy []*generated.RunsV2OrderBy, filter generated.RunsFilterV2, preview *bool) (*generated.RunsV2Connection, error) {
	query, err := q.runQuery(first, after, orderBy, filter, preview)
	if err != nil {
		return nil, fmt.Errorf("error retrieving runs: %w", err)
	}
	rows, err := q.reader.Runs(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("error retrieving runs: %w", err)
	}
	page := &generated.RunsV2Connection{
		Edges: []*generated.FunctionRunV2Edge{}, Filter: query.RunFilter,
		PageInfo: &generated.PageInfo{HasNextPage: len(rows) == query.Limit},
	}
	for i := range rows {
		operationOf(ctx).expect(rows[i].TriggerIDs...)
		page.Edges = append(page.Edges, &generated.FunctionRunV2Edge{Node: toListedRun(rows[i]), Cursor: query.Cursor(&rows[i]).Encode()})
	}
	if n := len(page.Edges); n > 0 {
		page.PageInfo.StartCursor, page.PageInfo.EndCursor = &page.Edges[0].Cursor, &page.Edges[n-1].Cursor
	}
	return page, nil
}

func (q queries) runQuery(first int, after *string, orderBy []*generated.RunsV2OrderBy, filter generated.RunsFilterV2, preview *bool) (view.RunQuery, error) {
	query := view.RunQuery{Limit: pageSize(first, maxRuns, defaultRuns)}
	selected, err := q.runFilter(filter)
	if err != nil {
		return query, err
	}
	query.RunFilter = selected
	query.Source = sourceOf(preview)
	for _, order := range orderBy {
		query.Orders = append(query.Orders, view.Order{
			Field: view.TimeField(order.Field), Descending: order.Direction == generated.RunsOrderByDirectionDesc,
		})
	}
	if after != nil {
		query.After, err = view.ParseCursor(*after)
	}
	return query, err
}

// sourceOf is where lists are read from: unlike for one run, no preference
// means the preview.
func sourceOf(preview *bool) view.Source {
	if preview != nil && !*preview {
		return view.FromRuns
	}
	return view.FromSpans
}

func (q queries) runFilter(filter generated.RunsFilterV2) (view.RunFilter, error) {
	selected := view.RunFilter{
		From: filter.From, Until: q.now(), TimeField: view.QueuedAt,
		FunctionIDs: filter.FunctionIDs, AppIDs: filter.AppIDs, Deferred: filter.IsDeferred,
	}
	if filter.Until != nil {
		selected.Until = *filter.Until
	}
	if filter.TimeField != nil {
		selected.TimeField = view.TimeField(*filter.TimeField)
	}
	for _, status := range filter.Status {
		if status != generated.FunctionRunStatusSkipped { // which are never listed
			selected.Statuses = append(selected.Statuses, view.Status(status))
		}
	}
	var err error
	if filter.Query != nil {
		selected.Search, err = search.Parse(*filter.Query)
	}
	return selected, err
}

func (f runsFields) TotalCount(ctx context.Context, obj *generated.RunsV2Connection, preview *bool) (int, error) {
	filter := obj.Filter
	filter.Source = sourceOf(preview)
	return f.reader.CountRuns(ctx, filter)
}
