package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Replay calls apply for each whole record in order, with the sequence of its
// last message, and positions the writer behind the last one. A record whose
// parts are incomplete (its writer died) is left out. data is apply's to keep.
func (l *Log) Replay(ctx context.Context, apply func(seq uint64, data []byte) error) error {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	if first <= last && last > 0 {
		if err := l.read(ctx, first, last, apply); err != nil {
			return fmt.Errorf("log %d: replay: %w", l.partition, err)
		}
	}
	l.mu.Lock()
	l.next, l.writer = last+1, nuid.Next()+"-"
	l.mu.Unlock()
	return nil
}

func (l *Log) read(ctx context.Context, first, last uint64, apply func(uint64, []byte) error) error {
	var record assembler
	return l.bus.readStream(ctx, l.stream, first, last, func(seq uint64, m jetstream.Msg) error {
		data, complete, err := record.add(m.Headers().Get(headerChunk), m.Data())
		if err != nil {
			return fmt.Errorf("sequence %d: %w", seq, err)
		}
		if !complete {
			return nil
		}
		return apply(seq, data)
	})
}

// readStream calls handle for the messages first…last, in order.
func (b *Bus) readStream(ctx context.Context, stream string, first, last uint64, handle func(uint64, jetstream.Msg) error) error {
	consumer, err := b.orderedConsumer(ctx, stream, "", first)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessagesWithBytesLimit(4096, b.readAhead()),
		jetstream.PullHeartbeat(consumerHeartbeat),
		jetstream.PullExpiry(pullExpiry),
	)
	if err != nil {
		return err
	}
	defer func() {
		messages.Stop()
		go b.forgetConsumer(stream, consumer)
	}()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Stream > last {
			return nil // what was to come before it has been purged
		}
		if err := handle(meta.Sequence.Stream, m); err != nil {
			return err
		}
		if meta.Sequence.Stream == last || meta.NumPending == 0 {
			return nil
		}
	}
}
