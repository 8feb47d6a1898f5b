package command

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/history/view"
)

// The history is written a moment after things happen. Whoever repeats what has
// just ended is let wait for it, rather than told that there is nothing.
const (
	historyPatience = 15 * time.Second // longer than projecting rests on a busy machine
	lookInterval    = 25 * time.Millisecond
	// young is how old a run or event may be of which the history can still be
	// expected to hear for the first time.
	young = time.Minute
)

// ended finds a run that is not live in the history, once that says how it
// ended: then it has all of it. In the end it is taken as it is.
func (c *Commands) ended(ctx context.Context, id ulid.ULID) (run view.Run, err error) {
	err = c.await(ctx, func() (done bool, err error) {
		run, err = c.Reader.Run(ctx, id)
		return run.Status.Ended() || errors.Is(err, view.ErrNotFound) && !c.isYoung(id), err
	})
	return run, err
}

// received finds an event in the history, or fails with view.ErrNotFound.
func (c *Commands) received(ctx context.Context, id ulid.ULID) (event view.Event, err error) {
	err = c.await(ctx, func() (done bool, err error) {
		found, err := c.Reader.EventsByID(ctx, []ulid.ULID{id})
		if err != nil {
			return true, err
		}
		if len(found) == 0 {
			return !c.isYoung(id), view.ErrNotFound
		}
		event = found[0]
		return true, nil
	})
	return event, err
}

func (c *Commands) isYoung(id ulid.ULID) bool { return c.Now().Sub(id.Timestamp()) < young }

// await looks until it is done, or time is up, and returns what the last look
// did. Only what is not found (yet) is looked for again.
func (c *Commands) await(ctx context.Context, look func() (done bool, err error)) error {
	ctx, stop := context.WithTimeout(ctx, historyPatience)
	defer stop()
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		done, err := look()
		if done || err != nil && !errors.Is(err, view.ErrNotFound) {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}
