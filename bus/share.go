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
	// someone else.
	shareWait = time.Minute
	// The pause before an event whose handling failed comes again.
	shareRetry    = 250 * time.Millisecond
	maxShareRetry = 15 * time.Second
)

// ShareEvents hands each event to one of all processes that share under the
// name, at least once, up to parallel of them at the same time and in no order.
// The first call with a name begins behind the last event; what was not finished
// when all processes were gone is handed out when one is back. An event is
// finished when handle returns nil; after an error it comes again, later each
// time. stop hands out no more, and waits until no handle runs.
func (b *Bus) ShareEvents(ctx context.Context, name string, parallel int, handle func(context.Context, *Delivery) error) (stop func(), err error) {
	consumer, err := query(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return b.control.js.CreateOrUpdateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
			Durable: name, DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: shareWait, MaxDeliver: -1, MaxAckPending: shareAhead * parallel,
		})
	})
	if err != nil {
		return nil, fmt.Errorf("share %s: %w", eventsStream, err)
	}
	s := &share{bus: b, handle: handle, places: make(chan struct{}, parallel)}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	consuming, err := consumer.Consume(s.message,
		jetstream.PullMaxMessages(shareAhead*parallel),
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
		consuming.Stop()
		s.close()
	}, nil
}

// shareAhead is how many events wait in a process for each that is handled.
const shareAhead = 4

// share is one process's part of a shared consumer.
type share struct {
	bus    *Bus
	handle func(context.Context, *Delivery) error
	places chan struct{} // taken by events that are handled
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// close ends what is being handled. What that leaves unfinished is handed out
// again.
func (s *share) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
}

// message handles a message as soon as there is a place.
func (s *share) message(m jetstream.Msg) {
	select {
	case s.places <- struct{}{}:
	case <-s.ctx.Done():
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.running.Go(func() {
		defer func() { <-s.places }()
		s.take(m)
	})
}

func (s *share) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		s.bus.log.Error("message without metadata", "stream", eventsStream, "error", err)
		return
	}
	seq := meta.Sequence.Stream
	s.bus.sawEvent(seq)
	d, err := delivery(seq, meta.Timestamp, m.Subject(), m.Headers(), m.Data())
	if err != nil {
		s.bus.foreignMessage(seq, err)
		s.finish(m, m.Term)
		return
	}
	if err := s.handle(s.ctx, d); err != nil {
		if s.ctx.Err() == nil {
			s.bus.log.Warn("event is handled again later", "event", d.Name, "seq", seq, "tries", meta.NumDelivered, "error", err)
		}
		s.finish(m, func() error { return m.NakWithDelay(retryShared(meta.NumDelivered)) })
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
