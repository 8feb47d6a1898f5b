package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/history/trace"
	"jetstep/history/view"
	"jetstep/jcs"
	"jetstep/state"
)

// Rerun asks for a run to be made again.
type Rerun struct {
	Run ulid.ULID
	// Step is where to start, by its hashed id or its name; empty for the
	// start. Steps that finished before it keep what they returned.
	Step  string
	Input json.RawMessage // new arguments of that step, a list; nil for none
	Debug
}

// Debug says what a run is made for by somebody who looks into a function, nil
// for nothing: lists leave such runs out.
type Debug struct {
	Session, Run *ulid.ULID
}

func (d Debug) state() *state.Debug {
	if d.Session == nil && d.Run == nil {
		return nil
	}
	debug := &state.Debug{}
	if d.Session != nil {
		debug.Session = *d.Session
	}
	if d.Run != nil {
		debug.Run = *d.Run
	}
	return debug
}

// Rerun starts a new run of the same function with the run's event and returns
// its id. Of a batch only the first event is used; a repeated run names the one
// that was the first (flow-control §28). Rate limits do not apply, nor do
// debounces and batches: a repetition was asked for by somebody who waits.
//
// It fails with view.ErrNotFound, ErrNoFunction, ErrNoInput, ErrNoSuchStep and
// ErrAmbiguousStep.
func (c *Commands) Rerun(ctx context.Context, rerun Rerun) (ulid.ULID, error) {
	past, err := c.past(ctx, rerun.Run)
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("rerun %s: %w", rerun.Run, err)
	}
	fn, ok := c.Registry.Catalog().Function(past.function)
	if !ok {
		return ulid.ULID{}, fmt.Errorf("rerun %s: function %s: %w", rerun.Run, past.function, ErrNoFunction)
	}
	id, err := c.Engine.NewRunID(fn.ID)
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("rerun %s: %w", rerun.Run, err)
	}
	start := state.Start{
		RunID: id, FunctionID: fn.ID, Idempotency: function.IdempotencyKey(fn.ID, id.String()), Original: past.original,
		Events: []json.RawMessage{past.event}, EventIDs: []ulid.ULID{past.eventID}, Trigger: past.trigger, Cron: past.cron,
		Debug: rerun.Debug.state(),
	}
	if rerun.Step != "" {
		if err := past.goOnFrom(&start, rerun.Step, rerun.Input); err != nil {
			return ulid.ULID{}, fmt.Errorf("rerun %s: %w", rerun.Run, err)
		}
	}
	if err := c.Engine.StartRun(ctx, start); err != nil {
		return ulid.ULID{}, fmt.Errorf("rerun %s: %w", rerun.Run, err)
	}
	c.Log.Info("run is made again", "run_id", start.RunID, "original_run_id", rerun.Run, "function_id", fn.Slug, "step", rerun.Step)
	return start.RunID, nil
}

// past is what is needed of a run to make it again.
type past struct {
	function uuid.UUID
	event    json.RawMessage // canonical, with "user"
	eventID  ulid.ULID
	trigger  string // the event's name
	cron     string
	original ulid.ULID // the first of the chain
	live     *state.Run
	rows     []trace.Row
}

// goOnFrom gives a start what the steps before one of them returned, and that
// step its new arguments.
func (p *past) goOnFrom(start *state.Start, step string, arguments json.RawMessage) error {
	steps := stepsOf(p.live, p.rows)
	at, err := findStep(steps, step)
	if err != nil {
		return err
	}
	if start.Steps, err = memosBefore(steps, at); err != nil || arguments == nil {
		return err
	}
	memo, err := inputOf(arguments)
	if err != nil {
		return fmt.Errorf("input of step %s: %w", step, err)
	}
	start.Inputs = []state.Step{{ID: steps[at].ID, Memo: memo}}
	return nil
}

// past finds a run: a live one in the engine, whose state is the truth, others
// in the history.
func (c *Commands) past(ctx context.Context, id ulid.ULID) (*past, error) {
	live, err := c.Engine.Load(ctx, id)
	if err != nil && !errors.Is(err, state.ErrRunNotFound) {
		return nil, err
	}
	var run view.Run
	if live == nil {
		if run, err = c.ended(ctx, id); err != nil {
			return nil, err
		}
	}
	rows, err := c.Reader.Spans(ctx, id)
	if err != nil {
		return nil, err
	}
	if live != nil {
		return pastOfLive(live, rows), nil
	}
	p := &past{function: run.FunctionID, original: id, rows: rows}
	if run.Cron != nil {
		p.cron = *run.Cron
	}
	return p, c.addOrigin(ctx, p, run)
}

func pastOfLive(run *state.Run, rows []trace.Row) *past {
	return &past{
		function: run.FunctionID, event: run.Events[0], eventID: run.EventIDs[0], trigger: run.Trigger, cron: run.Cron,
		original: cmp.Or(run.Original, run.ID), live: run, rows: rows,
	}
}

// addOrigin finds the first event of a run that has ended: as it was given to
// the run or, when that is not kept, as it was received.
func (c *Commands) addOrigin(ctx context.Context, p *past, run view.Run) error {
	origin := trace.OriginOf(p.rows)
	if first, err := ulid.ParseStrict(origin.Original); err == nil {
		p.original = first
	}
	if len(run.TriggerIDs) == 0 {
		return ErrNoInput
	}
	p.eventID = run.TriggerIDs[0]
	var event *bus.Event
	if len(origin.Events) > 0 {
		parsed, err := bus.ParseEvent(origin.Events[0])
		if err != nil {
			return fmt.Errorf("input of the run: %w", err)
		}
		event = parsed
	} else {
		received, err := c.Reader.EventsByID(ctx, run.TriggerIDs[:1])
		if err != nil {
			return err
		}
		if len(received) == 0 {
			return ErrNoInput
		}
		event = eventOf(received[0])
	}
	p.trigger = event.Name
	canonical, err := jcs.Canonicalize(event.AppendJSON(nil, true))
	if err != nil {
		return fmt.Errorf("event of the run: %w", err)
	}
	p.event = canonical
	return nil
}

// eventOf is an event of the history in the form of the stream.
func eventOf(e view.Event) *bus.Event {
	event := &bus.Event{InternalID: e.InternalID, ID: e.ID, Name: e.Name, Data: objectOrNil(e.Data), User: objectOrNil(e.User), TS: e.Timestamp.UnixMilli()}
	if e.Version != nil {
		event.V = *e.Version
	}
	return event
}

// objectOrNil is nil for what stands for no object, also for an empty one.
func objectOrNil(raw json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) == 0 {
		return nil
	}
	return raw
}
