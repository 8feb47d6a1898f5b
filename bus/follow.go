package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// LogRecord is a whole record of a log, as its followers see it.
type LogRecord struct {
	Seq      uint64 // of its last message
	StoredAt time.Time
	Data     []byte // the receiver's to keep
}

// FollowLog delivers the records of partition p's log whose last message has a
// sequence above after, in order and one at a time, until stop is called; what a
// stale writer left is no part of the log here either. after must be 0 or the
// sequence of a record that was delivered. handle may block, and must not call
// stop. It is for reading along; owners use Log.Replay.
func (b *Bus) FollowLog(ctx context.Context, p int, after uint64, handle func(LogRecord)) (stop func(), err error) {
	f := logFollower{bus: b, partition: p, after: after, handle: handle}
	// The record at after is read again: its writer is the log's owner there. If
	// it has been purged, the first message that is left is the log's.
	return b.consume(ctx, logStream(p), "", max(after, 1)-1, f.message)
}

// logFollower puts records together as replay does, from any place in the log.
type logFollower struct {
	bus       *Bus
	partition int
	after     uint64
	handle    func(LogRecord)
	lineage   lineage
	record    assembler
}

func (f *logFollower) message(seq uint64, at time.Time, m jetstream.Msg) {
	header := m.Headers()
	belongs := f.lineage.belongs(seq, header.Get(headerWriter))
	f.lineage.stray = f.lineage.stray[:0] // only owners need to know them
	if !belongs || seq <= f.after {
		return
	}
	data, complete, err := f.record.add(header.Get(headerChunk), m.Data())
	if err != nil {
		f.bus.log.Error("message in the log cannot be read; it is left out", "partition", f.partition, "seq", seq, "error", err)
		return
	}
	if complete {
		f.handle(LogRecord{Seq: seq, StoredAt: at, Data: data})
	}
}

// FollowEvents delivers all events with a sequence above after, of every
// partition, in order and one at a time, until stop is called. handle may block,
// and must not call stop.
func (b *Bus) FollowEvents(ctx context.Context, after uint64, handle func(*Delivery)) (stop func(), err error) {
	return b.consume(ctx, eventsStream, "", after, func(seq uint64, at time.Time, m jetstream.Msg) {
		d, err := delivery(seq, at, m.Subject(), m.Headers(), m.Data())
		if err != nil {
			b.foreignMessage(seq, err)
			return
		}
		handle(d)
	})
}

// LogBounds are the first and last sequence of partition p's log, from the
// stream's leader. Of a log that holds nothing, first is last + 1.
func (b *Bus) LogBounds(ctx context.Context, p int) (first, last uint64, err error) {
	return b.bounds(ctx, logStream(p))
}

// EventBounds are the first and last sequence of EVENTS, as LogBounds.
func (b *Bus) EventBounds(ctx context.Context) (first, last uint64, err error) {
	return b.bounds(ctx, eventsStream)
}

func (b *Bus) bounds(ctx context.Context, stream string) (first, last uint64, err error) {
	info, err := b.findStream(ctx, stream)
	if err != nil {
		return 0, 0, fmt.Errorf("bounds: %w", err)
	}
	if info.State.Msgs == 0 {
		return info.State.LastSeq + 1, info.State.LastSeq, nil
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}
