package engine

import (
	"context"
	"errors"
	"time"

	"jetstep/compat/redis/jobs"
	"jetstep/queue"
	"jetstep/state"
)

// atOnce is how many items of a function with limits are asked for together: those
// that are refused were asked for in vain.
const atOnce = 8

// offered is an item on its way to who waits for it.
type offered struct {
	entry    *jobs.Entry
	job      state.Job
	capacity *jobs.Capacity
}

// offerMany leases items that workers wait for, all in two round trips, and hands
// them out. It leaves those that need more than that, or that nobody takes as
// things are; taken is how many left the line.
func (v *visit) offerMany(ctx context.Context, entries []*jobs.Entry, now time.Time) (taken int64, rest []*jobs.Entry, err error) {
	chosen, rest := v.choose(entries, now)
	if len(chosen) < 2 {
		return 0, entries, nil
	}
	asked := make([]*jobs.Asked, len(chosen))
	for i, o := range chosen {
		asked[i] = jobs.Ask(&o.entry.Item, constraints(&o.entry.Item, v.limits))
	}
	var failed error
	var granted []offered
	var items []*jobs.Entry
	for i, a := range v.jobs.AcquireMany(ctx, asked, now) {
		switch {
		case a.Err != nil:
			failed = errors.Join(failed, a.Err)
		case a.Refused != nil:
			v.refused(chosen[i].entry.Item.ID, a.Refused)
		default:
			chosen[i].capacity = a.Capacity
			granted, items = append(granted, chosen[i]), append(items, chosen[i].entry)
		}
	}
	for i, leased := range v.jobs.LeaseMany(ctx, items, now) {
		o := granted[i]
		if leased.Err != nil {
			failed = errors.Join(failed, ignoreRace(leased.Err), v.jobs.ReleaseCapacity(ctx, o.capacity, true))
			continue
		}
		v.started = true
		if v.deliver(leased.Entry, o.job, o.capacity) {
			taken++
			continue
		}
		_, err := v.jobs.Release(ctx, leased.Entry, now)
		failed = errors.Join(failed, err, v.jobs.ReleaseCapacity(ctx, o.capacity, true))
	}
	return taken, rest, failed
}

// choose are the first items, in order, of which each has a worker of its lane
// waiting. What is counted elsewhere, too, is asked for one by one.
func (v *visit) choose(entries []*jobs.Entry, now time.Time) (chosen []offered, rest []*jobs.Entry) {
	if v.Arbiter != nil {
		return nil, entries
	}
	room, most := v.room(), len(entries)
	if v.limits.count() {
		most = atOnce
	}
	for i, e := range entries {
		kind, ok := kindOf(e.Item.Data.Kind)
		if !ok || Unfit(&e.Item) != nil || time.UnixMilli(e.Item.At).After(now) || room[queue.LaneOf(kind)] == 0 || i == most {
			return chosen, entries[i:]
		}
		job, err := v.jobOf(&e.Item)
		if err != nil {
			return chosen, entries[i:]
		}
		room[queue.LaneOf(kind)]--
		chosen = append(chosen, offered{entry: e, job: job})
	}
	return chosen, nil
}

// enough is how many jobs are worth reading: for all who wait, and some that will
// not be for them.
func (n *Node) enough() int64 {
	const more = 4
	n.mu.Lock()
	defer n.mu.Unlock()
	return min(page, int64(len(n.waiting[queue.LaneCall])+len(n.waiting[queue.LaneWake])+len(n.waiting[queue.LaneFirst])+more))
}

// room is how many workers wait in each lane.
func (n *Node) room() map[queue.Lane]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return map[queue.Lane]int{queue.LaneCall: len(n.waiting[queue.LaneCall]), queue.LaneWake: len(n.waiting[queue.LaneWake])}
}
