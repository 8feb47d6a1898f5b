package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/queue"
)

const (
	// page is how many items are read at once at most.
	page = 200
	// atOnce is how many items of a function with limits are asked for together: those
	// that are refused were asked for in vain.
	atOnce = 8
	// deepPage is how many are read, now and then, of those that stand behind calls for
	// which nobody has time: there may be ends of sleeps and waits among them.
	deepPage = 100
)

// visit is a visit of a partition, and what happened by then.
type visit struct {
	*Node
	partition *format.Partition
	limits    Limits
	deep      bool // a page may be read behind jobs that nobody wants
	started   bool // something was handed out
	unwanted  bool // something was left because nobody waits for it
	requeued  bool // the visit has ended in Redis
	// What refused items, and whether it was something that all items need.
	throttled, concurrency, semaphore, stop bool
	elsewhere                               bool // some wait for what is executed elsewhere
}

// visitOne visits a partition that is due, unless another process does. One of a
// function waits for somebody who wants its jobs, one of the system for who does them.
func (n *Node) visitOne(ctx context.Context, p *format.Partition, deep bool) error {
	v := &visit{Node: n, partition: p, deep: deep}
	switch ofSystem := p.Queue != "" || p.FunctionID == nil; {
	case ofSystem && n.attendant() != nil:
		return v.during(ctx, page, v.attendAll)
	case !ofSystem && n.anyWaiting():
		v.limits = n.Functions.Limits(*p.FunctionID)
		return v.during(ctx, n.enough(), v.handOut)
	case !ofSystem:
		n.leave(p.ID)
	}
	return nil
}

// during makes the visit: within it, begin begins what is due, of which so much is
// read at first.
func (v *visit) during(ctx context.Context, most int64, begin func(ctx context.Context, first jobs.Page, most int64) error) error {
	now := time.Now()
	if v.limits.Unknown {
		most = 0
	}
	first, leased, err := v.jobs.Visit(ctx, v.partition, now, most)
	if !leased {
		if err == nil {
			v.visitAt(v.partition.ID, now.Add(tick))
		}
		return err
	}
	if v.limits.Unknown {
		return errors.Join(err, v.jobs.RequeuePartition(ctx, v.partition, now.Add(unknownVisit), true))
	}
	if err == nil {
		err = begin(ctx, first, most)
	}
	if v.requeued {
		return err
	}
	end := v.leaving(time.Now())
	return errors.Join(err, v.jobs.RequeuePartition(ctx, end.Partition, end.At, end.Force))
}

// leaving is when to visit the partition again, if nothing is due before, and
// whether not before (redis-queue §12.3).
func (v *visit) leaving(now time.Time) *jobs.Leaving {
	second, l := now.Truncate(time.Second), &jobs.Leaving{Partition: v.partition}
	switch {
	case v.concurrency:
		l.At, l.Force = second.Add(5*time.Second), true
	case v.semaphore, v.throttled && !v.started:
		l.At, l.Force = second.Add(time.Second), true
	case v.elsewhere:
		l.At = now.Add(arbitratedVisit)
	default:
		l.At = now.Add(idleVisit + rand.N(idleVisit))
	}
	return l
}

// enough is how many jobs are worth reading at first: for all who wait for calls, and
// some that will not be for them.
func (n *Node) enough() int64 {
	const more = 8
	n.mu.Lock()
	defer n.mu.Unlock()
	return min(page, int64(n.free(queue.LaneCall)+more))
}

// handOut hands out what is due in a function's partition, in order. It reads on as
// long as somebody takes all that it reads; where limits refuse some, behind those.
func (v *visit) handOut(ctx context.Context, read jobs.Page, most int64) error {
	for offset := int64(0); ; most = page {
		v.tellDamaged(read.Damaged)
		last := read.InLine < most
		taken, err := v.offer(ctx, read.Entries, last, time.Now())
		if err != nil || last || v.stop {
			return err
		}
		if !v.anyWaiting() {
			v.leave(v.partition.ID)
			return nil
		}
		offset += read.InLine - taken
		if v.unwanted {
			return v.lookDeep(ctx, offset)
		}
		if read, err = v.jobs.Peek(ctx, v.partition.ID, time.Now(), offset, page); err != nil {
			return err
		}
	}
}

// lookDeep hands out what somebody wants of a page behind the offset: each time of
// another one.
func (v *visit) lookDeep(ctx context.Context, offset int64) error {
	if !v.deep {
		return nil
	}
	v.deep = false
	offset = max(offset, v.reached(v.partition.ID))
	read, err := v.jobs.Peek(ctx, v.partition.ID, time.Now(), offset, deepPage)
	if err != nil {
		return err
	}
	v.tellDamaged(read.Damaged)
	taken, err := v.offer(ctx, read.Entries, true, time.Now())
	v.reach(v.partition.ID, offset+read.InLine-taken, read.InLine == deepPage)
	return err
}

func (v *visit) tellDamaged(damaged error) {
	if damaged != nil {
		v.Log.Error("items set aside: they cannot be read", "partition", v.partition.ID, "error", damaged)
	}
}

// reached is how far into a partition's line deep looks have read.
func (n *Node) reached(partition string) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.depths[partition]
}

// reach notes how far a deep look has read: the next goes on behind it or, when there
// is no more, begins again.
func (n *Node) reach(partition string, offset int64, more bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if more {
		n.depths[partition] = offset
	} else {
		delete(n.depths, partition)
	}
}

// refused notes what an item was refused by.
func (v *visit) refused(item string, r *jobs.Refused) {
	v.refusals.note(item, r.Constraint)
	switch c := r.Constraint; c.Kind {
	case format.ConstraintConcurrency:
		v.concurrency = true
		v.stop = v.stop || c.Concurrency.Hash == "" // of all items of the partition
	case format.ConstraintSemaphore:
		v.semaphore = true
	default:
		v.throttled = true
	}
}

// ignoreRace is nil for an item that somebody else was faster with.
func ignoreRace(err error) error {
	if jobs.LostRace(err) {
		return nil
	}
	return err
}
