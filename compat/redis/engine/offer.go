package engine

import (
	"context"
	"errors"
	"time"

	"jetstep/compat/redis/jobs"
	"jetstep/queue"
	"jetstep/state"
)

// offered is an item on its way to who waits for it.
type offered struct {
	entry    *jobs.Entry
	job      state.Job
	line     queue.Lane // that of the worker who is kept for it
	capacity *jobs.Capacity
}

// offer leases items of which each has a worker waiting, those that are due together
// in two round trips, and hands them out. last tells that no more will be read: then
// the visit ends with it. taken is how many left the line.
func (v *visit) offer(ctx context.Context, entries []*jobs.Entry, last bool, now time.Time) (taken int64, err error) {
	for len(entries) > 0 && !v.stop && v.anyWaiting() {
		var chosen []offered
		var gone int64
		if chosen, entries, gone, err = v.choose(ctx, entries, now); len(chosen) > 0 {
			handed, grantErr := v.grant(ctx, chosen, len(entries) == 0 && (last || v.unwanted && !v.deep), now)
			taken, err = taken+handed, errors.Join(err, grantErr)
		}
		if taken += gone; err != nil {
			return taken, err
		}
	}
	if len(entries) > 0 && !v.stop {
		v.unwanted = true
		v.leave(v.partition.ID)
	}
	return taken, nil
}

// choose are the first items, in order, of which each has a worker kept for it: all,
// or a few of a function with limits. Items that need something else are seen to; gone
// is how many of those left the line.
func (v *visit) choose(ctx context.Context, entries []*jobs.Entry, now time.Time) (chosen []offered, rest []*jobs.Entry, gone int64, err error) {
	most := len(entries)
	if v.limits.count() {
		most = atOnce
	}
	for i, e := range entries {
		if len(chosen) == most || v.stop {
			return chosen, entries[i:], gone, nil
		}
		if at := time.UnixMilli(e.Item.At); at.After(now) {
			if at.Before(now.Add(horizon)) {
				v.visitAt(v.partition.ID, at)
			}
			continue
		}
		o, ok, out, err := v.consider(ctx, e, now)
		if err != nil {
			return chosen, nil, gone, err
		}
		if ok {
			chosen = append(chosen, o)
		}
		if out {
			gone++
		}
	}
	return chosen, nil, gone, nil
}

// consider keeps a worker for an item, if there is one; out tells that it has left
// the line.
func (v *visit) consider(ctx context.Context, e *jobs.Entry, now time.Time) (o offered, ok, out bool, err error) {
	if defect := Unfit(&e.Item); defect != nil {
		v.Log.Error("job set aside: it cannot be executed", "partition", e.Item.Partition(), "error", defect)
		return o, false, true, ignoreRace(v.jobs.SetAside(ctx, e, defect))
	}
	kind, ofRun := kindOf(e.Item.Data.Kind)
	if !ofRun {
		out, err = v.offerSystem(ctx, e, now)
		return o, false, out, err
	}
	line, wanted := v.promise(queue.LaneOf(kind), e.Item.FunctionID)
	if !wanted {
		v.unwanted = true
		v.leave(v.partition.ID)
		return o, false, false, nil
	}
	o = offered{entry: e, line: line}
	if o.job, err = v.jobOf(&e.Item); err != nil {
		v.takeBack(o)
		v.Log.Error("job set aside: it cannot be read", "partition", e.Item.Partition(), "error", err)
		return o, false, true, ignoreRace(v.jobs.SetAside(ctx, e, err))
	}
	if v.waitsElsewhere(e) {
		v.takeBack(o)
		return o, false, false, nil
	}
	return o, true, false, nil
}

// grant asks the limits for capacity for items, leases those that get it, and hands
// them out; with end the visit of the partition ends then.
func (v *visit) grant(ctx context.Context, chosen []offered, end bool, now time.Time) (taken int64, failed error) {
	granted, items, failed := v.acquire(ctx, chosen, now)
	if len(items) == 0 {
		return 0, failed
	}
	v.started = true
	var leaving *jobs.Leaving
	if end && failed == nil {
		leaving = v.leaving(now)
	}
	leases, err := v.jobs.LeaseMany(ctx, items, now, leaving)
	v.requeued = leaving != nil && err == nil
	failed = errors.Join(failed, err)
	for i, o := range granted {
		var l jobs.Leased
		if i < len(leases) {
			l = leases[i]
		}
		if l.Entry == nil {
			v.takeBack(o)
			v.overElsewhere(o.entry, false)
			failed = errors.Join(failed, ignoreRace(l.Err), v.jobs.ReleaseCapacity(ctx, o.capacity, true))
			continue
		}
		if v.deliver(l.Entry, o) {
			taken++
			continue
		}
		v.overElsewhere(o.entry, false)
		_, err := v.jobs.Release(ctx, l.Entry, now)
		failed = errors.Join(failed, err, v.jobs.ReleaseCapacity(ctx, o.capacity, true))
	}
	return taken, failed
}

// acquire asks the limits for capacity: those in Redis, then those that count what is
// executed elsewhere.
func (v *visit) acquire(ctx context.Context, chosen []offered, now time.Time) (granted []offered, items []*jobs.Entry, failed error) {
	asked := make([]*jobs.Asked, len(chosen))
	for i, o := range chosen {
		asked[i] = jobs.Ask(&o.entry.Item, constraints(&o.entry.Item, v.limits))
	}
	for i, a := range v.jobs.AcquireMany(ctx, asked, now) {
		o := chosen[i]
		switch {
		case a.Err != nil:
			failed = errors.Join(failed, a.Err)
		case a.Refused != nil:
			v.overElsewhere(o.entry, false)
			v.refused(o.entry.Item.ID, a.Refused)
		case !v.mayElsewhere(ctx, o.entry):
			failed = errors.Join(failed, v.jobs.ReleaseCapacity(ctx, a.Capacity, true))
		default:
			o.capacity = a.Capacity
			granted, items = append(granted, o), append(items, o.entry)
			continue
		}
		v.takeBack(o)
	}
	return granted, items, failed
}
