package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// Delivery is one message of EVENTS as its partition's owner gets it. Name,
// id and source come from subject and headers; the body is parsed on demand.
type Delivery struct {
	Seq        uint64
	Name       string
	InternalID ulid.ULID // zero when a NATS client published without one
	Source     *Source   // nil unless it came through an outbox
	Seeded     bool
	Body       []byte
	event      *Event // Body, once parsed
	StoredAt   time.Time
}

// Event parses the body, once. The event must not be changed.
func (d *Delivery) Event() (*Event, error) {
	if d.event != nil {
		return d.event, nil
	}
	e, err := ParseEvent(d.Body)
	if err != nil {
		return nil, fmt.Errorf("event at sequence %d: %w", d.Seq, err)
	}
	e.InternalID, e.Seq, e.Source, e.Seeded = d.InternalID, d.Seq, d.Source, d.Seeded
	if e.InternalID == (ulid.ULID{}) {
		// Published straight into the stream: the place gives the id.
		e.InternalID = sequenceULID(d.StoredAt, d.Seq)
	}
	if e.ID == "" {
		e.ID = e.InternalID.String()
	}
	if e.TS == 0 {
		e.TS = d.StoredAt.UnixMilli()
	}
	d.event = e
	return e, nil
}

func sequenceULID(at time.Time, seq uint64) ulid.ULID {
	var id ulid.ULID
	_ = id.SetTime(uint64(at.UnixMilli())) // fails only after the year 10889
	for i := range 8 {
		id[15-i] = byte(seq >> (8 * i))
	}
	return id
}

// ConsumeEvents delivers partition p's events with a sequence above after, in
// order and one at a time, until stop is called. handle may block: the server
// then sends no more.
func (b *Bus) ConsumeEvents(ctx context.Context, p int, after uint64, handle func(*Delivery)) (stop func(), err error) {
	filter := eventPrefix + strconv.Itoa(p) + ".>"
	return b.consume(ctx, eventsStream, filter, after, func(seq uint64, at time.Time, m jetstream.Msg) {
		b.sawEvent(seq)
		d, err := delivery(seq, at, m.Subject(), m.Headers(), m.Data())
		if err != nil {
			// Only a foreign publisher can write such a subject: it is no event.
			b.log.Warn("message in EVENTS is not an event", "partition", p, "seq", seq, "error", err)
			return
		}
		handle(d)
	})
}

func delivery(seq uint64, at time.Time, subject string, header nats.Header, body []byte) (*Delivery, error) {
	name, err := eventName(subject)
	if err != nil {
		return nil, err
	}
	d := &Delivery{Seq: seq, Name: name, Body: body, StoredAt: at}
	if id := header[HeaderEventID]; len(id) > 0 {
		if d.InternalID, err = ulid.ParseStrict(id[0]); err != nil {
			return nil, fmt.Errorf("header %s: %w", HeaderEventID, err)
		}
	}
	d.Seeded = len(header[HeaderSeeded]) > 0
	if src := header[HeaderSource]; len(src) > 0 {
		if d.Source, err = parseSource(src[0]); err != nil {
			return nil, fmt.Errorf("header %s: %w", HeaderSource, err)
		}
	}
	return d, nil
}

func parseSource(s string) (*Source, error) {
	from, n, ok := strings.Cut(s, ".")
	if !ok {
		return nil, fmt.Errorf("%q is not <partition>.<n>", s)
	}
	var src Source
	var err error
	if src.From, err = strconv.Atoi(from); err != nil {
		return nil, err
	}
	if src.N, err = strconv.ParseUint(n, 10, 64); err != nil {
		return nil, err
	}
	return &src, nil
}

