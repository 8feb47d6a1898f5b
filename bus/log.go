package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrFenced is what appends return after another owner took the log over.
var ErrFenced = errors.New("log has another owner")

// ErrLogUnknown is what appends return when it is unknown whether they were
// stored: the owner must reload the log and must not append blindly again.
var ErrLogUnknown = errors.New("log append was not acknowledged")

var (
	errNotReplayed = errors.New("the log's end is not known before it was replayed")
	errLogClosed   = errors.New("the log was closed")
)

const (
	headerExpected = "Nats-Expected-Last-Sequence"
	// codeWrongSequence is JetStream's code of a failed fence.
	codeWrongSequence = "10071"
)

// Log is the append-only log of one partition, as its single writer sees it.
// Appends are pipelined; each carries the sequence it expects to follow and the
// name of its writer, so that after a refusal nothing later is part of the log:
// it has no holes (see lineage).
type Log struct {
	bus       *Bus
	partition int
	stream    string
	prefix    string // of the records' subjects
	reply     string
	sub       *nats.Subscription

	mu       sync.Mutex
	next     uint64   // sequence of the next message, 0 before Replay
	known    uint64   // last sequence replayed or acknowledged as the log's
	stray    []uint64 // sequences replayed as not the log's, in order
	pending  []pendingAppend
	broken   error
	reported chan struct{} // closed when no failure waits to be reported

	// The message being sent, whose header values are changed in place.
	msg                     nats.Msg
	expected, writer, chunk [1]string

	// reporting is held while done functions run, which keeps their order.
	reporting sync.Mutex
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
	if err := b.storage.failed(logStream(p)); err != nil {
		return nil, fmt.Errorf("log %d: %w", p, err)
	}
	l := &Log{
		bus:       b,
		partition: p,
		stream:    logStream(p),
		prefix:    logPrefix + strconv.Itoa(p) + ".",
		reply:     nats.NewInbox(),
	}
	l.msg = nats.Msg{Reply: l.reply, Header: nats.Header{headerExpected: l.expected[:], headerWriter: l.writer[:]}}
	sub, err := b.logs.nc.Subscribe(l.reply, l.acknowledge)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err != nil {
		return nil, fmt.Errorf("log %d: %w", p, err)
	}
	l.sub = sub
	b.openLogs.add(l)
	return l, nil
}

// Close stops listening for acknowledgements and returns when appends in
// flight have ended with ErrLogUnknown. It must not be called by a done
// function.
func (l *Log) Close() {
	l.bus.openLogs.remove(l)
	_ = l.sub.Unsubscribe() // the connection may be closed already: nothing to undo
	l.fail(fmt.Errorf("%w: %w", ErrLogUnknown, errLogClosed))
	l.mu.Lock()
	reported := l.reported
	l.mu.Unlock()
	if reported != nil {
		<-reported
	}
}

