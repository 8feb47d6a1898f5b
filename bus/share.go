package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// shareWait is after what time an event that nobody has finished is handed to
	// someone else; handling it ends shareMargin before.
	shareWait   = 15 * time.Second
	shareMargin = time.Second
	// The pause before an event whose handling failed comes again.
	shareRetry    = 250 * time.Millisecond
	maxShareRetry = 15 * time.Second
)

// Share says how events are shared.
type Share struct {
	Name     string // of all who share
	Parallel int    // events that a process handles at the same time
	// Line, if set, names the line in which an event stands, "" for none: those of
	// one line are handled one after the other, in their order.
	Line   func(d *Delivery) string
	Handle func(ctx context.Context, d *Delivery) error
}

// ShareEvents hands each event to one of all processes that share under the
// name, at least once. The first call with a name begins behind the last event;
// what was not finished when all processes were gone is handed out when one is
// back. An event is finished when Handle returns nil; after an error it comes
// again, later each time, and not in its line any more. stop hands out no more,
// and waits until no Handle runs.
func (b *Bus) ShareEvents(ctx context.Context, how Share) (stop func(), err error) {
	consumer, err := query(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return b.control.js.CreateOrUpdateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
			Durable: how.Name, DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: shareWait, MaxDeliver: -1, MaxAckPending: shareAhead * how.Parallel,
		})
	})
	if err != nil {
		return nil, fmt.Errorf("share %s: %w", eventsStream, err)
	}
	s := &share{Share: how, bus: b, places: make(chan struct{}, how.Parallel), lines: map[string]chan struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	consuming, err := consumer.Consume(s.message,
		jetstream.PullMaxMessages(shareAhead*how.Parallel),
		jetstream.PullHeartbeat(consumerHeartbeat),
		jetstream.PullExpiry(pullExpiry),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			b.log.Debug("shared consumer is interrupted", "stream", eventsStream, "error", err)
		}),
	)
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("share %s: %w", eventsStream, err)
	}
	return func() {
		s.close()
		consuming.Drain() // what has come by now is given back
		select {
		case <-consuming.Closed():
		case <-time.After(shareMargin): // without a connection it takes its time
		}
	}, nil
}

// shareAhead is how many events wait in a process for each that is handled.
const shareAhead = 4

// share is one process's part of a shared consumer.
type share struct {
	Share
	bus    *Bus
	places chan struct{} // taken by events that are handled, or wait in a line
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // held while ctx ends: then nothing more begins to run
	running sync.WaitGroup
	lines   map[string]chan struct{} // closed when the last of the line is handled
}

// close ends what is being handled. What that leaves unfinished is handed out
// again.
func (s *share) close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.running.Wait()
}

// message handles a message as soon as there is a place, and its line has come to
// it. It is called for one after the other.
func (s *share) message(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		s.bus.log.Error("message without metadata", "stream", eventsStream, "error", err)
		return
	}
	seq := meta.Sequence.Stream
	s.bus.SawEvent(seq)
	d, err := delivery(seq, meta.Timestamp, m.Subject(), m.Headers(), m.Data())
	if err != nil {
		s.bus.foreignMessage(seq, err)
		s.finish(m, m.Term)
		return
	}
	select {
	case s.places <- struct{}{}:
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		s.finish(m, m.Nak)
		return
	}
	before, leave := s.line(d)
	s.running.Go(func() {
		defer func() { <-s.places }()
		defer leave()
		if before != nil {
			<-before
		}
		s.take(m, d, meta.NumDelivered)
	})
}

// line puts an event into its line: before is closed when it is its turn, nil for
// at once. mu is held.
func (s *share) line(d *Delivery) (before chan struct{}, leave func()) {
	if s.Line == nil {
		return nil, func() {}
	}
	name := s.Line(d)
	if name == "" {
		return nil, func() {}
	}
	before = s.lines[name]
	done := make(chan struct{})
	s.lines[name] = done
	return before, func() {
		close(done)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lines[name] == done {
			delete(s.lines, name)
		}
	}
}

func (s *share) take(m jetstream.Msg, d *Delivery, tries uint64) {
	ctx, cancel := context.WithTimeout(s.ctx, shareWait-shareMargin)
	defer cancel()
	if err := s.Handle(ctx, d); err != nil {
		if s.ctx.Err() == nil {
			s.bus.log.Warn("event is handled again later", "event", d.Name, "seq", d.Seq, "tries", tries, "error", err)
		}
		pause := retryShared(tries)
		if s.ctx.Err() != nil {
			pause = 0 // others may do better
		}
		s.finish(m, func() error { return m.NakWithDelay(pause) })
		return
	}
	s.finish(m, m.Ack)
}

// finish tells the server what became of a message. If it does not hear of it,
// the event comes again.
func (s *share) finish(m jetstream.Msg, tell func() error) {
	if err := tell(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		s.bus.log.Debug("event is not acknowledged: it comes again", "subject", m.Subject(), "error", err)
	}
}

// retryShared is the pause after so many tries.
func retryShared(tries uint64) time.Duration {
	pause := shareRetry
	for ; tries > 1 && pause < maxShareRetry; tries-- {
		pause *= 2
	}
	return min(pause, maxShareRetry)
}
