package graph

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/trace"
	"jetstep/history/view"
)

func (q queries) Run(ctx context.Context, runID string) (*generated.FunctionRunV2, error) {
	id, err := parseRunID(runID)
	if err != nil {
		return nil, err
	}
	return q.run(ctx, id)
}

func parseRunID(text string) (ulid.ULID, error) {
	id, err := ulid.ParseStrict(text)
	if err != nil {
		return id, fmt.Errorf("error parsing runID: %w", err)
	}
	return id, nil
}

func (r *resolver) run(ctx context.Context, id ulid.ULID) (*generated.FunctionRunV2, error) {
	row, err := r.reader.Run(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("error retrieving run: %w", err)
	}
	return toRun(row), nil
}

// toRun is a run by itself (graphql §11).
func toRun(row view.Run) *generated.FunctionRunV2 {
	run := toListedRun(row)
	run.Listed = false
	if !row.Status.Ended() {
		run.EndedAt = nil
	}
	return run
}

// toListedRun is a run in a list, which has an end also while it runs.
func toListedRun(row view.Run) *generated.FunctionRunV2 {
	run := &generated.FunctionRunV2{
		ID: row.ID, AppID: row.AppID, FunctionID: row.FunctionID, TraceID: row.TraceID,
		QueuedAt: row.QueuedAt.UTC(), StartedAt: timePtr(row.StartedAt), EndedAt: timePtr(row.EndedAt),
		Status: generated.FunctionRunStatus(row.Status), TriggerIDs: row.TriggerIDs,
		IsBatch: row.BatchID != nil, CronSchedule: row.Cron, HasAi: row.HasAI, IsDeferred: row.Deferred,
		Row: row, Listed: true,
	}
	if row.TriggerIDs == nil {
		run.TriggerIDs = []ulid.ULID{}
	}
	if row.BatchID != nil {
		run.BatchCreatedAt = timePtr(row.BatchID.Timestamp())
	}
	if row.Output != nil && row.Status != view.Cancelled {
		run.Output = ptr(string(row.Output))
	}
	return run
}

func (f runFields) App(ctx context.Context, obj *generated.FunctionRunV2) (*generated.App, error) {
	return f.appOf(ctx, obj.AppID)
}

func (f runFields) Function(ctx context.Context, obj *generated.FunctionRunV2) (*generated.Function, error) {
	return functionOf(ctx, obj.FunctionID)
}

// EventName is only shown in lists, and only of runs with a single event.
func (f runFields) EventName(ctx context.Context, obj *generated.FunctionRunV2) (*string, error) {
	if !obj.Listed || obj.IsBatch || obj.CronSchedule != nil || len(obj.TriggerIDs) != 1 {
		return nil, nil
	}
	event, ok, err := operationOf(ctx).event(ctx, obj.TriggerIDs[0])
	if err != nil || !ok {
		return nil, err
	}
	return &event.Name, nil
}

// Trace is the older shape unless the preview is asked for.
func (f runFields) Trace(ctx context.Context, obj *generated.FunctionRunV2, preview *bool) (*generated.RunTraceSpan, error) {
	assembled, err := f.assemble(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	if preview != nil && *preview {
		return toSpan(assembled.Preview(), nil)
	}
	return toSpan(assembled.Legacy(obj.TraceID, f.now()), nil)
}

func (q queries) RunTrace(ctx context.Context, runID string) (*generated.RunTraceSpan, error) {
	id, err := parseRunID(runID)
	if err != nil {
		return nil, err
	}
	assembled, err := q.assemble(ctx, id)
	if err != nil {
		return nil, err
	}
	return toSpan(assembled.Preview(), nil)
}

func (r *resolver) assemble(ctx context.Context, run ulid.ULID) (*trace.Run, error) {
	rows, err := r.reader.Spans(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("error retrieving trace: %w", err)
	}
	return trace.Assemble(rows)
}

func (f spanFields) Run(ctx context.Context, obj *generated.RunTraceSpan) (*generated.FunctionRun, error) {
	row, err := f.reader.Run(ctx, obj.RunID)
	if err != nil {
		return nil, err
	}
	return toLegacyRun(row), nil
}
