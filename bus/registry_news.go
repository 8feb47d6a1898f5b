package bus

import (
	"context"
	"fmt"
	"time"
)

// Processes follow the registry each by itself, so that one may match an event, or
// be asked for a run, a moment before it knows the function. What a process sends
// says therefore which revision it knows.

// freshFor is how long after a change of the registry events say so: others have it
// long before.
const freshFor = 10 * time.Second

// passed notes that everything up to a sequence of the registry's stream is known.
func (r *Registry) passed(seq uint64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changedAt.Store(at.UnixNano())
	raise(&r.revision, seq)
	r.changed.Broadcast()
}

// Revision is up to which change of the registry this process knows it.
func (r *Registry) Revision() uint64 { return r.revision.Load() }

// AwaitRevision returns when this process knows the registry up to that change.
func (r *Registry) AwaitRevision(ctx context.Context, revision uint64) error {
	if r.Revision() >= revision {
		return nil
	}
	return r.until(ctx, fmt.Sprintf("revision %d is", revision), func() bool { return r.Revision() >= revision })
}

// news is the registry's revision for events that are published now, 0 when no
// process can be behind it.
func (b *Bus) news() uint64 {
	r := b.registry
	if r == nil || b.gossip.Load() == nil || time.Since(time.Unix(0, r.changedAt.Load())) > freshFor {
		return 0
	}
	return r.Revision()
}
