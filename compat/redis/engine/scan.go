package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/pipeline"
	"jetstep/queue"
)

// The rhythm of the original (redis-queue §12.1, §14).
const (
	tick          = 150 * time.Millisecond
	renewEvery    = 10 * time.Second
	scavengeEvery = 30 * time.Second
	roleEvery     = 3300 * time.Millisecond
	capacityEvery = 500 * time.Millisecond
	unknownVisit  = 2 * time.Second // of a function that is not registered
	idleVisit     = 30 * time.Second
	partitions    = 300
	page          = 100
	horizon       = 2 * time.Second
	// rest is the pause after a look: what becomes due meanwhile, and who waits by
	// then, one look brings together.
	rest = 2 * time.Millisecond
)

// scan hands out what is due to those who wait for it, until the node ends.
func (n *Node) scan(ctx context.Context) {
	ctx = pipeline.Alone(ctx) // all workers may wait for one look
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-n.kick:
		}
		if n.beginLook() {
			err := n.visitDue(ctx)
			if ctx.Err() == nil && !sleep(ctx, max(n.outage.note(triesQueue, err), rest)) {
				return
			}
		}
		timer.Reset(n.untilNext())
	}
}

// beginLook tells whether anybody would take what a look finds.
func (n *Node) beginLook() bool {
	n.mu.Lock()
	n.left = false
	n.mu.Unlock()
	return n.anyWaiting() || n.attendant() != nil
}

// untilNext is when to look at the latest.
func (n *Node) untilNext() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait, now := tick, time.Now()
	for _, at := range n.due {
		wait = min(wait, at.Sub(now))
	}
	return max(wait, 0)
}

// visitDue visits the partitions that pointers name, and those that are known to
// have something due.
func (n *Node) visitDue(ctx context.Context) error {
	now := time.Now()
	due, err := n.jobs.Due(ctx, now, partitions)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, p := range due {
		named[p.ID] = true
	}
	for _, id := range n.takeDue(now) {
		if named[id] {
			continue
		}
		p, err := n.jobs.Partition(ctx, id)
		if errors.Is(err, jobs.ErrGone) {
			continue
		}
		if err != nil {
			return err
		}
		due = append(due, p)
	}
	for i := range due {
		if err := n.visitOne(ctx, &due[i]); err != nil && !n.contain(ctx, due[i].ID, err) {
			return err
		}
	}
	return nil
}

// visitOne visits a partition that is due. One of a function waits for somebody
// who wants its jobs, one of the system for who does them.
func (n *Node) visitOne(ctx context.Context, p *format.Partition) error {
	switch ofSystem := p.Queue != "" || p.FunctionID == nil; {
	case ofSystem && n.attendant() != nil:
		return n.visit(ctx, p, Limits{}, (*visit).attendAll)
	case !ofSystem && n.anyWaiting():
		return n.visit(ctx, p, n.Functions.Limits(*p.FunctionID), (*visit).handOut)
	}
	return nil
}

// takeDue are the partitions that are to be visited now.
func (n *Node) takeDue(now time.Time) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []string
	for id, at := range n.due {
		if !at.After(now) {
			ids = append(ids, id)
			delete(n.due, id)
		}
	}
	return ids
}

// visit makes a visit of a partition, unless another process does: within it,
// begin begins what is due.
func (n *Node) visit(ctx context.Context, p *format.Partition, limits Limits,
	begin func(*visit, context.Context, *format.Partition) error) error {
	now := time.Now()
	leased, err := n.jobs.LeasePartition(ctx, p, now)
	if err != nil {
		return err
	}
	if !leased {
		n.visitAt(p.ID, now.Add(tick))
		return nil
	}
	if limits.Unknown {
		return n.jobs.RequeuePartition(ctx, p, now.Add(unknownVisit), true)
	}
	v := visit{Node: n, limits: limits}
	visitErr := begin(&v, ctx, p)
	next, force := v.next(time.Now())
	return errors.Join(visitErr, n.jobs.RequeuePartition(ctx, p, next, force))
}

// visit is what happened when a partition was visited.
type visit struct {
	*Node
	limits  Limits
	started bool
	// What refused items, and whether it was something that all items need.
	throttled, concurrency, semaphore, stop bool
	elsewhere                               bool // some wait for what is executed elsewhere
}

// next is when to visit the partition again, if nothing is due before, and
// whether not before (redis-queue §12.3).
func (v *visit) next(now time.Time) (at time.Time, force bool) {
	second := now.Truncate(time.Second)
	switch {
	case v.concurrency:
		return second.Add(5 * time.Second), true
	case v.semaphore, v.throttled && !v.started:
		return second.Add(time.Second), true
	case v.elsewhere:
		return now.Add(arbitratedVisit), false
	}
	return now.Add(idleVisit + rand.N(idleVisit)), false
}

