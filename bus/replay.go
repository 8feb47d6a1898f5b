package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Replay calls apply for each whole record in order, with the sequence of its
// last message, and positions the writer behind the last one. A record whose
// parts are incomplete (its writer died) is left out, and so is what a stale
// writer left. data is apply's to keep.
func (l *Log) Replay(ctx context.Context, apply func(seq uint64, data []byte) error) error {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	r := replay{log: l, apply: apply, known: last}
	if first <= last && last > 0 {
		r.known = 0
		if err := l.bus.readStream(ctx, l.stream, first, last, r.message); err != nil {
			return fmt.Errorf("log %d: replay: %w", l.partition, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next, l.known, l.stray = last+1, r.known, r.lineage.stray
	l.writer[0] = newWriter(last)
	return nil
}

// replay puts the records of a log together.
type replay struct {
	log     *Log
	apply   func(seq uint64, data []byte) error
	lineage lineage
	record  assembler
	known   uint64 // last sequence that is the log's
}

func (r *replay) message(seq uint64, m jetstream.Msg) error {
	header := m.Headers()
	if !r.lineage.belongs(seq, header.Get(headerWriter)) {
		r.log.bus.log.Debug("message in the log is a stale writer's", "partition", r.log.partition, "seq", seq)
		return nil
	}
	r.known = seq
	data, complete, err := r.record.add(header.Get(headerChunk), m.Data())
	if err != nil {
		return fmt.Errorf("sequence %d: %w", seq, err)
	}
	if !complete {
		return nil
	}
	return r.apply(seq, data)
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
