package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	tracesStream = "TRACES"
	traceSubject = subjectRoot + "trace"

	// What is older has been read into the database long since, or the database
	// has been away for a day: spans of user code are not worth more disk.
	tracesMaxAge  = 24 * time.Hour
	tracesMaxMsgs = 200_000
)

// tracesConfig is how TRACES is made. It is no part of what an installation
// must have: nothing but spans of user code is lost with it.
func (c Config) tracesConfig() jetstream.StreamConfig {
	return c.stream(jetstream.StreamConfig{
		Name:        tracesStream,
		Description: "spans of user code, until they are in the database",
		Subjects:    []string{traceSubject},
		MaxAge:      tracesMaxAge,
		MaxMsgs:     tracesMaxMsgs,
	})
}

// PublishTraces stores spans of user code and returns when they are durable.
// The data are opaque here (history/userland). The error wraps ErrTooLarge for
// more than a message holds, else ErrNotDurable.
func (b *Bus) PublishTraces(ctx context.Context, data []byte) error {
	if err := b.store(ctx, &nats.Msg{Subject: traceSubject, Data: data}); err != nil {
		return fmt.Errorf("publish spans: %w", err)
	}
	return nil
}

// ConsumeTraces delivers what PublishTraces stored above sequence after, in
// order and one at a time, until stop is called. handle may block, and must not
// call stop.
func (b *Bus) ConsumeTraces(ctx context.Context, after uint64, handle func(seq uint64, at time.Time, data []byte)) (stop func(), err error) {
	return b.consume(ctx, tracesStream, "", after, func(seq uint64, at time.Time, m jetstream.Msg) {
		handle(seq, at, m.Data())
	})
}

// TraceBounds are the first and last sequence of TRACES, as LogBounds.
func (b *Bus) TraceBounds(ctx context.Context) (first, last uint64, err error) {
	return b.bounds(ctx, tracesStream)
}
