package partition

import (
	"context"

	"jetstep/bus"
)

// recentLimit is how many of the partition's last events an owner keeps for
// looking back, and recentBytes how much of them.
const (
	recentLimit = 2048
	recentBytes = 8 << 20
)

// recentEvents are the last events an owner matched, in order of sequence. A
// wait mostly asks for the last milliseconds, which are here.
type recentEvents struct {
	ring  []*bus.Delivery
	next  int // oldest
	bytes int
	// from is the sequence above which every event is here.
	from uint64
}

func (r *recentEvents) add(d *bus.Delivery) {
	r.ring = append(r.ring, d)
	r.bytes += len(d.Body)
	for len(r.ring)-r.next > recentLimit || r.bytes > recentBytes && len(r.ring)-r.next > 1 {
		old := r.ring[r.next]
		r.from, r.bytes = old.Seq, r.bytes-len(old.Body)
		r.ring[r.next] = nil
		r.next++
	}
	if r.next > recentLimit {
		r.ring = append(r.ring[:0], r.ring[r.next:]...)
		r.next = 0
	}
}

// after lists the events of a name above a sequence, oldest first; ok is
// false when older ones may be missing here.
func (r *recentEvents) after(name string, seq uint64) (found []*bus.Delivery, ok bool) {
	if seq < r.from {
		return nil, false
	}
	for i := len(r.ring) - 1; i >= r.next && r.ring[i].Seq > seq; i-- {
		if r.ring[i].Name == name {
			found = append(found, r.ring[i])
		}
	}
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found, true
}

// lookBack finds the first event that the owner has matched already and that
// satisfies accept, above a sequence. mu is held; the stream is only read when
// the memory does not reach back far enough.
func (o *Owner) lookBack(name string, since uint64, accept func(*bus.Delivery) bool) error {
	upTo := max(o.index.Events(), o.marks.events)
	if since >= upTo {
		return nil
	}
	if recent, ok := o.recent.after(name, since); ok {
		for _, d := range recent {
			if d.Seq <= upTo && accept(d) {
				return nil
			}
		}
		return nil
	}
	return o.node.bus.EventsBetween(context.Background(), name, since, upTo, func(d *bus.Delivery) bool {
		return !accept(d)
	})
}
