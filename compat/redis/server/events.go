package server

import (
	"context"
	"encoding/json"
	"fmt"

	"jetstep/compat/redis/engine"
	"jetstep/state"
)

// Event starts the functions that the event triggers or invokes, ends the waits
// that it satisfies and cancels the runs that it should. It tells how many
// functions it concerned. After an error it is to be told again: what was done
// is not done twice.
func (s *Server) Event(ctx context.Context, e *engine.Event) (started int, err error) {
	if started, err = s.start(ctx, e); err != nil {
		return started, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return started, s.Match(ctx, e)
}

// start starts what an event triggers and invokes.
func (s *Server) start(ctx context.Context, e *engine.Event) (started int, err error) {
	fields := lazily(e.JSON)
	for _, fn := range s.cfg.Registry.Triggered(e.Name) {
		fits, err := fn.TriggeredBy(e.Name, fields)
		if err != nil {
			s.cfg.Log.Warn("trigger expression failed: it counts as no match",
				"function_id", fn.Slug, "event", e.Name, "event_id", e.ID, "error", err)
		}
		if !fits {
			continue
		}
		if _, err := s.gates.Event(ctx, fn.ID, e); err != nil {
			return started, err
		}
		started++
	}
	if e.Name != state.EventInvoked {
		return started, nil
	}
	invoked, err := s.invoke(ctx, e)
	if invoked {
		started++
	}
	return started, err
}

// lazily are the fields of an event for expressions, read when they are first
// asked for.
func lazily(event json.RawMessage) func() (map[string]any, error) {
	var fields map[string]any
	return func() (map[string]any, error) {
		if fields != nil {
			return fields, nil
		}
		err := json.Unmarshal(event, &fields)
		return fields, err
	}
}

// invocation is what an invoked event says of its caller (sdk-protocol §12.7).
type invocation struct {
	Data struct {
		Inngest struct {
			FunctionID    string `json:"fn_id"`
			CorrelationID string `json:"correlation_id"`
			// RunID is set when whoever invokes starts the run, see StartNow.
			RunID string `json:"run_id"`
		} `json:"_inngest"`
	} `json:"data"`
}

// invoke starts the function that an event names. An unknown one ends the
// caller's step with an error.
func (s *Server) invoke(ctx context.Context, e *engine.Event) (started bool, err error) {
	var call invocation
	if err := json.Unmarshal(e.JSON, &call); err != nil {
		s.cfg.Log.Warn("invoke event without a target", "event_id", e.ID, "error", err)
		return false, nil
	}
	target := call.Data.Inngest
	if target.RunID != "" {
		return true, nil
	}
	if fn, ok := s.cfg.Registry.Lookup(target.FunctionID); ok {
		_, err := s.gates.Event(ctx, fn.ID, e)
		return true, err
	}
	s.cfg.Log.Warn("invoke of an unknown function", "function_id", target.FunctionID, "event_id", e.ID)
	return false, s.FailInvoke(ctx, target.CorrelationID, state.InvokeUnknown(target.FunctionID))
}
