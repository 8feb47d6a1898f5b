package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/api"
	"jetstep/executor"
	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/queue/partition"
	"jetstep/state"
)

// runs shows the engine's live runs to the API, in the API's terms.
type runs struct{ engine *engine }

var (
	_ api.Runs    = runs{}
	_ api.Signals = signals{}
)

// Cancel implements api.Runs. A run that was cancelled before stays so.
func (r runs) Cancel(ctx context.Context, id ulid.ULID) error {
	err := r.engine.path.Cancel(ctx, id)
	if !errors.Is(err, state.ErrRunNotFound) {
		return err
	}
	past, histErr := r.engine.history.Run(ctx, id)
	switch {
	case histErr != nil:
		return fmt.Errorf("%w: %w", api.ErrRunNotFound, err)
	case past.Status == state.Cancelled:
		return nil
	}
	return fmt.Errorf("run %s is %s: %w", id, past.Status, api.ErrRunEnded)
}

func (r runs) load(ctx context.Context, id ulid.ULID) (*state.Run, error) {
	run, err := r.engine.path.Load(ctx, id)
	if errors.Is(err, state.ErrRunNotFound) {
		return nil, fmt.Errorf("%w: %w", api.ErrRunNotFound, err)
	}
	return run, err
}

// Events implements api.Runs.
func (r runs) Events(ctx context.Context, id ulid.ULID) ([]json.RawMessage, error) {
	run, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return run.StoredEvents(), nil
}

// Steps implements api.Runs.
func (r runs) Steps(ctx context.Context, id ulid.ULID) (map[string]json.RawMessage, error) {
	run, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	memos := make(map[string]json.RawMessage, len(run.Inputs)+len(run.Steps))
	for _, steps := range [][]state.Step{run.Inputs, run.Steps} {
		for _, s := range steps {
			memos[s.ID] = s.Memo
		}
	}
	return memos, nil
}

// Jobs implements api.Runs.
func (r runs) Jobs(ctx context.Context, id ulid.ULID) ([]api.Job, error) {
	run, err := r.load(ctx, id)
	if errors.Is(err, api.ErrRunNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var jobs []api.Job
	held := r.engine.path.HeldJobs(ctx, id)
	for i, j := range run.Jobs {
		raw, err := json.Marshal(j)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, api.Job{
			ID: j.ID, At: time.UnixMilli(j.Due).UTC(), Position: i, Kind: j.Kind.String(), Attempt: j.Attempt, Raw: raw,
			WaitingFor: held[j.ID],
		})
	}
	return jobs, nil
}

// Loading implements api.Runs.
func (r runs) Loading(id ulid.ULID) bool { return r.engine.path.Loading(id) }

// WaitingFor implements api.Runs.
func (r runs) WaitingFor(ctx context.Context, id ulid.ULID) (limit string, ok bool) {
	return r.engine.path.Held(ctx, id)
}

// Checkpoint implements api.Runs.
func (r runs) Checkpoint(ctx context.Context, req api.CheckpointRequest) error {
	ops := make([]driver.Opcode, len(req.Steps))
	for i, step := range req.Steps {
		if err := ops[i].UnmarshalJSON(step); err != nil {
			return fmt.Errorf("%w: %w", api.ErrRefusedStep, err)
		}
	}
	job := ""
	if req.QueueItemID != "" {
		// One that cannot be read names no job: its attempts just go on.
		job, _, _ = function.ParseQueueItemID(req.QueueItemID)
	}
	call := executor.Reporter{RunID: req.RunID, Job: job, Generation: req.Generation, StartedAt: req.RequestStartedAt}
	return checkpointError(r.engine.executor.Checkpoint(ctx, call, ops))
}

// signals passes signals on to the partitions.
type signals struct{ engine *engine }

// Send implements api.Signals.
func (s signals) Send(ctx context.Context, name string, data json.RawMessage) (ulid.ULID, error) {
	id, err := s.engine.path.Signal(ctx, name, data)
	if errors.Is(err, partition.ErrNoSignal) {
		return id, fmt.Errorf("%w: %w", api.ErrNoSignal, err)
	}
	return id, err
}
