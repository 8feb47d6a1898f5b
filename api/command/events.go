package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/jcs"
	"jetstep/state"
)

// Events accepts events; see ingest.Ingester. What is wrong with an event is
// an ingest.ErrRefused.
type Events interface {
	Send(ctx context.Context, event []byte) (ulid.ULID, error)
	Invoke(ctx context.Context, slug string, body []byte, seed string) (ulid.ULID, error)
	InvokeToDebug(ctx context.Context, slug string, debug state.Debug, body []byte) (ulid.ULID, error)
	InvokeRun(ctx context.Context, slug string, run ulid.ULID, body []byte) (*bus.Event, error)
}

// ErrInternalEvent is returned for an event that only the server sends.
var ErrInternalEvent = errors.New("the event is one of the server's own")

// Send stores an event and returns its internal id. It fails with
// ingest.ErrRefused.
func (c *Commands) Send(ctx context.Context, event json.RawMessage) (ulid.ULID, error) {
	return c.Events.Send(ctx, event)
}

// Resend sends an event that was received before once more, as a new event: at
// the present time, without an id of its sender's, which would exclude another
// run. It fails with view.ErrNotFound and ErrInternalEvent.
func (c *Commands) Resend(ctx context.Context, id ulid.ULID) (ulid.ULID, error) {
	found, err := c.received(ctx, id)
	if err == nil && strings.HasPrefix(found.Name, "inngest/") {
		err = ErrInternalEvent
	}
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("send event %s again: %w", id, err)
	}
	event := eventOf(found)
	again, err := jcs.Encode(struct {
		Name    string          `json:"name"`
		Data    json.RawMessage `json:"data,omitempty"`
		User    json.RawMessage `json:"user,omitempty"`
		Version string          `json:"v,omitempty"`
	}{event.Name, event.Data, event.User, event.V})
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("send event %s again: %w", id, err)
	}
	return c.Events.Send(ctx, again)
}
