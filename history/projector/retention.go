package projector

import (
	"context"
	"time"

	"jetstep/history/database"
)

// Retention says how long the history is kept. Runs that have not ended, and
// their events, always are.
type Retention struct {
	Age  time.Duration // what is older is deleted; 0 keeps any age
	Runs int           // so many of the latest runs are kept; 0 for any number
}

const (
	retainEvery = time.Minute
	// retainChunks is how many transactions delete at a time, of 500 runs or
	// events each; the rest is left to the next time.
	retainChunks = 40
)

// retain deletes what is old, until ctx ends.
func (p *Projector) retain(ctx context.Context) {
	keep := p.config.Retention
	for ctx.Err() == nil {
		pause(ctx, retainEvery)
		if keep == (Retention{}) || ctx.Err() != nil {
			continue
		}
		p.retainSome(ctx, keep, time.Now())
	}
}

func (p *Projector) retainSome(ctx context.Context, keep Retention, now time.Time) {
	limits := database.Retention{Runs: keep.Runs}
	if keep.Age > 0 {
		limits.Before = now.Add(-keep.Age)
	}
	deleted, err := p.config.Store.Retain(ctx, limits, retainChunks)
	switch {
	case err != nil && ctx.Err() == nil:
		p.log.Warn("old history is not deleted; it is tried again", "error", err)
	case deleted.Runs+deleted.Events > 0:
		p.log.Debug("old history deleted", "runs", deleted.Runs, "events", deleted.Events)
	}
}
