package engine

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/queue"
)

// waiter waits for a job; the channel is closed when there will be none.
type waiter struct{ lease chan queue.Lease }

// held is a job that an executor has.
type held struct {
	entry    *jobs.Entry
	capacity *jobs.Capacity
	token    uint64
	function uuid.UUID
	call     bool
	since    time.Time
	until    time.Time
	loaded   *stored      // how its run was read for it, nil before
	defect   *jobs.Defect // why it cannot be executed, nil as far as is known
}

func (h *held) run() ulid.ULID { return h.entry.Item.Data.Identifier.RunID }

// Lease implements queue.Queue.
func (n *Node) Lease(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	if ctx.Err() != nil {
		return queue.Lease{}, context.Cause(ctx)
	}
	w := &waiter{make(chan queue.Lease, 1)}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return queue.Lease{}, queue.ErrClosed
	}
	n.waiting[lane] = append(n.waiting[lane], w)
	left := len(n.left) > 0
	n.mu.Unlock()
	if left {
		n.wake()
	}
	select {
	case lease, ok := <-w.lease:
		if !ok {
			return queue.Lease{}, queue.ErrClosed
		}
		return lease, nil
	case <-ctx.Done():
	}
	if !n.withdraw(lane, w) {
		if lease, ok := <-w.lease; ok {
			n.Release(lease)
		}
	}
	return queue.Lease{}, context.Cause(ctx)
}

// withdraw takes a waiter out of line; false when it has been served.
func (n *Node) withdraw(lane queue.Lane, w *waiter) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, other := range n.waiting[lane] {
		if other == w {
			n.waiting[lane] = append(n.waiting[lane][:i], n.waiting[lane][i+1:]...)
			return true
		}
	}
	return false
}

// free is how many wait in a line and are not kept for a job; the caller has the lock.
func (n *Node) free(line queue.Lane) int { return len(n.waiting[line]) - n.kept[line] }

// anyWaiting tells whether anybody waits for a job.
func (n *Node) anyWaiting() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.free(queue.LaneCall) > 0 || n.free(queue.LaneWake) > 0 || n.free(queue.LaneFirst) > 0
}

// leave notes that a partition has jobs for which nobody waits: who does so next makes
// the scanner look there.
func (n *Node) leave(partition string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left[partition] = true
}

// lineFor is the line whose first one gets a job of the lane; ok is false when
// nobody wants it. The caller has the lock.
func (n *Node) lineFor(lane queue.Lane, function uuid.UUID) (line queue.Lane, ok bool) {
	if n.free(lane) > 0 {
		return lane, true
	}
	idle := lane == queue.LaneCall && n.calls[function]+n.coming[function] == 0
	return queue.LaneFirst, idle && n.free(queue.LaneFirst) > 0
}

// promise keeps a worker for a job that is on its way, if one wants it.
func (n *Node) promise(lane queue.Lane, function uuid.UUID) (line queue.Lane, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if line, ok = n.lineFor(lane, function); ok {
		n.kept[line]++
		if lane == queue.LaneCall {
			n.coming[function]++
		}
	}
	return line, ok
}

// takeBack lets others have the worker that was kept for an item.
func (n *Node) takeBack(o offered) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.release(o)
}

// release is takeBack for one who has the lock.
func (n *Node) release(o offered) {
	n.kept[o.line]--
	function := o.entry.Item.FunctionID
	if kind, _ := kindOf(o.entry.Item.Data.Kind); queue.LaneOf(kind) != queue.LaneCall {
		return
	}
	if n.coming[function]--; n.coming[function] == 0 {
		delete(n.coming, function)
	}
}

// deliver hands a leased item out; false when nobody waits any more.
func (n *Node) deliver(e *jobs.Entry, o offered) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.release(o)
	lane := queue.LaneOf(o.job.Kind)
	line, ok := n.lineFor(lane, e.Item.FunctionID)
	if !ok {
		n.left[e.Item.Partition()] = true
		return false
	}
	w := n.waiting[line][0]
	n.waiting[line] = n.waiting[line][1:]
	h := n.keep(e, o.capacity, lane == queue.LaneCall)
	w.lease <- queue.Lease{
		RunID: e.Item.Data.Identifier.RunID, FunctionID: e.Item.FunctionID, Job: o.job, Mark: n.recent.last, Token: h.token,
		Lasts: func() bool { return n.lasts(e.Item.ID, h.token) },
	}
	return true
}

// keep notes that a leased item is executed; the caller has the lock.
func (n *Node) keep(e *jobs.Entry, capacity *jobs.Capacity, call bool) *held {
	n.tokens++
	h := &held{
		entry: e, capacity: capacity, token: n.tokens, function: e.Item.FunctionID, call: call,
		since: time.Now(), until: time.UnixMilli(format.LeaseExpiry(*e.Item.LeaseID)),
	}
	n.drop(e.Item.ID)
	n.held[e.Item.ID] = h
	n.refusals.forget(e.Item.ID)
	if call {
		n.calls[h.function]++
	}
	return h
}

