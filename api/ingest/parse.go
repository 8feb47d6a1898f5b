// Package ingest owns how events come in: what POST /e/{key}, POST
// /invoke/{slug} and the NATS subject jetstep.ingest accept, the words in which
// they refuse, the ids of events, and the answer (http-api §5, §6).
//
// It guarantees that an event which it passes on is in stored form and safe for
// every later reader: compact and valid JSON in valid Unicode, numbers that a
// float64 can hold, bounded nesting, no reserved name and nothing that only the
// server may write. It answers success only when the publisher has said that
// the events are durable. It must not know who listens to an event.
package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"jetstep/bus"
)

// maxEvents is how many one request may hold.
const maxEvents = 5000

// refusal is a text that clients are sent as it is, capitals included.
type refusal string

func (r refusal) Error() string { return string(r) }

// The refusals that concern a request as a whole (http-api §5).
const (
	errBody    refusal = "Request body must contain an event object or an array of event objects"
	errTooMany refusal = "Cannot have more than 5000 events in a batch"
	// errForm is what a form comes to: all its values are arrays.
	errForm refusal = "json: cannot unmarshal array into Go struct field raw.name of type string"
)

// What refusals of one event begin with that callers tell from the others.
const (
	ErrEventSize refusal = "Event is over the max size"
	ErrReserved  refusal = "event name is reserved for internal use"
)

// Parse reads the body of POST /e/{key}: one event or an array of up to 5000,
// told apart by content. seed is the X-Inngest-Event-Id-Seed header.
//
// Requests are not atomic: with an error the events before the refused one are
// returned too, and are to be accepted. The error's text is what the client is
// told. The events' data are parts of body wherever possible.
func Parse(body []byte, contentType, seed string, now time.Time) ([]*bus.Event, error) {
	p := parser{s: scanner{in: body}, ids: newIDs(seed, now), now: now}
	switch p.s.peek() {
	case '{':
		return p.single()
	case '[':
		return p.batch()
	}
	switch {
	case p.s.pos == len(body):
		return nil, nil
	case contentType == "application/x-www-form-urlencoded", contentType == "multipart/form-data":
		return nil, errForm
	}
	return nil, errBody
}

// parser reads one request.
type parser struct {
	s      scanner
	ids    *idSource
	now    time.Time
	events []*bus.Event
	block  []bus.Event // where the next events are allocated
}

func (p *parser) single() ([]*bus.Event, error) {
	f := scanFields(&p.s)
	if err := p.end(); err != nil {
		return nil, explain(p.s.in, err)
	}
	err := p.add(&f)
	return p.events, err
}

// batch reads an array. One that is cut off between two events is as good as
// whole (http-api §5).
func (p *parser) batch() ([]*bus.Event, error) {
	p.s.open('[')
	for first := true; !p.atEnd() && p.s.element(first); first = false {
		if err := p.element(); err != nil {
			return p.events, err
		}
	}
	if err := p.end(); err != nil {
		// Every event is well-formed: it is what stands between or after them.
		return p.events, explain(p.s.in, err)
	}
	return p.events, nil
}

// element reads one event of an array.
func (p *parser) element() error {
	switch p.s.peek() {
	case '{':
	case ',', ']', 0:
		return explain(p.s.in, errSyntax)
	default:
		return errBody
	}
	start := p.s.pos
	f := scanFields(&p.s)
	if p.s.err != nil {
		return p.explainFrom(start)
	}
	if len(p.events) == maxEvents {
		return errTooMany
	}
	return p.add(&f)
}

// explainFrom says why the value at start is malformed. What comes after it is
// not looked at.
func (p *parser) explainFrom(start int) error {
	if err := json.NewDecoder(bytes.NewReader(p.s.in[start:])).Decode(new(raw)); err != nil {
		return err
	}
	return p.s.err
}

// add checks an event and makes it one of those to accept.
func (p *parser) add(f *fields) error {
	if len(f.whole) > maxEventSize {
		return fmt.Errorf("%w: Max %d bytes / Size %d bytes", ErrEventSize, maxEventSize, len(f.whole))
	}
	e := p.allocate()
	if err := f.decode(e); err != nil {
		return explain(f.whole, err)
	}
	if err := checkName(e.Name); err != nil {
		return err
	}
	if err := f.complete(e, p.now); err != nil {
		return err
	}
	identify(e, p.ids.at(len(p.events)), p.ids.seeded)
	p.events = append(p.events, e)
	return nil
}

// allocate makes room for an event. Events of a batch share allocations, as
// they live and die together.
func (p *parser) allocate() *bus.Event {
	if len(p.block) == 0 {
		p.block = make([]bus.Event, min(max(1, 2*len(p.events)), 128))
	}
	e := &p.block[0]
	p.block = p.block[1:]
	return e
}

// atEnd tells whether nothing but white space is left.
func (p *parser) atEnd() bool {
	p.s.peek()
	return p.s.pos == len(p.s.in)
}

// end returns what stopped the scanner, or an error if text is left.
func (p *parser) end() error {
	if p.s.err == nil && !p.atEnd() {
		return errSyntax
	}
	return p.s.err
}
