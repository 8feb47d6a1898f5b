package engine

import (
	"context"
	"errors"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
)

// System does the jobs that are in the queue and are no calls of runs: ends of
// debounces and batches, ticks, timeouts of runs (redis-queue §5.4).
type System interface {
	// Do does what an item says. It may be asked again for one that was done. With
	// an error it is asked again later, as often as the item may be tried; see also
	// [ErrUnfit] and [ErrLater].
	Do(ctx context.Context, item *format.Item) error
}

// Why an item is not done.
var (
	// ErrUnfit is one that nobody can do: it is set aside.
	ErrUnfit = errors.New("nobody does such a job")
	// ErrLater is one that cannot be done yet: it is asked again, for as long as that
	// is so.
	ErrLater = errors.New("it cannot be done yet")
)

// Attend lets the jobs of the system be done from now on. Until then they stay.
func (n *Node) Attend(s System) {
	n.mu.Lock()
	n.system = s
	n.mu.Unlock()
	n.wake()
}

// attendant is who does the jobs of the system, nil for nobody.
func (n *Node) attendant() System {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	return n.system
}

const (
	// attended is how many jobs of the system a process does at once.
	attended = 32
	// attendWithin is how long one may take: less than its lease.
	attendWithin = 20 * time.Second
	// later is after how long one that cannot be done yet is looked at again.
	later = 10 * time.Second
)

// attendAll begins what is due in a partition of the system, in no order.
func (v *visit) attendAll(ctx context.Context, read jobs.Page, most int64) error {
	now := time.Now()
	v.tellDamaged(read.Damaged)
	for _, e := range read.Entries {
		if at := time.UnixMilli(e.Item.At); at.After(now) {
			v.visitAt(v.partition.ID, at)
			continue
		}
		if begun, err := v.attend(ctx, e, nil, now); err != nil || !begun {
			return err
		}
	}
	if read.InLine == most {
		v.visitAt(v.partition.ID, now) // those were begun: there may be more
	}
	return nil
}

// offerSystem is offer for a job of the system that counts as a function's.
func (v *visit) offerSystem(ctx context.Context, e *jobs.Entry, now time.Time) (bool, error) {
	if v.attendant() == nil {
		return false, nil
	}
	capacity, refused, err := v.jobs.Acquire(ctx, jobs.Ask(&e.Item, constraints(&e.Item, v.limits)), now)
	if err != nil {
		return false, err
	}
	if refused != nil {
		v.refused(e.Item.ID, refused)
		return false, nil
	}
	begun, err := v.attend(ctx, e, capacity, now)
	if !begun {
		err = errors.Join(err, v.jobs.ReleaseCapacity(ctx, capacity, true))
	}
	return begun, err
}

// attend leases a job of the system and has it done; begun is false when too many
// are being done, or somebody else was faster.
func (v *visit) attend(ctx context.Context, e *jobs.Entry, capacity *jobs.Capacity, now time.Time) (begun bool, err error) {
	system := v.attendant()
	if system == nil {
		return false, nil
	}
	select {
	case v.attending <- struct{}{}:
	default:
		return false, nil // who has done one looks for more
	}
	leased, err := v.jobs.Lease(ctx, e, now)
	if err != nil {
		<-v.attending
		return false, ignoreRace(err)
	}
	token := v.hold(leased, capacity)
	v.working.Go(func() {
		v.do(system, leased, token)
		<-v.attending
		v.visitAt(e.Item.Partition(), time.Now())
	})
	return true, nil
}

// hold keeps the lease of an item until it is let go.
func (n *Node) hold(e *jobs.Entry, capacity *jobs.Capacity) (token uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.keep(e, capacity, false).token
}

// do does a job, also when the process is ending, and says so in the queue.
func (n *Node) do(system System, e *jobs.Entry, token uint64) {
	defer n.letGo(e.Item.ID)
	ctx, cancel := context.WithTimeout(context.Background(), attendWithin)
	defer cancel()
	item := e.Item
	failed := n.doSystem(ctx, system, &item)
	if failed != nil && !errors.Is(failed, ErrLater) {
		n.Log.Warn("a job of the queue failed", "kind", item.Data.Kind, "item", item.ID, "function_id", item.FunctionID,
			"attempt", item.Data.Attempt, "error", failed)
	}
	if err := n.concludeSystem(ctx, item.ID, token, failed); err != nil {
		// Its lease runs out, and then it is done again.
		n.Log.Warn("a job of the queue cannot be concluded", "kind", item.Data.Kind, "item", item.ID, "error", err)
	}
}

// concludeSystem takes a job that was done out of the queue, puts one that failed
// back, or sets it aside.
func (n *Node) concludeSystem(ctx context.Context, id string, token uint64, failed error) error {
	for {
		e := n.heldEntry(id, token)
		if e == nil {
			return nil // somebody else has it
		}
		now := time.Now()
		var err error
		switch {
		case failed == nil:
			err = n.jobs.Dequeue(ctx, e)
		case errors.Is(failed, ErrLater):
			_, err = n.jobs.Requeue(ctx, e, now, func(i *format.Item) { i.At = now.Add(later).UnixMilli() })
		case errors.Is(failed, ErrUnfit), e.Item.Data.Attempt+1 >= e.Item.MaxAttempts():
			err = n.jobs.SetAside(ctx, e, failed)
		default:
			_, err = n.jobs.Requeue(ctx, e, now, func(i *format.Item) {
				i.At = now.Add(systemBackoff(i.Data.Attempt)).UnixMilli()
				i.Data.Attempt++
			})
		}
		if !errors.Is(err, jobs.ErrChanged) {
			return ignoreRace(err)
		}
		if n.heldEntry(id, token) == e {
			return nil // not extended: somebody else has it
		}
	}
}

// heldEntry is a held item as it was last written, nil when it is held no more.
func (n *Node) heldEntry(id string, token uint64) *jobs.Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h, ok := n.held[id]; ok && h.token == token {
		return h.entry
	}
	return nil
}

// systemBackoff is how long a job of the system waits after a failed attempt,
// counted from 0.
func systemBackoff(attempt int) time.Duration {
	const first, last = 5 * time.Second, 10 * time.Minute
	return min(first<<min(attempt, 10), last)
}

// Expect makes the node look at a partition then: whoever adds something to the
// queue that is due soon says so.
func (n *Node) Expect(partition string, at time.Time) {
	if time.Until(at) < horizon {
		n.visitAt(partition, at)
	}
}
