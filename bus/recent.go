package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// Receipt is what an event is known by without its body.
type Receipt struct {
	InternalID ulid.ULID
	Name       string
	Seq        uint64
	StoredAt   time.Time
}

// RecentEvents reads the receipts of the last events of EVENTS, at most limit,
// oldest first. Bodies stay where they are.
func (b *Bus) RecentEvents(ctx context.Context, limit int) ([]Receipt, error) {
	last, err := b.LastEventSequence(ctx)
	if err != nil {
		return nil, err
	}
	if last == 0 {
		return nil, nil
	}
	consumer, err := b.control.js.OrderedConsumer(ctx, eventsStream, jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       last - min(last, uint64(limit)) + 1,
		HeadersOnly:       true,
		InactiveThreshold: consumerIdle,
	})
	if err != nil {
		return nil, fmt.Errorf("read the last events: %w", err)
	}
	defer b.forgetConsumer(eventsStream, consumer)
	batch, err := consumer.FetchNoWait(limit)
	if err != nil {
		return nil, fmt.Errorf("read the last events: %w", err)
	}
	var receipts []Receipt
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read the last events: %w", err)
		}
		d, err := delivery(meta.Sequence.Stream, meta.Timestamp, m.Subject(), m.Headers(), nil)
		if err != nil {
			continue // no event, as its matcher has told
		}
		receipts = append(receipts, d.receipt())
	}
	if err := batch.Error(); err != nil {
		return nil, fmt.Errorf("read the last events: %w", err)
	}
	return receipts, nil
}

func (d *Delivery) receipt() Receipt {
	r := Receipt{InternalID: d.InternalID, Name: d.Name, Seq: d.Seq, StoredAt: d.StoredAt}
	if r.InternalID.IsZero() {
		r.InternalID = sequenceULID(d.StoredAt, d.Seq)
	}
	return r
}
