package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrFenced is what appends return after another owner took the log over.
var ErrFenced = errors.New("log has another owner")

// ErrLogUnknown is what appends return when it is unknown whether they were
// stored: the owner must reload the log and must not append blindly again.
var ErrLogUnknown = errors.New("log append was not acknowledged")

const (
	headerExpected = "Nats-Expected-Last-Sequence"
	// headerChunk marks a part of a record larger than a message: "<i>/<n>".
	headerChunk = "Jetstep-Chunk"
	// chunkRoom is kept free in a message for headers and framing.
	chunkRoom = 4 << 10
	// wrongLastSequence is JetStream's code of a failed fence.
	wrongLastSequence = "10071"
)

// Log is the append-only log of one partition, as its single writer sees it.
// Appends are pipelined; each carries the sequence it expects to follow, so
// that after a refusal nothing later can be stored: the log has no holes.
type Log struct {
	bus       *Bus
	partition int
	stream    string
	reply     string
	sub       *nats.Subscription

	mu      sync.Mutex
	next    uint64 // sequence of the next message
	pending []pendingAppend
	broken  error
}

// pendingAppend is a message that waits for its acknowledgement; done is nil
// on all but the last part of a record.
type pendingAppend struct {
	seq  uint64
	sent time.Time
	done func(seq uint64, err error)
}

// OpenLog prepares partition p's log for reading and appending. Call Replay
// before the first Append: it tells where the log ends.
func (b *Bus) OpenLog(p int) (*Log, error) {
	l := &Log{bus: b, partition: p, stream: logStream(p), reply: nats.NewInbox()}
	sub, err := b.logs.nc.Subscribe(l.reply, l.acknowledge)
	if err != nil {
		return nil, fmt.Errorf("log %d: %w", p, err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("log %d: %w", p, err)
	}
	l.sub = sub
	return l, nil
}

// Close stops listening for acknowledgements; appends in flight end with
// ErrLogUnknown.
func (l *Log) Close() {
	_ = l.sub.Unsubscribe() // the connection may be closed already: nothing to undo
	l.fail(ErrLogUnknown)
}

// Append stores one record and calls done, in order of the appends, when it
// is durable or not. key makes the record's subject (a run id, or "_").
func (l *Log) Append(key string, data []byte, done func(seq uint64, err error)) {
	l.mu.Lock()
	if l.broken != nil {
		err := l.broken
		l.mu.Unlock()
		done(0, err)
		return
	}
	err := l.send(key, data, done)
	l.mu.Unlock()
	if err != nil {
		l.fail(fmt.Errorf("%w: %w", ErrLogUnknown, err))
	}
}

func (l *Log) send(key string, data []byte, done func(uint64, error)) error {
	subject := logPrefix + strconv.Itoa(l.partition) + "." + key
	size := l.bus.maxPayload - chunkRoom
	parts := (len(data) + size - 1) / size
	for i := range max(parts, 1) {
		m := &nats.Msg{Subject: subject, Reply: l.reply, Data: data,
			Header: nats.Header{headerExpected: {strconv.FormatUint(l.next-1, 10)}}}
		part := pendingAppend{seq: l.next, sent: time.Now(), done: done}
		if parts > 1 {
			m.Data = data[i*size : min((i+1)*size, len(data))]
			m.Header[headerChunk] = []string{fmt.Sprintf("%d/%d", i+1, parts)}
			if i+1 < parts {
				part.done = nil
			}
		}
		l.pending = append(l.pending, part)
		l.next++
		if err := l.bus.logs.nc.PublishMsg(m); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) acknowledge(m *nats.Msg) {
	seq, err := parseAck(m)
	if err != nil {
		var refused ackError
		if errors.As(err, &refused) && refused.Code == wrongLastSequence {
			err = fmt.Errorf("%w: %w", ErrFenced, err)
		} else {
			err = fmt.Errorf("%w: %w", ErrLogUnknown, err)
		}
		l.fail(err)
		return
	}
	l.mu.Lock()
	if len(l.pending) == 0 || l.pending[0].seq != seq {
		l.mu.Unlock()
		l.fail(fmt.Errorf("%w: acknowledgement of unexpected sequence %d", ErrLogUnknown, seq))
		return
	}
	done := l.pending[0].done
	l.pending[0].done = nil
	l.pending = l.pending[1:]
	l.mu.Unlock()
	if done != nil {
		done(seq, nil)
	}
}

// fail breaks the log for this writer: every append in flight and every later
// one ends with err.
func (l *Log) fail(err error) {
	l.mu.Lock()
	if l.broken == nil {
		l.broken = err
	}
	err = l.broken
	pending := l.pending
	l.pending = nil
	l.mu.Unlock()
	for _, p := range pending {
		if p.done != nil {
			p.done(0, err)
		}
	}
}

// Stalled fails the log when its oldest append has waited longer than limit
// for an acknowledgement, and tells whether it did.
func (l *Log) Stalled(limit time.Duration) bool {
	l.mu.Lock()
	late := len(l.pending) > 0 && time.Since(l.pending[0].sent) > limit
	l.mu.Unlock()
	if late {
		l.fail(fmt.Errorf("%w in %s", ErrLogUnknown, limit))
	}
	return late
}

// End is the sequence of the last message appended or replayed.
func (l *Log) End() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next - 1
}

// Bounds are the log's first and last sequence, from the stream's leader.
func (l *Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	stream, err := l.bus.control.js.Stream(ctx, l.stream)
	if err != nil {
		return 0, 0, fmt.Errorf("log %d: %w", l.partition, err)
	}
	state := stream.CachedInfo().State
	return state.FirstSeq, state.LastSeq, nil
}

// Replay calls apply for each whole record in order, with the sequence of its
// last message, and positions the writer behind the last one. A record whose
// parts are incomplete (its writer died) is left out.
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
	l.next = last + 1
	l.mu.Unlock()
	return nil
}

func (l *Log) read(ctx context.Context, first, last uint64, apply func(uint64, []byte) error) error {
	var parts []byte
	var have int
	return l.bus.readStream(ctx, l.stream, "", first, last, func(seq uint64, m jetstream.Msg) error {
		chunk := m.Headers().Get(headerChunk)
		if chunk == "" {
			parts, have = nil, 0
			return apply(seq, m.Data())
		}
		i, n, err := parseChunk(chunk)
		if err != nil {
			return fmt.Errorf("sequence %d: %w", seq, err)
		}
		if i == 1 {
			parts, have = nil, 0
		}
		if have++; i != have {
			return nil // the tail of a record whose head is gone
		}
		parts = append(parts, m.Data()...)
		if i < n {
			return nil
		}
		data := parts
		parts, have = nil, 0
		return apply(seq, data)
	})
}

func parseChunk(s string) (i, n int, err error) {
	a, b, ok := strings.Cut(s, "/")
	if ok {
		if i, err = strconv.Atoi(a); err == nil {
			n, err = strconv.Atoi(b)
		}
	}
	if !ok || err != nil || i < 1 || i > n {
		return 0, 0, fmt.Errorf("bad chunk header %q", s)
	}
	return i, n, nil
}

// Purge removes every message up to and including upTo.
func (l *Log) Purge(ctx context.Context, upTo uint64) error {
	return l.bus.purge(ctx, l.stream, upTo)
}

func (b *Bus) purge(ctx context.Context, name string, upTo uint64) error {
	stream, err := b.control.js.Stream(ctx, name)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSequence(upTo+1))
	}
	if err != nil {
		return fmt.Errorf("purge %s up to %d: %w", name, upTo, err)
	}
	return nil
}
