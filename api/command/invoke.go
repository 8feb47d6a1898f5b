package command

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// Invocation asks for a run of a function of which nothing is told to whoever
// invokes it.
type Invocation struct {
	Slug     string          // of the function, which need not exist
	Data     json.RawMessage // an object, or nil
	User     json.RawMessage // an object, or nil
	Sessions json.RawMessage // of the event's meta, or nil
	Debug
}

// invokedEvent is the event of an invocation without what is not given.
type invokedEvent struct {
	ID   string          `json:"id,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
	User json.RawMessage `json:"user,omitempty"`
	Meta *eventMeta      `json:"meta,omitempty"`
}

type eventMeta struct {
	Sessions json.RawMessage `json:"sessions"`
}

// Invoke sends the event that starts the function. That there is none is found
// out later, as by POST /invoke (graphql §16).
func (c *Commands) Invoke(ctx context.Context, call Invocation) error {
	event := invokedEvent{Data: call.Data, User: call.User}
	if call.Sessions != nil {
		event.Meta = &eventMeta{call.Sessions}
	}
	body, err := jcs.Encode(event)
	if err != nil {
		return fmt.Errorf("invoke %s: %w", call.Slug, err)
	}
	if debug := call.Debug.state(); debug != nil {
		_, err = c.Events.InvokeToDebug(ctx, call.Slug, *debug, body)
		return err
	}
	_, err = c.Events.Invoke(ctx, call.Slug, body, "")
	return err
}

// Begin asks for one run of a function whose id is wanted.
type Begin struct {
	Function uuid.UUID
	Data     json.RawMessage // an object
	Key      string          // excludes a second run for a day, empty for none
}

// claimFor is how long a key excludes another run, as an event's id does.
const claimFor = 24 * time.Hour

// Begin stores the event of an invocation and then the run, and returns its id.
// It fails with ErrNoFunction, with ingest.ErrInvokeEvent, or with one of the
// reasons for which a start makes no run: state.ErrRepeated comes with the id
// of the run that there is. Then the event is stored all the same.
func (c *Commands) Begin(ctx context.Context, begin Begin) (ulid.ULID, error) {
	fn, ok := c.Registry.Catalog().Function(begin.Function)
	if !ok {
		return ulid.ULID{}, fmt.Errorf("begin a run of function %s: %w", begin.Function, ErrNoFunction)
	}
	start, err := c.invocation(ctx, fn.Function, begin)
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("begin a run of %s: %w", fn.Slug, err)
	}
	run, err := c.Engine.StartNow(ctx, *start)
	if err != nil {
		err = fmt.Errorf("begin a run of %s: %w", fn.Slug, err)
	}
	return run, err
}

// invocation stores the event and makes the start of its run.
func (c *Commands) invocation(ctx context.Context, fn *function.Function, begin Begin) (*state.Start, error) {
	start := &state.Start{FunctionID: fn.ID}
	var err error
	if begin.Key != "" {
		start.RunID, err = c.Engine.NewRunIDFor(fn.ID, begin.Key)
		start.ClaimFor = claimFor.Milliseconds()
	} else {
		start.RunID, err = c.Engine.NewRunID(fn.ID)
	}
	if err != nil {
		return nil, err
	}
	body, err := jcs.Encode(invokedEvent{ID: begin.Key, Data: begin.Data})
	if err != nil {
		return nil, err
	}
	event, err := c.Events.InvokeRun(ctx, fn.Slug, start.RunID, body)
	if err != nil {
		return nil, err
	}
	canonical, err := jcs.Canonicalize(event.AppendJSON(nil, true))
	if err != nil {
		return nil, err
	}
	start.Idempotency = function.IdempotencyKey(fn.ID, event.ID)
	start.Events, start.EventIDs, start.Trigger = []json.RawMessage{canonical}, []ulid.ULID{event.InternalID}, event.Name
	return start, nil
}
