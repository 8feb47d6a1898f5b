package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
)

// ErrRefused is wrapped by errors of Send whose text says what is wrong with
// the event, in the words of http-api §5. They wrap the reason, too.
var ErrRefused = errors.New("event refused")

// refusedEvent shows the words of a refusal alone.
type refusedEvent struct{ reason error }

func (e refusedEvent) Error() string { return e.reason.Error() }

func (e refusedEvent) Unwrap() []error { return []error{ErrRefused, e.reason} }

// Send accepts one event for a caller that is not asked for an event key, and
// returns its internal id. It fails with ErrRefused, or because the event could
// not be stored.
func (in *Ingester) Send(ctx context.Context, event []byte) (ulid.ULID, error) {
	events, err := Parse(event, "", "", in.cfg.Now())
	switch {
	case err != nil:
		return ulid.ULID{}, refusedEvent{err}
	case len(events) != 1:
		return ulid.ULID{}, refusedEvent{errBody}
	}
	switch err := in.publish(ctx, events); {
	case errors.Is(err, bus.ErrTooLarge):
		return ulid.ULID{}, refusedEvent{err}
	case err != nil:
		return ulid.ULID{}, fmt.Errorf("send event: %w", err)
	}
	return events[0].InternalID, nil
}
