package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/script"
)

// Acquired is what became of a request for capacity: either, or an error.
type Acquired struct {
	Capacity *Capacity
	Refused  *Refused
	Err      error
}

// AcquireMany is Acquire for each of several requests, in order.
func (q *Queue) AcquireMany(ctx context.Context, asked []*Asked, now time.Time) []Acquired {
	acquired := make([]Acquired, len(asked))
	var operations []script.Operation
	var places []int
	for i, a := range asked {
		c, o, err := acquireOperation(a, now)
		if err != nil {
			acquired[i].Err = err
			continue
		}
		acquired[i].Capacity = c
		operations, places = append(operations, o), append(places, i)
	}
	for n, command := range script.SideBySide(ctx, q.redis, operations...) {
		a := &acquired[places[n]]
		if a.Refused, a.Err = refusedBy(asked[places[n]], command); a.Refused != nil || a.Err != nil {
			a.Capacity = nil
		}
	}
	return acquired
}

// Leased is an item that was leased, or why it was not.
type Leased struct {
	Entry *Entry
	Err   error
}

// LeaseMany is Lease for each of several items, in order, and then ends the visit of
// their partition, unless leaving is nil: err is of that.
func (q *Queue) LeaseMany(ctx context.Context, entries []*Entry, now time.Time, leaving *Leaving) (_ []Leased, err error) {
	all := make([]Leased, len(entries))
	var operations []script.Operation
	var places []int
	for i, e := range entries {
		if leased(e.Item.LeaseID, now) {
			all[i].Err = fmt.Errorf("lease item %s: %w", e.Item.ID, ErrChanged)
			continue
		}
		next := peeked(e, now)
		o, err := leaseOperation(e, next, now)
		if err != nil {
			all[i].Err = err
			continue
		}
		all[i].Entry = next
		operations, places = append(operations, o), append(places, i)
	}
	if leaving != nil {
		o, err := leaving.operation()
		if err != nil {
			return nil, err
		}
		operations = append(operations, o)
	}
	answers := script.SideBySide(ctx, q.redis, operations...)
	for n, place := range places {
		l := &all[place]
		code, err := answers[n].Int()
		if l.Err = outcome("lease", l.Entry.Item.ID, code, err); l.Err != nil {
			l.Entry = nil
		}
	}
	if leaving != nil {
		if err := answers[len(places)].Err(); err != nil {
			return all, fmt.Errorf("requeue partition %s: %w", leaving.Partition.ID, err)
		}
	}
	return all, nil
}

// DropAll takes all items of a run out of the queue, whatever has become of them,
// and gives those that it took. known are those that are known already: when there
// are no others it takes one round trip.
func (q *Queue) DropAll(ctx context.Context, run ulid.ULID, known []*Entry) (dropped []*Entry, err error) {
	for {
		operations := make([]script.Operation, len(known), len(known)+1)
		for i, e := range known {
			if operations[i], err = dequeueOperation(e, ""); err != nil {
				return dropped, err
			}
		}
		operations = append(operations, ItemsOperation(run))
		answers := script.SideBySide(ctx, q.redis, operations...)
		for i, e := range known {
			if err := answers[i].Err(); err != nil {
				return dropped, fmt.Errorf("drop item %s: %w", e.Item.ID, err)
			}
			dropped = append(dropped, e)
		}
		list, err := answers[len(known)].Slice()
		if err != nil {
			return dropped, fmt.Errorf("list items of run %s: %w", run, err)
		}
		left, _, err := ItemsIn(run, list)
		if err != nil || len(left) == 0 {
			return dropped, err
		}
		known = left
	}
}
