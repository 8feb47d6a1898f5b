package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"
)

// ErrNotDurable is wrapped by errors of Publish when it is unknown whether
// every event was stored; publishing them again is safe for runs, since event
// ids make them idempotent.
var ErrNotDurable = errors.New("not acknowledged by jetstream")

// ErrTooLarge is wrapped by errors of Publish for an event that does not fit into
// one NATS message; nothing was stored.
var ErrTooLarge = errors.New("larger than nats accepts")

var errNoAnswer = fmt.Errorf("no answer in %s", publishTimeout)

const (
	// publishTimeout bounds the wait for acknowledgements.
	publishTimeout = 10 * time.Second
	// windowEvents and windowCost bound what one call has under way at once.
	windowEvents = 1000
	windowCost   = 16 << 20

	// A stream's inbound queue takes 128 MiB or 100,000 messages and drops what
	// comes beyond (jetstream-facts §1). What this process has under way stays
	// below half of both: each message counts its size plus messageCost.
	publishBudget = 64 << 20
	messageCost   = 1 << 10
)

// publisher publishes messages of EVENTS, each acknowledged by itself: fast
// ingest, with one acknowledgement for a batch, measured no faster in batches
// up to 1000, since storing takes most of the time, and it may count messages
// that were not stored. The acknowledgements of a call come to one subject,
// which names the call.
type publisher struct {
	bus      *Bus
	nc       *nats.Conn
	prefix   string // reply subject without the call's token
	budget   *semaphore.Weighted
	encoders sync.Pool
	next     atomic.Uint64

	mu    sync.Mutex
	calls map[string]*publishCall
}

// publishCall collects the acknowledgements of one window of events. All its
// fields but done belong to the goroutine that receives acknowledgements.
type publishCall struct {
	left int // acknowledgements to come
	last uint64
	done chan error
}

// end tells the caller the outcome; only the first counts.
func (c *publishCall) end(err error) {
	select {
	case c.done <- err:
	default:
	}
}

func newPublisher(b *Bus) (*publisher, error) {
	p := &publisher{
		bus:    b,
		nc:     b.events.nc,
		prefix: nats.NewInbox() + ".",
		budget: semaphore.NewWeighted(publishBudget),
		calls:  map[string]*publishCall{},
	}
	p.encoders.New = func() any { return newEventEncoder(b.partitions) }
	sub, err := p.nc.Subscribe(p.prefix+"*", p.acknowledge)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	return p, nil
}

// Publish stores the events in EVENTS, in their order, and returns when all
// are durable. On an error that wraps ErrNotDurable some may have been stored;
// on any other none was.
func (b *Bus) Publish(ctx context.Context, events []*Event) error {
	for _, e := range events {
		if err := b.publishable(e); err != nil {
			return err
		}
	}
	if err := b.storage.failed(eventsStream); err != nil {
		return fmt.Errorf("publish %d events: %w", len(events), err)
	}
	for rest := events; len(rest) > 0; {
		n, cost := window(rest)
		if err := b.publisher.Load().publish(ctx, rest[:n], cost); err != nil {
			if len(rest) < len(events) && !errors.Is(err, ErrNotDurable) {
				err = fmt.Errorf("%w: %w", ErrNotDurable, err)
			}
			return fmt.Errorf("publish %d events: %w", len(events), err)
		}
		rest = rest[n:]
	}
	return nil
}

// window tells how many events to send before waiting for acknowledgements,
// and what they cost.
func window(events []*Event) (n int, cost int64) {
	for n < len(events) && n < windowEvents {
		more := int64(events[n].maxSize() + messageCost)
		if n > 0 && cost+more > windowCost {
			break
		}
		n, cost = n+1, cost+more
	}
	return n, min(cost, publishBudget)
}

// publishable refuses what can never be stored, before anything is sent.
func (b *Bus) publishable(e *Event) error {
	if e.Name == "" {
		return errors.New("publish event: the name is empty")
	}
	if size := e.maxSize() + eventHeaderRoom; size > b.maxPayload {
		if size = len(e.JSON()) + eventHeaderRoom; size > b.maxPayload {
			return fmt.Errorf("publish event %s: %w: %d bytes, at most %d", e.Name, ErrTooLarge, size, b.maxPayload)
		}
	}
	return nil
}

// publish sends one window and waits for its acknowledgements.
func (p *publisher) publish(ctx context.Context, events []*Event, cost int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, errNoAnswer)
	defer cancel()
	if err := p.budget.Acquire(ctx, cost); err != nil {
		return fmt.Errorf("too much is being published: %w", context.Cause(ctx))
	}
	defer p.budget.Release(cost)

	token, call := p.begin(len(events))
	defer p.forget(token)
	encoder := p.encoders.Get().(*eventEncoder)
	defer p.encoders.Put(encoder)
	encoder.registry[0] = ""
	if news := p.bus.news(); news > 0 {
		encoder.registry[0] = strconv.FormatUint(news, 10)
	}
	reply := p.prefix + token
	for i, e := range events {
		if err := p.nc.PublishMsg(encoder.message(e, reply)); err != nil {
			return sendError(i, err)
		}
	}
	return call.wait(ctx)
}

// sendError is the error for a message that the connection did not take after
// sent others.
func sendError(sent int, err error) error {
	if sent > 0 {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return err
}

// begin registers a call under a token of its own.
func (p *publisher) begin(events int) (string, *publishCall) {
	token := strconv.FormatUint(p.next.Add(1), 36)
	call := &publishCall{left: events, done: make(chan error, 1)}
	p.mu.Lock()
	p.calls[token] = call
	p.mu.Unlock()
	return token, call
}

func (p *publisher) forget(token string) {
	p.mu.Lock()
	delete(p.calls, token)
	p.mu.Unlock()
}

func (c *publishCall) wait(ctx context.Context) error {
	select {
	case err := <-c.done:
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotDurable, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotDurable, context.Cause(ctx))
	}
}

// acknowledge takes what JetStream answers to a message.
func (p *publisher) acknowledge(m *nats.Msg) {
	p.mu.Lock()
	call := p.calls[m.Subject[len(p.prefix):]]
	p.mu.Unlock()
	if call == nil {
		return // its caller has given up
	}
	seq, err := parseAck(m)
	if err != nil {
		call.end(err)
		return
	}
	call.last = max(call.last, seq)
	if call.left--; call.left == 0 {
		p.bus.SawEvent(call.last)
		call.end(nil)
	}
}

// failAll ends the calls in flight, whose acknowledgements will not come.
func (p *publisher) failAll(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, call := range p.calls {
		call.end(err)
	}
}
