package harness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The pause between two looks at a condition starts short, since most come
// true at once, and grows, so that many waiting tests do not load the server.
const (
	firstPause = 10 * time.Millisecond
	maxPause   = 200 * time.Millisecond
)

// permanent marks an error after which waiting longer is no use.
type permanent struct{ err error }

func (p permanent) Error() string { return p.err.Error() }
func (p permanent) Unwrap() error { return p.err }

// Permanent wraps err so that [Await] returns it at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// Await calls probe until it returns no error, and returns its value. An error
// means "not yet", unless it is [Permanent]. When ctx ends first, the error
// names what was awaited and the last reason why it was not there.
func Await[T any](ctx context.Context, what string, probe func(context.Context) (T, error)) (T, error) {
	var zero T
	pause := firstPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := errors.New("not looked at yet")
	for {
		select {
		case <-ctx.Done():
			return zero, fmt.Errorf("waiting for %s: %w: %w", what, context.Cause(ctx), last)
		case <-timer.C:
		}
		value, err := probe(ctx)
		if err == nil {
			return value, nil
		}
		if p := (permanent{}); errors.As(err, &p) {
			return zero, fmt.Errorf("waiting for %s: %w", what, p.err)
		}
		if ctx.Err() == nil { // otherwise err may only say that ctx has ended
			last = err
		}
		timer.Reset(pause)
		pause = min(pause*3/2, maxPause)
	}
}
