package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
)

// sideBySide does operations in one round trip, each by itself. They are sent by their
// hash; what the server does not know is sent again.
func sideBySide(ctx context.Context, client redis.UniversalClient, operations []operation) []*redis.Cmd {
	commands := make([]*redis.Cmd, len(operations))
	// Each command has its own answer.
	_, _ = client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, o := range operations {
			commands[i] = o.script.EvalSha(ctx, p, o.keys, o.args...)
		}
		return nil
	})
	for i, o := range operations {
		if redis.HasErrorPrefix(commands[i].Err(), "NOSCRIPT") {
			commands[i] = o.script.Run(ctx, client, o.keys, o.args...)
		}
	}
	return commands
}

// Acquired is what became of a request for capacity: either, or an error.
type Acquired struct {
	Capacity *Capacity
	Refused  *Refused
	Err      error
}

// AcquireMany is Acquire for each of several requests, in order.
func (q *Queue) AcquireMany(ctx context.Context, asked []*Asked, now time.Time) []Acquired {
	acquired := make([]Acquired, len(asked))
	var operations []operation
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
	for n, command := range sideBySide(ctx, q.redis, operations) {
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

// LeaseMany is Lease for each of several items, in order.
func (q *Queue) LeaseMany(ctx context.Context, entries []*Entry, now time.Time) []Leased {
	all := make([]Leased, len(entries))
	var operations []operation
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
	for n, command := range sideBySide(ctx, q.redis, operations) {
		l := &all[places[n]]
		code, err := command.Int()
		if l.Err = outcome("lease", l.Entry.Item.ID, code, err); l.Err != nil {
			l.Entry = nil
		}
	}
	return all
}

// DropAll takes all items of a run out of the queue, whatever has become of them,
// and gives those that it took. known are those that are known already: when there
// are no others it takes one round trip.
func (q *Queue) DropAll(ctx context.Context, run ulid.ULID, known []*Entry) (dropped []*Entry, err error) {
	for {
		operations := make([]operation, len(known), len(known)+1)
		for i, e := range known {
			if operations[i], err = dequeueOperation(e, ""); err != nil {
				return dropped, err
			}
		}
		operations = append(operations, operation{scriptItemsOfRun, itemsOfRunKeys(run), nil})
		answers := sideBySide(ctx, q.redis, operations)
		for i, e := range known {
			if err := answers[i].Err(); err != nil {
				return dropped, fmt.Errorf("drop item %s: %w", e.Item.ID, err)
			}
			dropped = append(dropped, e)
		}
		left, _, err := entriesOf(run, answers[len(known)])
		if err != nil || len(left) == 0 {
			return dropped, err
		}
		known = left
	}
}
