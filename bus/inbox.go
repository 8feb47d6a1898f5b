package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SendCommand stores a command in IN_<partition> and returns when it is
// durable. id makes repeated sends within two minutes one message; what comes
// later is recognised by the receiver. So is a command that no message holds, which
// is stored in parts, anew each time.
func (b *Bus) SendCommand(ctx context.Context, partition int, kind, id string, data []byte) error {
	subject := inPrefix + strconv.Itoa(partition) + "." + kind + "." + EscapeSubject(id)
	m := &nats.Msg{Subject: subject, Header: nats.Header{nats.MsgIdHdr: {kind + ":" + id}}}
	if err := b.storeInParts(ctx, m, strconv.FormatUint(rand.Uint64(), 36), data); err != nil {
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
// in order and one at a time. seq is that of a command's last message; upTo is
// where to go on from later: parts of others that are not complete yet may stand
// before seq. Who begins after upTo gets those, and perhaps this one again.
func (b *Bus) ConsumeCommands(ctx context.Context, p int, after uint64, handle func(seq, upTo uint64, data []byte)) (stop func(), err error) {
	filter := inPrefix + strconv.Itoa(p) + ".>"
	x := inbox{}
	return b.consume(ctx, inStream(p), filter, after, func(seq uint64, at time.Time, m jetstream.Msg) {
		data, complete, err := x.add(seq, at, m.Headers(), m.Data())
		if err != nil {
			b.log.Error("part of a command cannot be read; it is left out", "partition", p, "seq", seq, "error", err)
		}
		if complete {
			handle(seq, x.upTo(seq), data)
		}
	})
}

// partsWithin is how long the parts of a command may take to come. A sender gives up
// before.
const partsWithin = 10 * time.Minute

// inbox puts commands together from their parts, by their senders' writers.
type inbox map[string]*parts

// parts are what has come of a command.
type parts struct {
	assembler
	first uint64 // sequence
	began time.Time
}

func (x inbox) add(seq uint64, at time.Time, header nats.Header, data []byte) (command []byte, complete bool, err error) {
	for writer, p := range x {
		if at.Sub(p.began) > partsWithin {
			delete(x, writer) // its sender has sent it again, or died and another one has
		}
	}
	chunk := header.Get(headerChunk)
	if chunk == "" {
		return data, true, nil
	}
	writer := header.Get(headerWriter)
	p := x[writer]
	if p == nil {
		p = &parts{first: seq, began: at}
		x[writer] = p
	}
	command, complete, err = p.add(chunk, data)
	if complete || err != nil || p.have == 0 {
		delete(x, writer)
	}
	return command, complete, err
}

// upTo is the sequence up to which nothing is left to come, when seq has come.
func (x inbox) upTo(seq uint64) uint64 {
	for _, p := range x {
		seq = min(seq, p.first-1)
	}
	return seq
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