// Append stores one record. done is called when it is durable or will not be
// known to be: in order of the appends, one at a time, never by Append itself.
// key makes the record's subject (a run id, or "_").
func (l *Log) Append(key string, data []byte, done func(seq uint64, err error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil && l.next == 0 {
		l.broken = errNotReplayed
	}
	if l.broken != nil {
		l.pending = append(l.pending, pendingAppend{done: done})
		l.reportBroken()
		return
	}
	if err := l.send(key, data, done); err != nil {
		l.broken = fmt.Errorf("%w: %w", ErrLogUnknown, err)
		l.reportBroken()
	}
}

// send publishes the messages of a record. mu is held.
func (l *Log) send(key string, data []byte, done func(uint64, error)) error {
	l.msg.Subject = l.prefix + key
	now := time.Now()
	parts := chunks(len(data), l.bus.chunkSize())
	for i := range parts {
		l.expected[0] = strconv.FormatUint(l.next-1, 10)
		part := pendingAppend{seq: l.next, sent: now}
		if l.msg.Data = data; parts > 1 {
			l.msg.Data, l.chunk[0] = l.bus.part(data, i, parts)
			l.msg.Header[headerChunk] = l.chunk[:]
		}
		if i+1 == parts {
			part.done = done
		}
		l.pending = append(l.pending, part)
		l.next++
		if err := l.bus.logs.nc.PublishMsg(&l.msg); err != nil {
			return err
		}
	}
	delete(l.msg.Header, headerChunk)
	l.msg.Data = nil
	return nil
}

func (l *Log) acknowledge(m *nats.Msg) {
	seq, err := parseAck(m)
	if err != nil {
		var refused ackError
		if errors.As(err, &refused) && refused.Code == codeWrongSequence {
			err = fmt.Errorf("%w: %w", ErrFenced, err)
		} else {
			err = fmt.Errorf("%w: %w", ErrLogUnknown, err)
		}
		l.fail(err)
		return
	}
	l.reporting.Lock()
	defer l.reporting.Unlock()
	done, err := l.acknowledged(seq)
	if err != nil {
		l.fail(err)
	}
	if done != nil {
		done(seq, nil)
	}
}

// acknowledged takes the oldest append off the list.
func (l *Log) acknowledged(seq uint64) (done func(uint64, error), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return nil, nil // reported as failed
	}
	if len(l.pending) == 0 || l.pending[0].seq != seq {
		return nil, fmt.Errorf("%w: acknowledgement of unexpected sequence %d", ErrLogUnknown, seq)
	}
	l.known = seq
	done = l.pending[0].done
	l.pending[0] = pendingAppend{}
	l.pending = l.pending[1:]
	return done, nil
}

// fail breaks the log for this writer: every append in flight and every later
// one ends with the first error.
func (l *Log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = err
	}
	l.reportBroken()
}

// reportBroken sees to it that what is pending is told of the failure, by a
// goroutine of its own: callers hold locks that done functions may want. mu is
// held.
func (l *Log) reportBroken() {
	if l.reported != nil || len(l.pending) == 0 {
		return
	}
	reported := make(chan struct{})
	l.reported = reported
	go func() {
		defer close(reported)
		l.reporting.Lock()
		defer l.reporting.Unlock()
		for l.reportSome() {
		}
	}()
}

func (l *Log) reportSome() bool {
	l.mu.Lock()
	pending, err := l.pending, l.broken
	l.pending = nil
	if len(pending) == 0 {
		l.reported = nil
	}
	l.mu.Unlock()
	for _, p := range pending {
		if p.done != nil {
			p.done(0, err)
		}
	}
	return len(pending) > 0
}

// disconnected fails the log if appends are in flight: their acknowledgements
// went to the lost connection.
func (l *Log) disconnected(err error) {
	l.mu.Lock()
	waiting := len(l.pending) > 0
	l.mu.Unlock()
	if waiting {
		l.fail(fmt.Errorf("%w: connection lost: %w", ErrLogUnknown, err))
	}
}

// Stalled fails the log when its oldest append has waited longer than limit
// for an acknowledgement, and tells whether it did.
func (l *Log) Stalled(limit time.Duration) bool {
	l.mu.Lock()
	late := l.broken == nil && len(l.pending) > 0 && time.Since(l.pending[0].sent) > limit
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
	return max(l.next, 1) - 1
}

// Bounds are the log's first and last sequence, from the stream's leader.
func (l *Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	info, err := l.bus.findStream(ctx, l.stream)
	if err != nil {
		return 0, 0, fmt.Errorf("log %d: %w", l.partition, err)
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}

// Purge removes the log's messages up to and including upTo, but never its
// last one: readers take the first message that they find for the log's.
func (l *Log) Purge(ctx context.Context, upTo uint64) error {
	l.mu.Lock()
	upTo = purgeable(upTo, l.known, l.stray)
	l.mu.Unlock()
	if upTo == 0 {
		return nil
	}
	return l.bus.purge(ctx, l.stream, upTo)
}

// purgeable is the last sequence to purge when upTo is wanted: so that a
// message remains which is known to be the log's, and no stray one is first.
func purgeable(upTo, known uint64, stray []uint64) uint64 {
	upTo = min(upTo, max(known, 1)-1)
	i, _ := slices.BinarySearch(stray, upTo+1)
	for ; i < len(stray) && stray[i] == upTo+1; i++ {
		upTo++
	}
	return upTo
}
