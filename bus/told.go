package bus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	toldStream  = "TOLD"
	toldSubject = subjectRoot + "told"

	// What is older has been read into the database long since, or the database
	// has been away for days: each run tells all that matters of it when it ends.
	toldMaxAge = 72 * time.Hour
)

// toldConfig is how TOLD is made. It is no part of what an installation must
// have: nothing that executes reads it.
func (c Config) toldConfig() jetstream.StreamConfig {
	return c.stream(jetstream.StreamConfig{
		Name:        toldStream,
		Description: "records of runs whose state is elsewhere, until they are in the database",
		Subjects:    []string{toldSubject},
		MaxAge:      toldMaxAge,
	})
}

// PublishTold stores records for the history of runs that no partition has, and
// returns when they are durable. Unlike a log, TOLD has many writers, and nothing
// is decided from it. writer tells the parts of large payloads apart: it must be
// one that no other call uses at the same time. The error wraps ErrNotDurable.
func (b *Bus) PublishTold(ctx context.Context, writer string, data []byte) error {
	if err := b.storeInParts(ctx, &nats.Msg{Subject: toldSubject}, writer, data); err != nil {
		return fmt.Errorf("publish records: %w", err)
	}
	return nil
}

// ConsumeTold delivers what PublishTold stored above sequence after, in order and
// one at a time, until stop is called. handle may block, and must not call stop. A
// payload of several parts is left out if it begins at or before after.
func (b *Bus) ConsumeTold(ctx context.Context, after uint64, handle func(seq uint64, at time.Time, data []byte)) (stop func(), err error) {
	writers := map[string]*assembler{}
	return b.consume(ctx, toldStream, "", after, func(seq uint64, at time.Time, m jetstream.Msg) {
		chunk := m.Headers().Get(headerChunk)
		if chunk == "" {
			handle(seq, at, m.Data())
			return
		}
		writer := m.Headers().Get(headerWriter)
		if writers[writer] == nil {
			writers[writer] = &assembler{}
		}
		data, complete, err := writers[writer].add(chunk, m.Data())
		if err != nil {
			b.log.Error("message in TOLD cannot be read; it is left out", "seq", seq, "error", err)
		}
		if complete {
			delete(writers, writer)
			handle(seq, at, data)
		}
	})
}

// ToldBounds are the first and last sequence of TOLD, as LogBounds.
func (b *Bus) ToldBounds(ctx context.Context) (first, last uint64, err error) {
	return b.bounds(ctx, toldStream)
}

// PurgeTold removes what TOLD has up to a sequence, once nobody needs it.
func (b *Bus) PurgeTold(ctx context.Context, upTo uint64) error {
	return b.purge(ctx, toldStream, upTo)
}

// Installation names the streams of this NATS among those of others: they keep it
// as long as they are there.
func (b *Bus) Installation() string { return strconv.FormatInt(b.created.UnixNano(), 36) }

// Embedded tells whether the NATS is this process's own.
func (b *Bus) Embedded() bool { return b.server != nil }
