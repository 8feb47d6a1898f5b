package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// controlPrefix is that of keys which name a function; the others name an app.
const controlPrefix = "control."

// ErrNoCancellation is returned for a cancellation that is not, or no longer,
// there.
var ErrNoCancellation = errors.New("no such cancellation")

// SetPaused pauses a function or lets it go on, also one that is registered
// later. The catalog shows it on return.
func (r *Registry) SetPaused(ctx context.Context, fn uuid.UUID, paused bool) error {
	return r.control(ctx, fn, func(c function.Control) (function.Control, bool, error) {
		changed := c.Paused != paused
		c.Paused = paused
		return c, changed, nil
	})
}

// AddCancellation stores a cancellation for all owners of runs to act upon.
// The catalog shows it on return.
func (r *Registry) AddCancellation(ctx context.Context, added function.Cancellation) error {
	return r.control(ctx, added.FunctionID, func(c function.Control) (function.Control, bool, error) {
		return c.WithCancellation(added), true, nil
	})
}

// RemoveCancellation ends a cancellation, whose runs stay cancelled. It fails
// with ErrNoCancellation.
func (r *Registry) RemoveCancellation(ctx context.Context, id ulid.ULID) error {
	found, ok := r.Catalog().Cancellation(id)
	if !ok {
		return fmt.Errorf("registry: cancellation %s: %w", id, ErrNoCancellation)
	}
	return r.control(ctx, found.FunctionID, func(c function.Control) (function.Control, bool, error) {
		c, ok := c.WithoutCancellation(id)
		if !ok {
			return c, false, fmt.Errorf("registry: cancellation %s: %w", id, ErrNoCancellation)
		}
		return c, true, nil
	})
}

// control changes a function's control by compare-and-set. A control that says
// nothing stays as the tombstone of one that did.
func (r *Registry) control(
	ctx context.Context, fn uuid.UUID, change func(function.Control) (changed function.Control, ok bool, err error),
) error {
	_, err := update(ctx, r, controlPrefix+fn.String(), readControl, func(old *function.Control) (*function.Control, error) {
		if old == nil {
			old = &function.Control{FunctionID: fn}
		}
		changed, ok, err := change(*old)
		if err != nil || !ok {
			return nil, err
		}
		return &changed, nil
	})
	return err
}

// readControl decodes a stored control, which must be of the function that its
// key names.
func readControl(key string, value []byte) (*function.Control, error) {
	var control function.Control
	if err := json.Unmarshal(value, &control); err != nil {
		return nil, err
	}
	if controlPrefix+control.FunctionID.String() != key {
		return nil, fmt.Errorf("it is of function %s", control.FunctionID)
	}
	return &control, nil
}
