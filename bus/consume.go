package bus

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// consumerHeartbeat is how often the server shows that a consumer still
	// exists; two missing ones make the client start a new one.
	consumerHeartbeat = time.Second
	pullExpiry        = 30 * time.Second
	// consumerIdle is after what time the server removes a consumer whose
	// process has died.
	consumerIdle = time.Minute
	// deliveredAhead bounds the bytes that wait in this process for a handler.
	deliveredAhead = 16 << 20
)

// ConsumeEvents delivers partition p's events with a sequence above after, in
// order and one at a time, until stop is called. handle may block: the server
// then sends no more. When stop returns, no handle runs any more; so handle
// must not call it.
func (b *Bus) ConsumeEvents(ctx context.Context, p int, after uint64, handle func(*Delivery)) (stop func(), err error) {
	filter := eventPrefix + strconv.Itoa(p) + ".>"
	return b.consume(ctx, eventsStream, filter, after, func(seq uint64, at time.Time, m jetstream.Msg) {
		b.SawEvent(seq)
		d, err := delivery(seq, at, m.Subject(), m.Headers(), m.Data())
		if err != nil {
			b.foreignMessage(seq, err)
			return
		}
		handle(d)
	})
}

// foreignMessage notes a message that only another publisher than Jetstep can
// have put into EVENTS: it is no event, and nobody here can act on it.
func (b *Bus) foreignMessage(seq uint64, err error) {
	b.log.Warn("message in EVENTS is not an event", "seq", seq, "error", err)
}

// consume runs an ordered consumer, which recreates itself after a gap, a lost
// leader or a reconnect, without redelivering what was handled.
func (b *Bus) consume(ctx context.Context, stream, filter string, after uint64, handle func(uint64, time.Time, jetstream.Msg)) (stop func(), err error) {
	consumer, err := b.orderedConsumer(ctx, stream, filter, after+1)
	if err != nil {
		return nil, err
	}
	var running sync.Mutex // held while handle runs
	stopped := false
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		running.Lock()
		defer running.Unlock()
		if stopped {
			return
		}
		meta, err := m.Metadata()
		if err != nil {
			// The client has parsed the same text before it called this.
			b.log.Error("message without metadata", "stream", stream, "error", err)
			return
		}
		handle(meta.Sequence.Stream, meta.Timestamp, m)
	},
		jetstream.PullMaxMessagesWithBytesLimit(2048, b.readAhead()),
		jetstream.PullHeartbeat(consumerHeartbeat),
		jetstream.PullExpiry(pullExpiry),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			b.log.Debug("consumer begins anew", "stream", stream, "error", err)
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", stream, err)
	}
	return func() {
		running.Lock()
		first := !stopped
		stopped = true
		running.Unlock()
		if first {
			// In the background: without a connection it takes its time.
			go func() {
				consuming.Stop()
				b.forgetConsumer(stream, consumer)
			}()
		}
	}, nil
}

// orderedConsumer reads a stream from sequence first on; with a filter, only
// the subjects that match.
func (b *Bus) orderedConsumer(ctx context.Context, stream, filter string, first uint64) (jetstream.Consumer, error) {
	cfg := jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       first,
		InactiveThreshold: consumerIdle,
	}
	if filter != "" {
		cfg.FilterSubjects = []string{filter}
	}
	consumer, err := query(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return b.control.js.OrderedConsumer(ctx, stream, cfg)
	})
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", stream, err)
	}
	return consumer, nil
}

// readAhead is the number of bytes to ask for at once: never less than one
// message, which the server would not send.
func (b *Bus) readAhead() int { return max(deliveredAhead, b.maxPayload+chunkRoom) }

// forgetConsumer removes a consumer from the server; if it fails, the server
// does it after consumerIdle.
func (b *Bus) forgetConsumer(stream string, consumer jetstream.Consumer) {
	info := consumer.CachedInfo()
	if info == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	if err := b.control.js.DeleteConsumer(ctx, stream, info.Name); err != nil {
		b.log.Debug("consumer not removed", "stream", stream, "error", err)
	}
}
