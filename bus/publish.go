package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrNotDurable is wrapped by errors of Publish when it is unknown whether
// every event was stored; publishing them again is safe for runs, since event
// ids make them idempotent.
var ErrNotDurable = errors.New("not acknowledged by jetstream")

// publishTimeout bounds the wait for acknowledgements.
const publishTimeout = 10 * time.Second

// publisher publishes messages of EVENTS and waits for many acknowledgements
// with one reply subject for a whole call.
type publisher struct {
	bus    *Bus
	prefix string // reply subject without the call's token
	next   atomic.Uint64
	calls  sync.Map // token → *publishCall
}

// publishCall collects the acknowledgements of one Publish.
type publishCall struct {
	left   atomic.Int64
	failed atomic.Pointer[string]
	last   atomic.Uint64
	done   chan struct{}
}

func newPublisher(b *Bus) (*publisher, error) {
	p := &publisher{bus: b, prefix: nats.NewInbox() + "."}
	sub, err := b.events.nc.Subscribe(p.prefix+"*", p.acknowledge)
	if err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	return p, nil
}

// Publish stores the events in EVENTS and returns when all are durable. On
// an error some may have been stored.
func (b *Bus) Publish(ctx context.Context, events []*Event) error {
	if len(events) == 0 {
		return nil
	}
	return b.publisher.publish(ctx, events)
}

func (p *publisher) publish(ctx context.Context, events []*Event) error {
	token := strconv.FormatUint(p.next.Add(1), 36)
	call := &publishCall{done: make(chan struct{})}
	call.left.Store(int64(len(events)))
	p.calls.Store(token, call)
	defer p.calls.Delete(token)

	reply := p.prefix + token
	for _, e := range events {
		if err := p.bus.events.nc.PublishMsg(p.bus.eventMessage(e, reply)); err != nil {
			return fmt.Errorf("publish event %s: %w", e.Name, err)
		}
	}
	timeout := time.NewTimer(publishTimeout)
	defer timeout.Stop()
	select {
	case <-call.done:
	case <-timeout.C:
		return fmt.Errorf("%d of %d events: %w in %s", call.left.Load(), len(events), ErrNotDurable, publishTimeout)
	case <-ctx.Done():
		return fmt.Errorf("%d of %d events: %w: %w", call.left.Load(), len(events), ErrNotDurable, context.Cause(ctx))
	}
	if why := call.failed.Load(); why != nil {
		return fmt.Errorf("events: %w: %s", ErrNotDurable, *why)
	}
	return nil
}

func (b *Bus) eventMessage(e *Event, reply string) *nats.Msg {
	header := nats.Header{HeaderEventID: {e.InternalID.String()}}
	if e.Source != nil {
		header[HeaderSource] = []string{strconv.Itoa(e.Source.From) + "." + strconv.FormatUint(e.Source.N, 10)}
	}
	if e.Seeded {
		header[HeaderSeeded] = []string{"1"}
	}
	return &nats.Msg{
		Subject: EventSubject(PartitionOf(e.Name, b.partitions), e.Name),
		Reply:   reply,
		Header:  header,
		Data:    e.AppendJSON(make([]byte, 0, len(e.Data)+len(e.Name)+160), false),
	}
}

// acknowledge takes one PubAck. The happy form is scanned, not unmarshalled:
// there is one for each event.
func (p *publisher) acknowledge(m *nats.Msg) {
	value, ok := p.calls.Load(strings.TrimPrefix(m.Subject, p.prefix))
	if !ok {
		return
	}
	call := value.(*publishCall)
	seq, err := parseAck(m)
	if err != nil {
		why := err.Error()
		call.failed.Store(&why)
	} else {
		p.bus.sawEvent(seq)
		call.last.Store(seq)
	}
	if call.left.Add(-1) == 0 {
		close(call.done)
	}
}

// parseAck reads a PubAck's sequence, or its error.
func parseAck(m *nats.Msg) (uint64, error) {
	if len(m.Data) == 0 {
		if status := m.Header.Get("Status"); status != "" {
			return 0, ackError{Code: status, Description: m.Header.Get("Description")}
		}
		return 0, errors.New("empty acknowledgement")
	}
	const key = `"seq":`
	if i := bytes.Index(m.Data, []byte(key)); i >= 0 && !bytes.Contains(m.Data, []byte(`"error"`)) {
		var seq uint64
		for _, c := range bytes.TrimLeft(m.Data[i+len(key):], " ") {
			if c < '0' || c > '9' {
				break
			}
			seq = seq*10 + uint64(c-'0')
		}
		return seq, nil
	}
	var ack struct {
		Error struct {
			Code        int    `json:"code"`
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("acknowledgement %q: %w", m.Data, err)
	}
	return 0, ackError{Code: strconv.Itoa(ack.Error.ErrCode), Description: ack.Error.Description}
}

// ackError is JetStream's refusal of a message.
type ackError struct{ Code, Description string }

func (e ackError) Error() string {
	return fmt.Sprintf("refused by jetstream: %s (%s)", e.Description, e.Code)
}
