package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SendCommand stores a command in IN_<partition> and returns when it is
// durable. id makes repeated sends within two minutes one message; what comes
// later is recognised by the receiver.
func (b *Bus) SendCommand(ctx context.Context, partition int, kind, id string, data []byte) error {
	subject := inPrefix + strconv.Itoa(partition) + "." + kind + "." + EscapeSubject(id)
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{nats.MsgIdHdr: {kind + ":" + id}}}
	if err := b.store(ctx, m); err != nil {
		return fmt.Errorf("command to partition %d: %w", partition, err)
	}
	return nil
}

// store publishes a message and returns when it is durable. The error wraps
// ErrTooLarge for more than a message holds, else ErrNotDurable.
func (b *Bus) store(ctx context.Context, m *nats.Msg) error {
	_, err := b.control.js.PublishMsg(ctx, m)
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(m.Data), b.maxPayload)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

// ConsumeCommands delivers the commands to partition p above sequence after,
// in order and one at a time.
func (b *Bus) ConsumeCommands(ctx context.Context, p int, after uint64, handle func(seq uint64, data []byte)) (stop func(), err error) {
	filter := inPrefix + strconv.Itoa(p) + ".>"
	return b.consume(ctx, inStream(p), filter, after, func(seq uint64, _ time.Time, m jetstream.Msg) {
		handle(seq, m.Data())
	})
}

// LastCommandSequence is the end of IN_<p>, from its leader.
func (b *Bus) LastCommandSequence(ctx context.Context, p int) (uint64, error) {
	return b.lastSequence(ctx, inStream(p))
}

// PurgeCommands removes the consumed commands of partition p.
func (b *Bus) PurgeCommands(ctx context.Context, p int, upTo uint64) error {
	return b.purge(ctx, inStream(p), upTo)
}

func (b *Bus) purge(ctx context.Context, name string, upTo uint64) error {
	_, err := query(ctx, func(ctx context.Context) (struct{}, error) {
		stream, err := b.control.js.Stream(ctx, name)
		if err == nil {
			err = stream.Purge(ctx, jetstream.WithPurgeSequence(upTo+1))
		}
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("purge %s up to %d: %w", name, upTo, err)
	}
	return nil
}

// isWrongSequence tells a lost compare-and-set from other errors.
func isWrongSequence(err error) bool {
	var apiErr *jetstream.APIError
	return errors.As(err, &apiErr) && apiErr.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		errors.Is(err, jetstream.ErrKeyExists)
}