// handOut hands out what is due in a function's partition, in order. It reads no
// more than will do at first: if limits refuse some, it goes on.
func (v *visit) handOut(ctx context.Context, p *format.Partition) error {
	offset, limit := int64(0), v.enough()
	for ; ; limit = page {
		now := time.Now()
		entries, inLine, damaged, err := v.jobs.Peek(ctx, p.ID, now, offset, limit)
		if err != nil {
			return err
		}
		if damaged != nil {
			v.Log.Error("items set aside: they cannot be read", "partition", p.ID, "error", damaged)
		}
		taken, entries, err := v.offerMany(ctx, entries, now)
		if err != nil || v.stop || !v.anyWaiting() {
			return err
		}
		for _, e := range entries {
			if at := time.UnixMilli(e.Item.At); at.After(now) {
				if at.Before(now.Add(horizon)) {
					v.visitAt(p.ID, at)
				}
				continue
			}
			done, err := v.offer(ctx, e, now)
			if err != nil {
				return err
			}
			if done {
				taken++
			}
			if v.stop || !v.anyWaiting() {
				return nil
			}
		}
		if inLine < limit {
			return nil
		}
		offset += inLine - taken
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
	if errors.Is(err, jobs.ErrChanged) || errors.Is(err, jobs.ErrGone) {
		return nil
	}
	return err
}

// offer leases an item and hands it to who waits for such a job, if anyone does.
func (v *visit) offer(ctx context.Context, e *jobs.Entry, now time.Time) (bool, error) {
	if defect := Unfit(&e.Item); defect != nil {
		v.Log.Error("job set aside: it cannot be executed", "partition", e.Item.Partition(), "error", defect)
		return true, ignoreRace(v.jobs.SetAside(ctx, e, defect))
	}
	kind, ok := kindOf(e.Item.Data.Kind)
	if !ok {
		return v.offerSystem(ctx, e, now)
	}
	if !v.wanted(queue.LaneOf(kind), e.Item.FunctionID) {
		return false, nil
	}
	job, err := v.jobOf(&e.Item)
	if err != nil {
		v.Log.Error("job set aside: it cannot be read", "partition", e.Item.Partition(), "error", err)
		return true, ignoreRace(v.jobs.SetAside(ctx, e, err))
	}
	if v.waitsElsewhere(e) {
		return false, nil
	}
	capacity, refused, err := v.jobs.Acquire(ctx, jobs.Ask(&e.Item, constraints(&e.Item, v.limits)), now)
	if err != nil {
		return false, err
	}
	if refused != nil {
		v.overElsewhere(e, false)
		v.refused(e.Item.ID, refused)
		return false, nil
	}
	if !v.mayElsewhere(ctx, e) {
		return false, v.jobs.ReleaseCapacity(ctx, capacity, true)
	}
	leased, err := v.jobs.Lease(ctx, e, now)
	if err != nil {
		v.overElsewhere(e, false)
		err = errors.Join(ignoreRace(err), v.jobs.ReleaseCapacity(ctx, capacity, true))
		return false, err
	}
	v.started = true
	if !v.deliver(leased, job, capacity) {
		v.overElsewhere(e, false)
		_, err := v.jobs.Release(ctx, leased, now)
		return false, errors.Join(err, v.jobs.ReleaseCapacity(ctx, capacity, true))
	}
	return true, nil
}

// sleep waits, if it is for more than nothing; false when the context ends.
func sleep(ctx context.Context, pause time.Duration) bool {
	if pause <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// renew keeps the leases of what is being executed.
func (n *Node) renew(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, h := range n.allHeld() {
			if err := n.extend(ctx, h); ctx.Err() == nil {
				n.outage.note(triesLeases+" held", err)
			}
		}
	}
}

// scavenge puts back what others were executing when they died, as long as this
// process has that role, and puts right or aside what is not as it should be.
func (n *Node) scavenge(ctx context.Context) {
	ticker := time.NewTicker(capacityEvery)
	defer ticker.Stop()
	_, err := n.jobs.Drain(ctx)
	role := scavenger{Node: n, last: time.Now()}
	for again := n.outage.note(triesBacklogs, err); sleep(ctx, again); {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			_, err := n.jobs.ScavengeCapacity(ctx, now)
			if err = errors.Join(err, n.judge(ctx, now)); ctx.Err() == nil {
				again = n.outage.note(triesCapacity, err)
			}
			if err == nil && now.Sub(role.asked) >= roleEvery {
				if err = role.act(ctx, now); ctx.Err() == nil {
					again = n.outage.note(triesLeases, err)
				}
			}
		}
	}
}

// scavenger is the role of one process of all.
type scavenger struct {
	*Node
	lease       ulid.ULID
	asked, last time.Time
}

func (s *scavenger) act(ctx context.Context, now time.Time) (err error) {
	s.asked = now
	s.lease, err = s.jobs.TakeRole(ctx, format.RoleScavengerKey, s.lease, now)
	if err != nil || s.lease == (ulid.ULID{}) || now.Sub(s.last) < scavengeEvery {
		return err
	}
	s.last = now
	_, err = s.jobs.Scavenge(ctx, now)
	_, drainErr := s.jobs.Drain(ctx)
	_, sweepErr := s.jobs.Sweep(ctx, now)
	if err = errors.Join(err, drainErr, sweepErr); jobs.IsDefect(err) {
		s.Log.Error("items set aside: they cannot be read", "error", err)
		return nil
	}
	return err
}
