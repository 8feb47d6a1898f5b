package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// ErrNobodyAnswers is wrapped by errors of Ask when no process serves the
// partition at the moment.
var ErrNobodyAnswers = errors.New("no process answers for the partition")

// askPrefix is of the subjects on which owners answer other processes. Nothing
// there is durable: what must be is decided, and stored, by the owner.
const askPrefix = "jetstep.ask."

const (
	// maxAsked bounds how many requests of one partition are answered at once.
	maxAsked = 256
	// maxAsking bounds how many requests of several messages are on their way to
	// a partition: that of who died in the middle is forgotten then.
	maxAsking = 64
)

// Answer serves requests to partition p until stop is called. answer runs
// concurrently.
func (b *Bus) Answer(p int, answer func(request []byte) []byte) (stop func(), err error) {
	room := make(chan struct{}, maxAsked)
	asking := asking{}
	sub, err := b.control.nc.Subscribe(askPrefix+strconv.Itoa(p), func(m *nats.Msg) {
		request, complete, err := asking.add(m)
		if err != nil {
			b.log.Warn("request of another process cannot be read", "partition", p, "error", err)
		}
		if !complete {
			return
		}
		room <- struct{}{}
		go func() {
			defer func() { <-room }()
			if err := b.inParts(&nats.Msg{Subject: m.Reply}, answer(request)); err != nil {
				b.log.Warn("answer to another process not sent", "partition", p, "error", err)
			}
		}()
	})
	if err != nil {
		return nil, fmt.Errorf("answer for partition %d: %w", p, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // the connection may be gone: nothing is left to undo
}

// Ask sends a request to the process that owns partition p. Requests and answers
// that no message holds are sent in parts, which core NATS keeps in order.
func (b *Bus) Ask(ctx context.Context, p int, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	answer, err := b.ask(ctx, askPrefix+strconv.Itoa(p), request)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, fmt.Errorf("partition %d: %w", p, ErrNobodyAnswers)
	}
	if err != nil {
		return nil, fmt.Errorf("ask partition %d: %w", p, err)
	}
	return answer, nil
}

func (b *Bus) ask(ctx context.Context, subject string, request []byte) ([]byte, error) {
	nc := b.control.nc
	answers, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }() // the connection may be gone: nothing is left to undo
	if err := b.inParts(&nats.Msg{Subject: subject, Reply: answers.Subject}, request); err != nil {
		return nil, err
	}
	var parts assembler
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		if len(m.Data) == 0 && m.Header.Get(headerStatus) == statusNoResponders {
			return nil, nats.ErrNoResponders
		}
		answer, complete, err := parts.add(m.Header.Get(headerChunk), m.Data)
		if complete || err != nil {
			return answer, err
		}
	}
}

// What the server answers when nobody listens to a request.
const (
	headerStatus       = "Status"
	statusNoResponders = "503"
)

// inParts publishes data as m, or as several messages when one does not hold it.
func (b *Bus) inParts(m *nats.Msg, data []byte) error {
	n := chunks(len(data), b.chunkSize())
	for i := range n {
		if m.Data = data; n > 1 {
			part, chunk := b.part(data, i, n)
			m.Data, m.Header = part, nats.Header{headerChunk: {chunk}}
		}
		if err := b.control.nc.PublishMsg(m); err != nil {
			return err
		}
	}
	return nil
}

// asking are the requests of which not all parts have come, by where their answers
// go to.
type asking map[string]*assembler

func (a asking) add(m *nats.Msg) (request []byte, complete bool, err error) {
	parts := a[m.Reply]
	if parts == nil {
		if parts = (&assembler{}); len(a) >= maxAsking {
			clear(a)
		}
		a[m.Reply] = parts
	}
	request, complete, err = parts.add(m.Header.Get(headerChunk), m.Data)
	if complete || err != nil {
		delete(a, m.Reply)
	}
	return request, complete, err
}
