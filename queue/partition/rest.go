package partition

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/state"
)

// nobody is told anything.
type nobody struct{}

func (nobody) EventReceived(*bus.Delivery, int)                                {}
func (nobody) RunScheduled(*state.Run)                                         {}
func (nobody) RunStarted(ulid.ULID, time.Time)                                 {}
func (nobody) RunFinished(ulid.ULID, state.Status, json.RawMessage, time.Time) {}
func (nobody) RunSkipped(*state.RunSkipped, time.Time)                         {}
func (nobody) StartDecided(uuid.UUID, string)                                  {}

// rest makes an owner that lets nothing happen by itself (Config.AtRest). What it
// decides is appended and delivered as ever.
func (o *Owner) rest(ctx context.Context, cancel context.CancelFunc) {
	o.mu.Lock()
	o.cancel = cancel
	o.freezeAll()
	o.mu.Unlock()
	o.courier.start(ctx)
	o.done.Go(func() { o.loop(ctx) })
}

func (o *Owner) freezeAll() {
	for id := range o.index.RunIDs() {
		o.index.Freeze(id)
	}
}

// effectAtRest is what follows from a durable fact while nothing becomes due.
func (o *Owner) effectAtRest(op state.Op) {
	switch op := op.(type) {
	case *state.RunPut:
		o.index.Freeze(op.Run.ID)
	case *state.Sent:
		o.durable[op.To] = op.N
	}
}

// Unsettled says what the partitions served here have not come to an end with yet,
// "" for nothing: events that are not matched, messages that are not delivered.
// Until then not everything is in what Walk shows.
func (n *Node) Unsettled(ctx context.Context) (string, error) {
	for p := range n.owners {
		o := n.owner(p)
		if o == nil {
			return fmt.Sprintf("partition %d is not served by this process", p), nil
		}
		messages, events, commands := o.unsettled()
		if messages > 0 {
			return fmt.Sprintf("partition %d has %d messages to deliver", p, messages), nil
		}
		more, err := n.bus.HasEventAfter(ctx, p, events)
		if err != nil {
			return "", err
		}
		if more {
			return fmt.Sprintf("partition %d has events to match", p), nil
		}
		last, err := n.bus.LastCommandSequence(ctx, p)
		if err != nil {
			return "", err
		}
		if last > commands {
			return fmt.Sprintf("partition %d has %d commands to carry out", p, last-commands), nil
		}
	}
	return "", nil
}

// unsettled counts the messages that are not delivered, and says how far inputs are
// consumed.
func (o *Owner) unsettled() (messages int, events, commands uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for to, box := range o.index.Outboxes() {
		for i := range box.Waiting {
			if box.Waiting[i].N > o.marks.confirmed[to] {
				messages++
			}
		}
	}
	return messages, max(o.index.Events(), o.marks.events), max(o.index.Commands(), o.marks.commands)
}
