package partition

import (
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/queue"
)

// What is known only here and now, for those who look on.

// Owns tells whether this process serves the partition.
func (n *Node) Owns(partition int) bool {
	return partition >= 0 && partition < len(n.owners) && n.owner(partition) != nil
}

// Executing tells whether a call of the run is being made by this process, and
// since when. It is false for runs of partitions that are served elsewhere.
func (n *Node) Executing(run ulid.ULID) (since time.Time, ok bool) {
	o := n.owner(n.partitionOfRun(run))
	if o == nil {
		return time.Time{}, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.leased) == 0 {
		return time.Time{}, false
	}
	view, live := o.index.View(run)
	if !live {
		return time.Time{}, false
	}
	for i := range view.Jobs {
		l, leased := o.leased[jobRef{Run: run, Job: view.Jobs[i].ID}]
		if leased && l.lane == queue.LaneCall && (!ok || l.since < since.UnixMilli()) {
			since, ok = time.UnixMilli(l.since), true
		}
	}
	return since, ok
}
