package projector

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/history/database"
	"jetstep/state"
)

// Rebuild is how the database is made anew from what the logs hold. No server
// may write to it meanwhile (database.Store.Seize).
type Rebuild struct {
	bus   *bus.Bus
	store *database.Store
	drop  bool

	// Stored is how many runs the database has, skipped ones aside. Whole are the
	// runs that logs have from their beginning: their rows are deleted, and made
	// again. Of others, logs have the rest or nothing: these are kept, and what
	// is missing is added, unless all are dropped.
	Stored int
	Whole  []ulid.ULID
	// Others are the instances that have written from a NATS of their own. What
	// only theirs holds can only be written again by them.
	Others []string
	ends   map[string]uint64 // of each stream
}

// PlanRebuild reads the logs and says what a rebuild would do. With dropEnded it
// also deletes what logs no longer hold.
func PlanRebuild(ctx context.Context, b *bus.Bus, store *database.Store, dropEnded bool) (*Rebuild, error) {
	r := &Rebuild{bus: b, store: store, drop: dropEnded, ends: map[string]uint64{}}
	var err error
	if r.Stored, err = store.CountRuns(ctx, database.RunFilter{}); err != nil {
		return nil, err
	}
	known, err := placesOf(ctx, b, store)
	if err != nil {
		return nil, err
	}
	r.Others = known.others()
	read := map[int]bool{} // partitions: a log may have two names
	for _, s := range known.own {
		first, last, err := s.feed.bounds(ctx)
		r.ends[s.name] = last
		if _, isLog := s.feed.(*logFeed); isLog && err == nil && first <= last && !read[s.partition] {
			read[s.partition] = true
			err = r.readLog(ctx, s.partition)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", s.name, err)
		}
	}
	return r, nil
}

// readLog finds the runs that begin in a log.
func (r *Rebuild) readLog(ctx context.Context, p int) error {
	log, err := r.bus.OpenLog(p)
	if err != nil {
		return err
	}
	defer log.Close()
	return log.Replay(ctx, func(_ uint64, payload []byte) error {
		return state.Decode(payload, func(record *state.Record) error {
			if !isCarried(record) {
				r.add(record)
			}
			return nil
		})
	})
}

func (r *Rebuild) add(record *state.Record) {
	for _, op := range record.Ops {
		switch op := op.(type) {
		case *state.RunPut:
			r.Whole = append(r.Whole, op.Run.ID)
		case *state.RunSkipped:
			r.Whole = append(r.Whole, op.RunID)
		}
	}
}

// Drops tells whether all is deleted.
func (r *Rebuild) Drops() bool { return r.drop }

// Do deletes what is made again and sets the positions back, so that a
// projector begins anew. It may be repeated when it failed.
func (r *Rebuild) Do(ctx context.Context) error {
	if r.drop {
		return r.store.Clear(ctx)
	}
	for source, end := range r.ends {
		// What is kept must be looked for when its records are read again. This is
		// first, so that a rebuild that is broken off leaves nothing twice.
		if err := r.store.SetPosition(ctx, againOf(source), end); err != nil {
			return err
		}
		if err := r.store.SetPosition(ctx, source, 0); err != nil {
			return err
		}
	}
	return r.store.Forget(ctx, r.Whole)
}
