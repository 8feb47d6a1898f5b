package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/state"
)

// Why an invocation is refused; the texts are those of http-api §6.
const (
	ErrInvokeBody  refusal = "Unable to read post data request"
	ErrInvokeEvent refusal = "Invalid invocation event"
)

// invocation is data._inngest of state.EventInvoked. An invocation from outside has
// no source and never expires.
type invocation struct {
	SourceApp       string `json:"source_app_id"`
	SourceFunction  string `json:"source_fn_id"`
	FunctionVersion int    `json:"source_fn_v"`
	Function        string `json:"fn_id"`
	Expire          int64  `json:"expire"`
	Group           string `json:"gid"`
	Name            string `json:"name"`
	// Run is set when whoever invokes starts the run by itself, and nobody else
	// is to.
	Run *ulid.ULID `json:"run_id,omitempty"`
	// What the run is made for by somebody who looks into the function (graphql §18).
	DebugSession *ulid.ULID `json:"debug_session_id,omitempty"`
	DebugRun     *ulid.ULID `json:"debug_run_id,omitempty"`
}

// Invoke accepts the body of POST /invoke/{slug}, an event without a name, and
// returns the internal id of the event that will start the function of that
// slug. Whether there is one is found out later. It fails with ErrInvokeBody or
// ErrInvokeEvent, or because the event could not be stored.
func (in *Ingester) Invoke(ctx context.Context, slug string, body []byte, seed string) (ulid.ULID, error) {
	e, err := in.invoke(ctx, invocation{Function: slug}, body, seed)
	if err != nil {
		return ulid.ULID{}, err
	}
	return e.InternalID, nil
}

// InvokeToDebug is Invoke for somebody who looks into the function.
func (in *Ingester) InvokeToDebug(ctx context.Context, slug string, debug state.Debug, body []byte) (ulid.ULID, error) {
	target := invocation{Function: slug}
	if !debug.Session.IsZero() {
		target.DebugSession = &debug.Session
	}
	if !debug.Run.IsZero() {
		target.DebugRun = &debug.Run
	}
	e, err := in.invoke(ctx, target, body, "")
	if err != nil {
		return ulid.ULID{}, err
	}
	return e.InternalID, nil
}

// InvokeRun is Invoke for a caller that starts the run by itself once the event
// is stored. The event is made of parts of body.
func (in *Ingester) InvokeRun(ctx context.Context, slug string, run ulid.ULID, body []byte) (*bus.Event, error) {
	return in.invoke(ctx, invocation{Function: slug, Run: &run}, body, "")
}

func (in *Ingester) invoke(ctx context.Context, target invocation, body []byte, seed string) (*bus.Event, error) {
	now := in.cfg.Now()
	s := scanner{in: body}
	if s.peek() != '{' {
		return nil, ErrInvokeBody
	}
	f := scanFields(&s)
	s.peek()
	if s.err != nil || s.pos != len(body) {
		return nil, ErrInvokeBody
	}
	f.name = field{}
	e := &bus.Event{}
	if err := f.decode(e); err != nil {
		return nil, ErrInvokeBody
	}
	if err := f.complete(e, now); err != nil || len(body) > maxEventSize {
		return nil, ErrInvokeEvent
	}
	e.Name = state.EventInvoked
	address(e, target)
	ids := newIDs(seed, now)
	identify(e, ids.invocation(), ids.seeded)
	switch err := in.publish(ctx, []*bus.Event{e}); {
	case errors.Is(err, bus.ErrTooLarge):
		return nil, fmt.Errorf("%w: %w", ErrInvokeEvent, err)
	case err != nil:
		return nil, fmt.Errorf("invoke %s: %w", target.Function, err)
	}
	return e, nil
}

// address puts the function to start into the event's data.
func address(e *bus.Event, target invocation) {
	text, _ := json.Marshal(target) // only text and numbers
	data := append(make([]byte, 0, len(text)+len(e.Data)+16), `{"`+reservedKey+`":`...)
	data = append(data, text...)
	if len(e.Data) > len("{}") {
		data = append(data, ',')
		data = append(data, e.Data[1:len(e.Data)-1]...)
	}
	e.Data = append(data, '}')
}
