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

// maxAsked bounds how many requests of one partition are answered at once.
const maxAsked = 256

// Answer serves requests to partition p until stop is called. answer runs
// concurrently.
func (b *Bus) Answer(p int, answer func(request []byte) []byte) (stop func(), err error) {
	room := make(chan struct{}, maxAsked)
	sub, err := b.control.nc.Subscribe(askPrefix+strconv.Itoa(p), func(m *nats.Msg) {
		room <- struct{}{}
		go func() {
			defer func() { <-room }()
			if err := m.Respond(answer(m.Data)); err != nil {
				b.log.Warn("answer to another process not sent", "partition", p, "error", err)
			}
		}()
	})
	if err != nil {
		return nil, fmt.Errorf("answer for partition %d: %w", p, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // the connection may be gone: nothing is left to undo
}

// Ask sends a request to the process that owns partition p.
func (b *Bus) Ask(ctx context.Context, p int, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := b.control.nc.RequestWithContext(ctx, askPrefix+strconv.Itoa(p), request)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, fmt.Errorf("partition %d: %w", p, ErrNobodyAnswers)
	}
	if err != nil {
		return nil, fmt.Errorf("ask partition %d: %w", p, err)
	}
	return m.Data, nil
}
