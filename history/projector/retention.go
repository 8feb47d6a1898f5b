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
	// events each. When more is left, deleting rests as long as they took.
	retainChunks = 40
	// straysEvery is after how many times strays are looked for.
	straysEvery = 60
)

// retain deletes what is old, until ctx ends.
func (p *Projector) retain(ctx context.Context) {
	keep := p.config.Retention
	if keep == (Retention{}) {
		<-ctx.Done()
		return
	}
	pause(ctx, retainEvery)
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		if p.retainSome(ctx, keep, began, n%straysEvery == 0) {
			pause(ctx, time.Since(began))
			continue
		}
		pause(ctx, retainEvery)
	}
}

// retainSome deletes for a while, and tells whether there may be more to delete.
func (p *Projector) retainSome(ctx context.Context, keep Retention, now time.Time, strays bool) (more bool) {
	limits := database.Retention{Runs: keep.Runs, Strays: strays}
	if keep.Age > 0 {
		limits.Before = now.Add(-keep.Age)
	}
	deleted, err := p.config.Store.Retain(ctx, limits, retainChunks)
	switch {
	case err != nil && ctx.Err() == nil:
		p.log.Warn("old history is not deleted; it is tried again", "error", err)
	case deleted.Runs+deleted.Events+deleted.Strays > 0:
		p.log.Debug("old history deleted", "runs", deleted.Runs, "events", deleted.Events, "strays", deleted.Strays)
	}
	return err == nil && deleted.More
}
