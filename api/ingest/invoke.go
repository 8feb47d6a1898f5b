package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
)

// Why an invocation is refused; the texts are those of http-api §6.
const (
	ErrInvokeBody  refusal = "Unable to read post data request"
	ErrInvokeEvent refusal = "Invalid invocation event"
)

// invokedEvent starts the function that its data name.
const invokedEvent = "inngest/function.invoked"

// invocation is data._inngest of invokedEvent. An invocation from outside has
// no source and never expires.
type invocation struct {
	SourceApp       string `json:"source_app_id"`
	SourceFunction  string `json:"source_fn_id"`
	FunctionVersion int    `json:"source_fn_v"`
	Function        string `json:"fn_id"`
	Expire          int64  `json:"expire"`
	Group           string `json:"gid"`
	Name            string `json:"name"`
}

// Invoke accepts the body of POST /invoke/{slug}, an event without a name, and
// returns the internal id of the event that will start the function of that
// slug. Whether there is one is found out later. It fails with ErrInvokeBody or
// ErrInvokeEvent, or because the event could not be stored.
func (in *Ingester) Invoke(ctx context.Context, slug string, body []byte, seed string) (ulid.ULID, error) {
	now := in.cfg.Now()
	s := scanner{in: body}
	if s.peek() != '{' {
		return ulid.ULID{}, ErrInvokeBody
	}
	f := scanFields(&s)
	s.peek()
	if s.err != nil || s.pos != len(body) {
		return ulid.ULID{}, ErrInvokeBody
	}
	f.name = field{}
	e := &bus.Event{}
	if err := f.decode(e); err != nil {
		return ulid.ULID{}, ErrInvokeBody
	}
	if err := f.complete(e, now); err != nil || len(body) > maxEventSize {
		return ulid.ULID{}, ErrInvokeEvent
	}
	e.Name = invokedEvent
	address(e, slug)
	ids := newIDs(seed, now)
	identify(e, ids.invocation(), ids.seeded)
	switch err := in.publish(ctx, []*bus.Event{e}); {
	case errors.Is(err, bus.ErrTooLarge):
		return ulid.ULID{}, fmt.Errorf("%w: %w", ErrInvokeEvent, err)
	case err != nil:
		return ulid.ULID{}, fmt.Errorf("invoke %s: %w", slug, err)
	}
	return e.InternalID, nil
}

// address puts the function to start into the event's data.
func address(e *bus.Event, slug string) {
	target, _ := json.Marshal(invocation{Function: slug}) // only text and numbers
	data := append(make([]byte, 0, len(target)+len(e.Data)+16), `{"`+reservedKey+`":`...)
	data = append(data, target...)
	if len(e.Data) > len("{}") {
		data = append(data, ',')
		data = append(data, e.Data[1:len(e.Data)-1]...)
	}
	e.Data = append(data, '}')
}
