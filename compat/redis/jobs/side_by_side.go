package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
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
	operations := make([]operation, len(asked))
	for i, a := range asked {
		if acquired[i].Capacity, operations[i], acquired[i].Err = acquireOperation(a, now); acquired[i].Err != nil {
			return acquired[:i+1]
		}
	}
	for i, command := range sideBySide(ctx, q.redis, operations) {
		if acquired[i].Refused, acquired[i].Err = refusedBy(asked[i], command); acquired[i].Refused != nil || acquired[i].Err != nil {
			acquired[i].Capacity = nil
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
	leased := make([]Leased, len(entries))
	var operations []operation
	var places []int
	for i, e := range entries {
		if format.Leased(e.Item.LeaseID, now.UnixMilli()) {
			leased[i].Err = fmt.Errorf("lease item %s: %w", e.Item.ID, ErrChanged)
			continue
		}
		next := peeked(e, now)
		o, err := leaseOperation(e, next, now)
		if err != nil {
			leased[i].Err = err
			continue
		}
		leased[i].Entry = next
		operations, places = append(operations, o), append(places, i)
	}
	for n, command := range sideBySide(ctx, q.redis, operations) {
		l := &leased[places[n]]
		code, err := command.Int()
		if l.Err = outcome("lease", l.Entry.Item.ID, code, err); l.Err != nil {
			l.Entry = nil
		}
	}
	return leased
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
