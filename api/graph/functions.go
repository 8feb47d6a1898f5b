package graph

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"jetstep/api/graph/generated"
	"jetstep/function"
	"jetstep/history/view"
)

func (q queries) Functions(ctx context.Context) ([]*generated.Function, error) {
	c, err := operationOf(ctx).catalog()
	if err != nil {
		return nil, err
	}
	functions := []*generated.Function{}
	for _, row := range c.live {
		converted, err := toFunction(row)
		if err != nil {
			return nil, err
		}
		functions = append(functions, converted)
	}
	return functions, nil
}

func (q queries) FunctionBySlug(ctx context.Context, query generated.FunctionQuery) (*generated.Function, error) {
	found, err := functionOfSlug(ctx, query.FunctionSlug)
	if err == nil && found == nil {
		err = view.ErrNotFound
	}
	return found, err
}

// functionOfSlug is nil when there is no such function.
func functionOfSlug(ctx context.Context, slug string) (*generated.Function, error) {
	c, err := operationOf(ctx).catalog()
	if err != nil {
		return nil, err
	}
	row, ok := c.bySlug(slug)
	if !ok {
		return nil, nil
	}
	return toFunction(row)
}

// functionOf finds a function, archived or not.
func functionOf(ctx context.Context, id uuid.UUID) (*generated.Function, error) {
	c, err := operationOf(ctx).catalog()
	if err != nil {
		return nil, err
	}
	row, err := c.function(id)
	if err != nil {
		return nil, err
	}
	return toFunction(row)
}

func (f functionFields) App(ctx context.Context, obj *generated.Function) (*generated.App, error) {
	id, err := uuid.Parse(obj.AppID)
	if err != nil {
		return nil, err
	}
	return f.appOf(ctx, id)
}

// failureSuffix is what the slug of a failure handler adds to its function's.
const failureSuffix = "-failure"

func (f functionFields) FailureHandler(ctx context.Context, obj *generated.Function) (*generated.Function, error) {
	return functionOfSlug(ctx, obj.Slug+failureSuffix)
}

// toFunction reads the stored definition, which is the truth about the function.
func toFunction(row view.Function) (*generated.Function, error) {
	var stored function.Function
	if err := json.Unmarshal(row.Config, &stored); err != nil {
		return nil, fmt.Errorf("reading the definition of function %s: %w", row.ID, err)
	}
	shown := &generated.Function{
		ID: row.ID.String(), Name: row.Name, Slug: row.Slug, Config: string(row.Config), AppID: row.AppID.String(),
		Configuration: configuration(&stored), Concurrency: ownLimit(&stored), URL: stored.URI(),
	}
	if stored.Name != "" {
		shown.Name = stored.Name
	}
	if stored.Slug != "" {
		shown.Slug = stored.Slug
	}
	for _, trigger := range stored.Triggers {
		shown.Triggers = append(shown.Triggers, toTrigger(trigger))
	}
	return shown, nil
}

func toTrigger(t function.Trigger) *generated.FunctionTrigger {
	if t.Cron != "" {
		return &generated.FunctionTrigger{Type: generated.FunctionTriggerTypesCron, Value: t.Cron}
	}
	return &generated.FunctionTrigger{Type: generated.FunctionTriggerTypesEvent, Value: t.Event, Condition: textPtr(t.Expression)}
}

// ownLimit is the function's limit without a key, 0 for none.
func ownLimit(f *function.Function) int {
	if f.Concurrency == nil {
		return 0
	}
	for _, limit := range f.Concurrency.Steps {
		if limit.Scope == function.ScopeFunction && limit.Key == "" {
			return limit.Limit
		}
	}
	return 0
}
