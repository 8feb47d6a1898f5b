package engine

import (
	"context"
	"time"
)

// Renew keeps the leases of all that is being executed, as happens every few
// seconds.
func (n *Node) Renew(ctx context.Context) {
	for _, h := range n.allHeld() {
		_ = n.extend(ctx, h)
	}
}

// ScavengeAt puts back what would have been lost by then.
func (n *Node) ScavengeAt(ctx context.Context, then time.Time) (items, capacity int, err error) {
	if items, err = n.jobs.Scavenge(ctx, then); err != nil {
		return items, 0, err
	}
	capacity, err = n.jobs.ScavengeCapacity(ctx, then)
	return items, capacity, err
}
