package engine

import (
	"context"
	"time"

	"github.com/google/uuid"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/queue"
)

// Arbiter says which calls may be made with regard to what is executed elsewhere
// within the same limits. Limits that are counted in Redis come besides.
type Arbiter interface {
	// Waits tells, quickly, that an item cannot be executed now; all, that this is
	// so for those behind it, too. It is false for one that was not asked for.
	Waits(item *format.Item) (waits, all bool)
	// May asks for an item. One that may be executed counts until Over; for one
	// that may not, Visit is called once it may.
	May(ctx context.Context, item *format.Item) bool
	// Over says that an item is executed no more, or not wanted; begun, that it was
	// executed: then its run has what runs hold until their end.
	Over(item string, begun bool)
	// Drops tells that jobs of the system of a kind are dropped: they are somebody
	// else's.
	Drops(kind string) bool
}

// arbitratedVisit is after what time a function whose calls wait for others is
// visited at the latest.
const arbitratedVisit = 5 * time.Second

// Visit makes the node look at a function's jobs at once.
func (n *Node) Visit(function uuid.UUID) { n.visitAt(function.String(), time.Now()) }

// arbitrated tells whether an item is a call about which the arbiter has a say.
func (n *Node) arbitrated(e *jobs.Entry) bool {
	kind, _ := kindOf(e.Item.Data.Kind)
	return n.Arbiter != nil && queue.LaneOf(kind) == queue.LaneCall
}

// doSystem does a job of the system, unless it is somebody else's.
func (n *Node) doSystem(ctx context.Context, system System, item *format.Item) error {
	if n.Arbiter != nil && n.Arbiter.Drops(item.Data.Kind) {
		return nil
	}
	return system.Do(ctx, item)
}

// waitsElsewhere tells that an item has to wait for what is executed elsewhere.
func (v *visit) waitsElsewhere(e *jobs.Entry) bool {
	if !v.arbitrated(e) {
		return false
	}
	waits, all := v.Arbiter.Waits(&e.Item)
	v.elsewhere = v.elsewhere || waits
	v.stop = v.stop || all
	return waits
}

// mayElsewhere asks for an item that Redis has capacity for.
func (v *visit) mayElsewhere(ctx context.Context, e *jobs.Entry) bool {
	if !v.arbitrated(e) || v.Arbiter.May(ctx, &e.Item) {
		return true
	}
	v.elsewhere = true
	return false
}

// overElsewhere says that an item is executed no more, or was not begun.
func (n *Node) overElsewhere(e *jobs.Entry, begun bool) {
	if n.arbitrated(e) {
		n.Arbiter.Over(e.Item.ID, begun)
	}
}