// consume runs an ordered consumer, which recreates itself after a gap, a lost
// leader or a reconnect, without redelivering what was handled.
func (b *Bus) consume(ctx context.Context, stream, filter string, after uint64, handle func(uint64, time.Time, jetstream.Msg)) (func(), error) {
	consumer, err := b.control.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{filter},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    after + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", stream, err)
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		meta, err := m.Metadata()
		if err != nil {
			b.log.Error("message without metadata", "stream", stream, "error", err)
			return
		}
		handle(meta.Sequence.Stream, meta.Timestamp, m)
	},
		jetstream.PullMaxMessages(2048),
		jetstream.PullHeartbeat(time.Second),
		jetstream.PullExpiry(30*time.Second),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			b.log.Debug("consumer resets", "stream", stream, "error", err)
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", stream, err)
	}
	return consuming.Stop, nil
}

// readStream calls handle for the messages first…last, in order.
func (b *Bus) readStream(ctx context.Context, stream, filter string, first, last uint64, handle func(uint64, jetstream.Msg) error) error {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first}
	if filter != "" {
		cfg.FilterSubjects = []string{filter}
	}
	consumer, err := b.control.js.OrderedConsumer(ctx, stream, cfg)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(4096), jetstream.PullHeartbeat(time.Second), jetstream.PullExpiry(30*time.Second))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if err := handle(meta.Sequence.Stream, m); err != nil {
			return err
		}
		if meta.Sequence.Stream >= last {
			return nil
		}
	}
}

// EventsBetween reads the events of that name with after < sequence ≤ upTo
// from the stream's leader, oldest first, until visit returns false. It is
// for looking back, not for consuming.
func (b *Bus) EventsBetween(ctx context.Context, name string, after, upTo uint64, visit func(*Delivery) bool) error {
	subject := EventSubject(PartitionOf(name, b.partitions), name)
	for seq := after + 1; seq <= upTo; {
		m, err := b.nextMessage(ctx, eventsStream, subject, seq)
		if errors.Is(err, errNoMessage) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look back at %s from %d: %w", name, seq, err)
		}
		if m.Seq > upTo || !visit(m) {
			return nil
		}
		seq = m.Seq + 1
	}
	return nil
}

// EventAt reads one event by its sequence in EVENTS.
func (b *Bus) EventAt(ctx context.Context, seq uint64) (*Event, error) {
	m, err := b.nextMessage(ctx, eventsStream, "", seq)
	if err != nil {
		return nil, fmt.Errorf("event at sequence %d: %w", seq, err)
	}
	return m.Event()
}

// LastEventSequence asks the leader for the end of EVENTS: owners compare it
// with what they consumed (jetstream-facts §12, no. 15).
func (b *Bus) LastEventSequence(ctx context.Context) (uint64, error) {
	return b.lastSequence(ctx, eventsStream)
}

func (b *Bus) lastSequence(ctx context.Context, name string) (uint64, error) {
	stream, err := b.control.js.Stream(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

var errNoMessage = errors.New("no message")

// nextMessage asks the leader, since a replica may lag behind an
// acknowledgement that this process already has.
func (b *Bus) nextMessage(ctx context.Context, stream, subject string, seq uint64) (*Delivery, error) {
	request, err := json.Marshal(struct {
		Seq    uint64 `json:"seq"`
		NextBy string `json:"next_by_subj,omitempty"`
	}{seq, subject})
	if err != nil {
		return nil, err
	}
	prefix := "$JS.API."
	if b.cfg.Domain != "" {
		prefix = "$JS." + b.cfg.Domain + ".API."
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	answer, err := b.control.nc.RequestWithContext(ctx, prefix+"STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, err
	}
	var got struct {
		Error *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		return nil, err
	}
	if got.Error != nil {
		if got.Error.Code == 404 {
			return nil, errNoMessage
		}
		return nil, errors.New(got.Error.Description)
	}
	var header nats.Header
	if len(got.Message.Header) > 0 {
		if header, err = nats.DecodeHeadersMsg(got.Message.Header); err != nil {
			return nil, err
		}
	}
	return delivery(got.Message.Seq, got.Message.Time, got.Message.Subject, header, got.Message.Data)
}