func (n *Node) lasts(item string, token uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	h, ok := n.held[item]
	return ok && h.token == token && time.Now().Before(h.until)
}

// drop forgets that an item is executed, and gives what it had of limits; the
// caller has the lock.
func (n *Node) drop(item string) *jobs.Capacity {
	h, ok := n.held[item]
	if !ok {
		return nil
	}
	delete(n.held, item)
	if h.call {
		if n.calls[h.function]--; n.calls[h.function] == 0 {
			delete(n.calls, h.function)
		}
	}
	return h.capacity
}

// letGo forgets that an item is executed, and gives back what it had of limits.
// Others may wait for that, or for the first call of its function.
func (n *Node) letGo(item string) {
	n.mu.Lock()
	h, ok := n.held[item]
	capacity, left := n.drop(item), len(n.left) > 0
	last := ok && n.calls[h.function] == 0
	n.mu.Unlock()
	if !ok {
		return
	}
	n.overElsewhere(h.entry, true)
	n.giveCapacity(capacity, false)
	if left {
		n.wake()
	}
	switch {
	case n.counted(h):
		n.visitAt(h.entry.Item.Partition(), time.Now())
	case last:
		n.visitAt(h.entry.Item.Partition(), time.Now().Add(tick)) // it may be empty, and goes then
	}
}

// counted tells whether jobs beside one may wait for it to end. What is counted of
// every function is so much that they hardly do.
func (n *Node) counted(h *held) bool {
	if n.Arbiter != nil || len(h.entry.Item.Data.Semaphores)+len(h.entry.Item.Data.Identifier.Semaphores) > 0 {
		return true
	}
	return n.Functions.Limits(h.function).count()
}

// giveCapacity gives back what an item had of limits. If that fails it is found
// when its lease has ended.
func (n *Node) giveCapacity(capacity *jobs.Capacity, force bool) {
	if capacity == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseWithin)
	defer cancel()
	if err := n.jobs.ReleaseCapacity(ctx, capacity, force); err != nil {
		n.Log.Warn("capacity cannot be given back", "error", err)
	}
}

func (n *Node) allHeld() []*held {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*held, 0, len(n.held))
	for _, h := range n.held {
		all = append(all, h)
	}
	return all
}

// releaseWithin is how long giving a job back may take.
const releaseWithin = 10 * time.Second

// Release implements queue.Queue.
func (n *Node) Release(lease queue.Lease) {
	n.mu.Lock()
	h, ok := n.held[lease.Job.ID]
	if !ok || h.token != lease.Token {
		n.mu.Unlock()
		return
	}
	capacity := n.drop(lease.Job.ID)
	entry, defect := h.entry, h.defect
	n.mu.Unlock()
	n.overElsewhere(entry, false)
	n.giveCapacity(capacity, true)
	if defect != nil {
		n.doubtful(entry, defect)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseWithin)
	defer cancel()
	err := n.giveBack(ctx, entry)
	if err != nil {
		// Its lease runs out, and then it is found.
		n.Log.Warn("a job cannot be given back", "run_id", lease.RunID, "error", err)
	}
	n.visitAt(entry.Item.Partition(), time.Now())
}

func (n *Node) giveBack(ctx context.Context, e *jobs.Entry) error {
	for {
		_, err := n.jobs.Release(ctx, e, time.Now())
		if !errors.Is(err, jobs.ErrChanged) {
			if errors.Is(err, jobs.ErrGone) {
				return nil
			}
			return err
		}
		again, err := n.jobs.Get(ctx, e.Item.ID)
		if errors.Is(err, jobs.ErrGone) || err == nil && !jobs.SameLease(&again.Item, &e.Item) {
			return nil
		}
		if err != nil {
			return err
		}
		e = again
	}
}

// extend keeps the lease of an item that is executed.
func (n *Node) extend(ctx context.Context, h *held) error {
	now := time.Now()
	extended, err := n.jobs.Extend(ctx, h.entry, now)
	capacity := h.capacity
	if err == nil && capacity != nil {
		capacity, err = n.jobs.ExtendCapacity(ctx, h.capacity, now)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		if jobs.LostRace(err) || errors.Is(err, jobs.ErrCapacityLost) {
			h.until = time.Time{} // somebody else has it, or may
			return nil
		}
		return err
	}
	h.entry, h.capacity, h.until = extended, capacity, time.UnixMilli(format.LeaseExpiry(*extended.Item.LeaseID))
	return nil
}
