package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrNoEvent is wrapped by EventAt's error when EVENTS holds no event at that
// sequence: it was never used, or its event has been removed by age or size.
var ErrNoEvent = errors.New("no such event")

// EventsBetween reads the events of that name with after < sequence ≤ upTo
// from the stream's leader, oldest first, until visit returns false. It is
// for looking back, not for consuming.
func (b *Bus) EventsBetween(ctx context.Context, name string, after, upTo uint64, visit func(*Delivery) bool) error {
	subject := EventSubject(PartitionOf(name, b.partitions), name)
	for seq := after + 1; seq <= upTo; {
		m, err := b.storedMessage(ctx, eventsStream, subject, seq)
		if errors.Is(err, errNoMessage) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look back at %s from %d: %w", name, seq, err)
		}
		if m.Seq > upTo {
			return nil
		}
		seq = m.Seq + 1
		d, err := m.delivery()
		if err != nil {
			b.foreignMessage(m.Seq, err)
			continue
		}
		if !visit(d) {
			return nil
		}
	}
	return nil
}

// EventAt reads one event by its sequence in EVENTS.
func (b *Bus) EventAt(ctx context.Context, seq uint64) (*Event, error) {
	m, err := b.storedMessage(ctx, eventsStream, "", seq)
	if err != nil {
		if errors.Is(err, errNoMessage) {
			err = ErrNoEvent
		}
		return nil, fmt.Errorf("event at sequence %d: %w", seq, err)
	}
	d, err := m.delivery()
	if err != nil {
		return nil, fmt.Errorf("event at sequence %d: %w", seq, err)
	}
	return d.Event()
}

// HasEventAfter tells whether EVENTS holds an event of a partition above a sequence.
func (b *Bus) HasEventAfter(ctx context.Context, partition int, seq uint64) (bool, error) {
	_, err := b.storedMessage(ctx, eventsStream, eventPrefix+strconv.Itoa(partition)+".>", seq+1)
	if errors.Is(err, errNoMessage) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("events of partition %d after %d: %w", partition, seq, err)
	}
	return true, nil
}

// LastEventSequence asks the leader for the end of EVENTS: owners compare it
// with what they consumed (jetstream-facts §12, no. 15).
func (b *Bus) LastEventSequence(ctx context.Context) (uint64, error) {
	return b.lastSequence(ctx, eventsStream)
}

func (b *Bus) lastSequence(ctx context.Context, name string) (uint64, error) {
	info, err := b.findStream(ctx, name)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

// While a leader is elected, and when the connection breaks, questions go
// unanswered: asking again soon beats a long wait.
const (
	queryTimeout  = 2 * time.Second
	queryAttempts = 3
)

// query makes a request that changes nothing, or nothing more when repeated.
func query[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		limited, cancel := context.WithTimeout(ctx, queryTimeout)
		answer, err := request(limited)
		cancel()
		if err == nil || attempt == queryAttempts || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return answer, err
		}
	}
}

var errNoMessage = errors.New("no message")

// storedMessage is a message as the API of JetStream returns it.
type storedMessage struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

func (m *storedMessage) delivery() (*Delivery, error) {
	var header nats.Header
	if len(m.Header) > 0 {
		var err error
		if header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
	}
	return delivery(m.Seq, m.Time, m.Subject, header, m.Data)
}

// storedMessage reads the message at seq, or with a subject the first one of
// it from seq on. It asks the leader, since a replica may lag behind an
// acknowledgement that this process already has.
func (b *Bus) storedMessage(ctx context.Context, stream, subject string, seq uint64) (*storedMessage, error) {
	request, err := json.Marshal(struct {
		Seq    uint64 `json:"seq"`
		NextBy string `json:"next_by_subj,omitempty"`
	}{seq, subject})
	if err != nil {
		return nil, err
	}
	answer, err := query(ctx, func(ctx context.Context) (*nats.Msg, error) {
		return b.control.nc.RequestWithContext(ctx, b.cfg.apiPrefix()+"STREAM.MSG.GET."+stream, request)
	})
	if err != nil {
		return nil, err
	}
	var got struct {
		Error *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
		Message storedMessage `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		return nil, fmt.Errorf("jetstream's answer: %w", err)
	}
	if got.Error != nil {
		if got.Error.Code == 404 {
			return nil, errNoMessage
		}
		return nil, errors.New(got.Error.Description)
	}
	return &got.Message, nil
}
