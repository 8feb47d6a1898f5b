package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
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
	// Registry is the registry's revision that its publisher knew, 0 if that is not
	// told: whoever matches it has to know as much.
	Registry uint64
	Body     []byte
	event    *Event // Body, once parsed
	StoredAt time.Time
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
	if revision := header[headerRegistry]; len(revision) > 0 {
		d.Registry, _ = strconv.ParseUint(revision[0], 10, 64) // not ours then
	}
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
	n, after, next := strings.Cut(n, ".")
	if src.From, err = strconv.Atoi(from); err != nil {
		return nil, err
	}
	if src.N, err = strconv.ParseUint(n, 10, 64); err != nil || !next {
		return &src, err
	}
	src.Next = true
	if src.After, err = strconv.ParseUint(after, 10, 64); err == nil && src.After >= src.N {
		err = fmt.Errorf("%q comes after what follows it", s)
	}
	return &src, err
}
