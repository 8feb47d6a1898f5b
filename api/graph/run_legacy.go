package graph

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

func (q queries) FunctionRun(ctx context.Context, query generated.FunctionRunQuery) (*generated.FunctionRun, error) {
	id, err := ulid.ParseStrict(query.FunctionRunID)
	if err != nil {
		return nil, err
	}
	row, err := q.reader.Run(ctx, id)
	if errors.Is(err, view.ErrNotFound) {
		return nil, errors.New("not found")
	}
	if err != nil {
		return nil, err
	}
	return toLegacyRun(row), nil
}

// toLegacyRun is a run in the older answers (graphql §17).
func toLegacyRun(row view.Run) *generated.FunctionRun {
	run := &generated.FunctionRun{
		ID: row.ID.String(), FunctionID: row.FunctionID.String(), BatchID: row.BatchID,
		Status: ptr(generated.FunctionRunStatus(row.Status)), PendingSteps: new(int),
		StartedAt: timePtr(row.ID.Timestamp()), Cron: row.Cron, Row: row,
	}
	if row.BatchID != nil {
		run.BatchCreatedAt = timePtr(row.BatchID.Timestamp())
	}
	if len(row.TriggerIDs) > 0 {
		run.EventID = row.TriggerIDs[0].String()
	}
	if row.Status.Ended() {
		run.FinishedAt, run.Output = timePtr(row.EndedAt), rawPtr(row.Output)
	}
	if row.Status == view.Cancelled {
		run.Output = ptr("{}")
	}
	return run
}

func (f legacyRunFields) Function(ctx context.Context, obj *generated.FunctionRun) (*generated.Function, error) {
	return functionOf(ctx, obj.Row.FunctionID)
}

func (f legacyRunFields) Event(ctx context.Context, obj *generated.FunctionRun) (*generated.Event, error) {
	if len(obj.Row.TriggerIDs) == 0 {
		return nil, nil
	}
	event, ok, err := operationOf(ctx).event(ctx, obj.Row.TriggerIDs[0])
	if err != nil || !ok {
		return nil, err
	}
	return toEvent(event)
}

func (f legacyRunFields) Events(ctx context.Context, obj *generated.FunctionRun) ([]*generated.Event, error) {
	operationOf(ctx).expect(obj.Row.TriggerIDs...)
	events := []*generated.Event{}
	for _, id := range obj.Row.TriggerIDs {
		event, ok, err := operationOf(ctx).event(ctx, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		converted, err := toEvent(event)
		if err != nil {
			return nil, err
		}
		events = append(events, converted)
	}
	return events, nil
}

func (f legacyRunFields) History(ctx context.Context, obj *generated.FunctionRun) ([]*generated.RunHistoryItem, error) {
	rows, err := f.reader.History(ctx, obj.Row.ID)
	if err != nil {
		return nil, err
	}
	items := []*generated.RunHistoryItem{}
	for _, row := range rows {
		item, err := toHistoryItem(row)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func (f legacyRunFields) HistoryItemOutput(ctx context.Context, obj *generated.FunctionRun, id ulid.ULID) (*string, error) {
	rows, err := f.reader.History(ctx, obj.Row.ID)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		var result storedResult
		if row.ID != id || json.Unmarshal(row.Result, &result) != nil {
			continue
		}
		return textPtr(result.Output), nil
	}
	return nil, nil
}
