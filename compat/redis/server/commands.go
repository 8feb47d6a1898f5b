package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/gates"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// Cancel ends a live run as cancelled, on behalf of somebody who asks for it. It
// fails with state.ErrRunNotFound.
func (s *Server) Cancel(ctx context.Context, run ulid.ULID) error {
	if err := s.Node.Cancel(ctx, run, "request:"+ulid.Make().String()); err != nil {
		return fmt.Errorf("cancel run %s: %w", run, err)
	}
	return nil
}

// NewRunID is an id for a run of the function that is asked for by itself.
func (s *Server) NewRunID(fn uuid.UUID) (ulid.ULID, error) {
	if known, ok := s.cfg.Registry.Known(fn); !ok || known.Removed {
		return ulid.ULID{}, fmt.Errorf("function %s: %w", fn, ErrNoFunction)
	}
	return ulid.Make(), nil
}

// NewRunIDFor is NewRunID for a run that excludes others with the same key: which
// it is shows when it is started.
func (s *Server) NewRunIDFor(fn uuid.UUID, _ string) (ulid.ULID, error) { return s.NewRunID(fn) }

// StartRun makes a run that repeats another one (state.Start.Original). A start
// with the same id is the same. It passes no gates that events pass one by one.
// Events, Steps and Inputs need not be canonical.
func (s *Server) StartRun(ctx context.Context, start state.Start) error {
	if start.RunID.IsZero() || start.Original.IsZero() || len(start.Events) == 0 || len(start.EventIDs) != len(start.Events) {
		return fmt.Errorf("start run %s: a run made again needs its id, that of the original, and events with ids", start.RunID)
	}
	for i, event := range start.Events {
		var err error
		if start.Events[i], err = jcs.Canonicalize(event); err != nil {
			return fmt.Errorf("start run %s: event %d: %w", start.RunID, i, err)
		}
	}
	result, err := s.startAs(ctx, &start)
	if err == nil && result.Outcome == gates.Unknown {
		err = ErrNoFunction
	}
	if err != nil {
		return fmt.Errorf("start run %s: %w", start.RunID, err)
	}
	return nil
}

// StartNow takes a start through the gates of its function, and tells which run
// was made. It fails with the reason for which none was: state.ErrRepeated comes
// with the id of the run that there is.
func (s *Server) StartNow(ctx context.Context, start state.Start) (ulid.ULID, error) {
	result, err := s.startAs(ctx, &start)
	if err == nil {
		err = result.Refusal()
	}
	if errors.Is(err, state.ErrRepeated) && result.Run == start.RunID {
		err = nil // asked for again
	}
	if err != nil {
		err = fmt.Errorf("start run %s: %w", start.RunID, err)
	}
	return result.Run, err
}

func (s *Server) startAs(ctx context.Context, start *state.Start) (gates.Result, error) {
	if start.Idempotency == "" {
		start.Idempotency = function.IdempotencyKey(start.FunctionID, start.RunID.String())
	}
	return s.gates.Start(ctx, start)
}

// HandOver gives what collects events to Config.Elsewhere. It can be repeated.
func (s *Server) HandOver(ctx context.Context) error { return s.gates.HandOver(ctx) }

// Begin keeps a run that its app has begun, and publishes the event about it.
// Beginning a run again is harmless. It fails with engine.ErrRunExists.
func (s *Server) Begin(ctx context.Context, b *state.Beginning) error {
	run, existed, err := s.Node.Begin(ctx, b)
	if err != nil || run == nil {
		return err
	}
	if !existed {
		s.cfg.World.Decided(run.FunctionID, gates.Success)
	}
	event := &engine.Event{ID: run.EventIDs[0], Name: run.Trigger, JSON: run.Events[0]}
	if err := s.cfg.World.Accept(ctx, event); err != nil {
		return fmt.Errorf("begin run %s: %w", run.ID, err)
	}
	return nil
}
