package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/pipeline"
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
	horizon       = 2 * time.Second
	// rest is the pause after a look: what becomes due meanwhile, and who waits by
	// then, one look brings together.
	rest = 2 * time.Millisecond
	// visits is how many partitions are visited at the same time.
	visits = 8
)

// looking is what the scanner remembers from one look to the next; only it has it.
type looking struct {
	listed time.Time                   // when pointers were followed last
	known  map[string]format.Partition // partitions by name, but for what visits change
}

// scan hands out what is due to those who wait for it, until the node ends.
func (n *Node) scan(ctx context.Context) {
	ctx = pipeline.Alone(ctx) // all workers may wait for one look
	timer := time.NewTimer(tick)
	defer timer.Stop()
	l := looking{known: map[string]format.Partition{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-n.kick:
		}
		if n.anyWaiting() || n.attendant() != nil {
			err := n.look(ctx, &l)
			if ctx.Err() == nil && !sleep(ctx, max(n.outage.note(triesQueue, err), rest)) {
				return
			}
		} else {
			for _, id := range n.takeDue(time.Now()) {
				n.leave(id) // who asks for a job makes the scanner look
			}
		}
		timer.Reset(n.untilNext())
	}
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

// look visits the partitions that are known to have something due and, now and
// then, those that pointers name: there others have put something.
func (n *Node) look(ctx context.Context, l *looking) error {
	now := time.Now()
	var due []format.Partition
	named := map[string]bool{}
	deep := now.Sub(l.listed) >= tick
	if deep {
		var err error
		if due, err = n.jobs.Due(ctx, now, partitions); err != nil {
			return err
		}
		for _, p := range due {
			named[p.ID], l.known[p.ID] = true, p
		}
		l.listed = now
	}
	for _, id := range n.takeDue(now) {
		if named[id] {
			continue
		}
		p, known := l.known[id]
		if !known {
			var err error
			if p, err = n.jobs.Partition(ctx, id); errors.Is(err, jobs.ErrGone) {
				continue
			} else if err != nil {
				return err
			}
			l.known[id] = p
		}
		due, named[id] = append(due, p), true
	}
	return n.visitAll(ctx, due, deep)
}

// visitAll visits partitions, some at the same time. What is wrong with one keeps no
// other from being visited.
func (n *Node) visitAll(ctx context.Context, due []format.Partition, deep bool) error {
	var mu sync.Mutex
	var failed error
	var going sync.WaitGroup
	places := make(chan struct{}, visits)
	for _, p := range due {
		places <- struct{}{}
		going.Go(func() {
			defer func() { <-places }()
			err := n.visitOne(ctx, &p, deep)
			if err == nil || errors.Is(err, jobs.ErrGone) || n.contain(ctx, p.ID, err) {
				return
			}
			mu.Lock()
			failed = err
			mu.Unlock()
		})
	}
	going.Wait()
	return failed
}

// takeDue are the partitions that are to be visited now: at their time, or because
// the last look left jobs there that somebody may want by now.
func (n *Node) takeDue(now time.Time) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []string
	for id, at := range n.due {
		if !at.After(now) {
			ids = append(ids, id)
			delete(n.due, id)
			delete(n.left, id)
		}
	}
	for id := range n.left {
		ids = append(ids, id)
		delete(n.left, id)
	}
	return ids
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
