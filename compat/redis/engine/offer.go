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
		c, err := v.choose(ctx, entries, now)
		taken, entries = taken+c.gone, c.rest
		freed := false
		if len(c.chosen) > 0 {
			ends := func(freed bool) bool {
				more := len(c.rest) > 0 || freed && len(c.passed) > 0
				return !more && (last || len(c.passed) > 0 && !v.deep)
			}
			var handed int64
			var grantErr error
			handed, freed, grantErr = v.grant(ctx, c.chosen, ends, now)
			taken, err = taken+handed, errors.Join(err, grantErr)
		}
		if err != nil {
			return taken, err
		}
		if freed { // who was kept for a job that was refused may take another
			entries = append(c.passed, c.rest...)
		} else if len(c.passed) > 0 {
			v.unwanted = true
		}
	}
	if v.unwanted || len(entries) > 0 && !v.stop {
		v.unwanted = true
		v.leave(v.partition.ID)
	}
	return taken, nil
}

// choice is what is to become of items, in order.
type choice struct {
	chosen []offered     // each has a worker kept for it
	passed []*jobs.Entry // nobody is there for them
	rest   []*jobs.Entry // not looked at
	gone   int64         // how many left the line
}

// choose keeps workers for the first items: all, or a few of a function with limits.
// Items that need something else are seen to.
func (v *visit) choose(ctx context.Context, entries []*jobs.Entry, now time.Time) (c choice, err error) {
	most := len(entries)
	if v.limits.count() {
		most = atOnce
	}
	for i, e := range entries {
		if len(c.chosen) == most || v.stop {
			c.rest = entries[i:]
			return c, nil
		}
		if at := time.UnixMilli(e.Item.At); at.After(now) {
			if at.Before(now.Add(horizon)) {
				v.visitAt(v.partition.ID, at)
			}
			continue
		}
		if err := v.consider(ctx, e, &c, now); err != nil {
			return c, err
		}
	}
	return c, nil
}

// consider adds an item to a choice.
func (v *visit) consider(ctx context.Context, e *jobs.Entry, c *choice, now time.Time) error {
	if defect := Unfit(&e.Item); defect != nil {
		v.Log.Error("job set aside: it cannot be executed", "partition", e.Item.Partition(), "error", defect)
		c.gone++
		return ignoreRace(v.jobs.SetAside(ctx, e, defect))
	}
	kind, ofRun := kindOf(e.Item.Data.Kind)
	if !ofRun {
		begun, err := v.offerSystem(ctx, e, now)
		if begun {
			c.gone++
		}
		return err
	}
	line, wanted := v.promise(queue.LaneOf(kind), e.Item.FunctionID)
	if !wanted {
		c.passed = append(c.passed, e)
		return nil
	}
	o := offered{entry: e, line: line}
	var err error
	if o.job, err = v.jobOf(&e.Item); err != nil {
		v.takeBack(o)
		v.Log.Error("job set aside: it cannot be read", "partition", e.Item.Partition(), "error", err)
		c.gone++
		return ignoreRace(v.jobs.SetAside(ctx, e, err))
	}
	if v.waitsElsewhere(e) {
		v.takeBack(o)
		return nil
	}
	c.chosen = append(c.chosen, o)
	return nil
}

// grant asks the limits for capacity for items, leases those that get it, and hands
// them out; freed tells that some got none. If ends says so, the visit of the partition
// ends then.
func (v *visit) grant(ctx context.Context, chosen []offered, ends func(freed bool) bool, now time.Time) (taken int64, freed bool, failed error) {
	granted, items, failed := v.acquire(ctx, chosen, now)
	freed = len(granted) < len(chosen)
	if len(items) == 0 {
		return 0, freed, failed
	}
	v.started = true
	var leaving *jobs.Leaving
	if ends(freed) && failed == nil {
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
	return taken, freed, failed
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
