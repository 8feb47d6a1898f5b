package graph

import (
	"context"
	"errors"

	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/trace"
	"jetstep/history/view"
)

func (f runFields) Defers(ctx context.Context, obj *generated.FunctionRunV2) ([]*generated.RunDefer, error) {
	rows, err := f.reader.Spans(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	return toDefers(rows), nil
}

func toDefers(rows []trace.Row) []*generated.RunDefer {
	defers := []*generated.RunDefer{}
	for _, d := range trace.Defers(rows) {
		defers = append(defers, &generated.RunDefer{
			HashedDeferID: d.HashedID, UserlandDeferID: d.UserlandID, FnSlug: d.Slug,
			Status: generated.RunDeferStatus(d.Status), RunID: optionalULID(&d.ChildRunID),
		})
	}
	return defers
}

// SiblingDefers are the others that the runs deferred which deferred this one.
func (f runFields) SiblingDefers(ctx context.Context, obj *generated.FunctionRunV2) ([]*generated.RunDefer, error) {
	parents, err := f.parents(ctx, obj.ID)
	siblings := []*generated.RunDefer{}
	for _, parent := range parents {
		rows, err := f.reader.Spans(ctx, parent)
		if err != nil {
			return nil, err
		}
		for _, d := range toDefers(rows) {
			if d.RunID == nil || *d.RunID != obj.ID {
				siblings = append(siblings, d)
			}
		}
	}
	return siblings, err
}

func (f runFields) DeferredFrom(ctx context.Context, obj *generated.FunctionRunV2) ([]*generated.RunDeferredFrom, error) {
	parents, err := f.parents(ctx, obj.ID)
	from := []*generated.RunDeferredFrom{}
	for _, parent := range parents {
		from = append(from, &generated.RunDeferredFrom{RunID: parent})
	}
	return from, err
}

func (f runFields) parents(ctx context.Context, run ulid.ULID) ([]ulid.ULID, error) {
	rows, err := f.reader.Spans(ctx, run)
	if err != nil {
		return nil, err
	}
	var parents []ulid.ULID
	for _, text := range trace.DeferredFrom(rows) {
		if id := optionalULID(&text); id != nil {
			parents = append(parents, *id)
		}
	}
	return parents, nil
}

func (f deferFields) Function(ctx context.Context, obj *generated.RunDefer) (*generated.Function, error) {
	return functionOfSlug(ctx, obj.FnSlug)
}

func (f deferFields) Run(ctx context.Context, obj *generated.RunDefer) (*generated.FunctionRunV2, error) {
	if obj.RunID == nil {
		return nil, nil
	}
	return f.known(ctx, *obj.RunID)
}

func (f deferredFromFields) Function(ctx context.Context, obj *generated.RunDeferredFrom) (*generated.Function, error) {
	run, err := f.reader.Run(ctx, obj.RunID)
	if err != nil {
		return nil, err
	}
	return functionOf(ctx, run.FunctionID)
}

func (f deferredFromFields) Run(ctx context.Context, obj *generated.RunDeferredFrom) (*generated.FunctionRunV2, error) {
	return f.known(ctx, obj.RunID)
}

// known is nil for a run that the read model does not have yet, or no longer.
func (r *resolver) known(ctx context.Context, id ulid.ULID) (*generated.FunctionRunV2, error) {
	run, err := r.run(ctx, id)
	if errors.Is(err, view.ErrNotFound) {
		return nil, nil
	}
	return run, err
}
