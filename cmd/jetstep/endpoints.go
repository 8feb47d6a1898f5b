package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/oklog/ulid/v2"

	"jetstep/api"
	"jetstep/api/appsync"
	"jetstep/executor"
	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/history"
	"jetstep/queue/partition"
	"jetstep/state"
)

// endpoints lets apps begin runs, in the API's terms.
type endpoints struct {
	engine *engine
	syncer *appsync.Syncer
	log    *slog.Logger
}

var _ api.Endpoints = endpoints{}

// Begin implements api.Endpoints. The endpoint is registered first, so that the
// history knows it when it sees the run; a run needs no registration itself.
func (e endpoints) Begin(ctx context.Context, s api.EndpointStart) (begun api.Begun, err error) {
	request, err := function.ParseEndpointRequest(s.Data)
	if err != nil {
		return begun, fmt.Errorf("%w: %w", api.ErrBadEndpoint, err)
	}
	if err := e.syncer.RegisterEndpoint(ctx, &request, function.EndpointRetries(s.Retries), s.SDK); err != nil {
		e.log.Warn("durable endpoint is not registered", "function_id", request.Slug(), "error", err)
	}
	err = e.engine.executor.Begin(ctx, executor.EndpointStart{
		RunID: s.RunID, Idempotency: s.Idempotency, Retries: s.Retries, Version: s.Version, SDK: s.SDK,
		Event: executor.EndpointEvent{ID: s.EventID, Name: s.EventName, TS: s.EventTime, V: s.EventV, Data: s.Data},
	})
	switch {
	case errors.Is(err, function.ErrEndpointRequest):
		return begun, fmt.Errorf("%w: %w", api.ErrBadEndpoint, err)
	case errors.Is(err, partition.ErrRunExists):
		return begun, fmt.Errorf("%w: %w", api.ErrRunExists, err)
	case err != nil:
		return begun, err
	}
	app := request.AppID()
	return api.Begun{AppID: app, FunctionID: function.EndpointFunctionID(app, request.Slug())}, nil
}

// Report implements api.Endpoints.
func (e endpoints) Report(ctx context.Context, run ulid.ULID, steps []json.RawMessage) error {
	return checkpointError(e.engine.executor.Report(ctx, run, steps))
}

// Result implements api.Endpoints.
func (e endpoints) Result(ctx context.Context, id ulid.ULID) (r api.EndpointResult, err error) {
	_, err = e.engine.path.Load(ctx, id)
	if err == nil {
		return r, fmt.Errorf("%w: %s", api.ErrRunLive, id)
	}
	if !errors.Is(err, state.ErrRunNotFound) {
		if errors.Is(err, partition.ErrNotOwner) {
			return r, fmt.Errorf("%w: %w", api.ErrRunLive, err) // it is, for all that is known
		}
		return r, err
	}
	run, err := e.engine.history.Run(ctx, id)
	switch {
	case errors.Is(err, history.ErrRunNotFound):
		return r, fmt.Errorf("%w: %w", api.ErrRunNotFound, err)
	case err != nil:
		return r, err
	case !run.Status.Ended():
		return r, fmt.Errorf("%w: %s", api.ErrRunLive, id)
	}
	r.Output = run.Output
	if result, ok := driver.ParseResult(run.Output); ok && result.Status >= 200 && result.Status < 600 {
		r.Status, r.Headers, r.Body = result.Status, result.Headers, result.Content()
	}
	return r, nil
}

// checkpointError is an executor's error about reported steps in the API's
// terms.
func checkpointError(err error) error {
	for _, known := range []struct{ is, as error }{
		{state.ErrRunNotFound, api.ErrRunNotFound},
		{executor.ErrStepTooLarge, api.ErrStepTooLarge},
		{executor.ErrStateTooLarge, api.ErrStateTooLarge},
		{executor.ErrRefused, api.ErrRefusedStep},
		{executor.ErrStale, api.ErrStaleDispatch},
	} {
		if errors.Is(err, known.is) {
			return fmt.Errorf("%w: %w", known.as, err)
		}
	}
	return err
}
