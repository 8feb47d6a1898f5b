package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

const realtimePrefix = subjectRoot + "realtime."

// RealtimeSubject is where messages for a topic of a channel are published:
// jetstep.realtime.<env>.<channel>.<topic>. Each part is one token, so a dot in
// it becomes %2E, and what EscapeSubject escapes is escaped. A topic without a
// channel has one token less. Env and topic must not be empty.
func RealtimeSubject(env, channel, topic string) string {
	subject := realtimePrefix + escapeToken(env)
	if channel != "" {
		subject += "." + escapeToken(channel)
	}
	return subject + "." + escapeToken(topic)
}

// escapeToken makes text one subject token. UnescapeSubject is its reverse.
func escapeToken(s string) string {
	return strings.ReplaceAll(EscapeSubject(s), ".", "%2E")
}

// PublishRealtime sends a message to whoever subscribes to the subject now, in
// this process or another one. Nothing is stored. Messages of one process
// arrive in the order in which they were sent. The error wraps ErrTooLarge for
// a message larger than MaxPayload, or tells that NATS is out of reach.
func (b *Bus) PublishRealtime(subject string, message []byte) error {
	nc := b.realtime.nc
	// While it reconnects the client would keep the message and send it later,
	// when those whom it was meant for may be gone.
	if !nc.IsConnected() {
		return fmt.Errorf("publish to %s: %w", subject, nats.ErrDisconnected)
	}
	err := nc.Publish(subject, message)
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("publish %d bytes to %s: %w", len(message), subject, ErrTooLarge)
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", subject, err)
	}
	return nil
}

// SubscribeRealtime calls deliver with each message of the subject, one at a
// time and in order, until stop is called. deliver must not block, nor change
// the message. FlushRealtime waits until the subscription is in place.
func (b *Bus) SubscribeRealtime(subject string, deliver func(message []byte)) (stop func(), err error) {
	sub, err := b.realtime.nc.Subscribe(subject, func(m *nats.Msg) { deliver(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // the connection may be gone: nothing is left to undo
}

// FlushRealtime waits until NATS has taken what was published and subscribed
// before.
func (b *Bus) FlushRealtime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := b.realtime.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush realtime connection: %w", err)
	}
	return nil
}
