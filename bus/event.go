package bus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
)

// Event is one accepted event. In EVENTS it is the JSON object that users
// know ({"data","id","name","ts", and "user","v","meta" when present}); the
// internal id travels in the header HeaderEventID.
type Event struct {
	InternalID ulid.ULID       // set by whoever accepts the event
	ID         string          // user-visible id; equals InternalID when the user gave none
	Name       string          //
	Data       json.RawMessage // compact JSON object, or nil for null
	User       json.RawMessage // compact JSON object, nil when absent
	TS         int64           // milliseconds since 1970
	V          string          // optional version
	Meta       json.RawMessage // {"sessions":{…}}, nil when absent

	// Seeded is set when the ids came from the id seed header: the same request
	// repeated carries the same ids (sdk-protocol §4.6).
	Seeded bool
	// Seq is the event's sequence in EVENTS; 0 before it was published.
	Seq uint64
	// Source is set on events that a partition sent through its outbox, so
	// that a repeated send is recognised; nil otherwise.
	Source *Source
}

// Internal tells the server's own events from those of users.
func (e *Event) Internal() bool { return strings.HasPrefix(e.Name, "inngest/") }

// Source numbers what partition From sends to one destination: upwards, and
// one by one for as long as the partition has the same owner.
type Source struct {
	From int
	N    uint64
	// Next says that After was the number before this one, and that all up to
	// it was stored before. Whoever has not seen it by now will not: the stream
	// has lost it.
	Next  bool
	After uint64 // less than N; 0 without Next
}

// The headers of messages in EVENTS.
const (
	HeaderEventID = "Jetstep-Event-Id" // internal ULID
	HeaderSource  = "Jetstep-Source"   // "<partition>.<n>", and ".<after>" when Next
	HeaderSeeded  = "Jetstep-Seeded"   // present when Seeded
	// headerRegistry is the registry's revision that the publisher knew, present
	// for some seconds after it changed.
	headerRegistry = "Jetstep-Registry"
)

// AppendJSON appends the event as users see it. withUser adds "user":{} when
// the event has none, which SDKs require (sdk-protocol §7.3).
func (e *Event) AppendJSON(b []byte, withUser bool) []byte {
	b = append(b, `{"data":`...)
	if len(e.Data) == 0 {
		// Stored events keep null; SDKs always get an object.
		if withUser {
			b = append(b, `{}`...)
		} else {
			b = append(b, `null`...)
		}
	} else {
		b = append(b, e.Data...)
	}
	b = append(b, `,"id":`...)
	b = appendString(b, e.ID)
	if len(e.Meta) > 0 {
		b = append(b, `,"meta":`...)
		b = append(b, e.Meta...)
	}
	b = append(b, `,"name":`...)
	b = appendString(b, e.Name)
	b = append(b, `,"ts":`...)
	b = strconv.AppendInt(b, e.TS, 10)
	switch {
	case len(e.User) > 0:
		b = append(b, `,"user":`...)
		b = append(b, e.User...)
	case withUser:
		b = append(b, `,"user":{}`...)
	}
	if e.V != "" {
		b = append(b, `,"v":`...)
		b = appendString(b, e.V)
	}
	return append(b, '}')
}

// maxSize bounds the length of the stored form: a byte of a string takes six
// at most.
func (e *Event) maxSize() int {
	return 160 + len(e.Data) + len(e.User) + len(e.Meta) + 6*(len(e.ID)+len(e.Name)+len(e.V))
}

// JSON is the stored form.
func (e *Event) JSON() json.RawMessage { return e.AppendJSON(nil, false) }

// ParseEvent reads the stored form; it is strict about types, so that a
// message which some other client put into EVENTS cannot pass for an event.
func ParseEvent(data []byte) (*Event, error) {
	var raw struct {
		ID   string          `json:"id"`
		Name string          `json:"name"`
		Data json.RawMessage `json:"data"`
		User json.RawMessage `json:"user"`
		TS   int64           `json:"ts"`
		V    string          `json:"v"`
		Meta json.RawMessage `json:"meta"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("not an event: %w", err)
	}
	if raw.Name == "" {
		return nil, fmt.Errorf("not an event: the name is empty")
	}
	e := &Event{ID: raw.ID, Name: raw.Name, TS: raw.TS, V: raw.V}
	for _, f := range []struct {
		name string
		from json.RawMessage
		to   *json.RawMessage
	}{{"data", raw.Data, &e.Data}, {"user", raw.User, &e.User}, {"meta", raw.Meta, &e.Meta}} {
		if len(f.from) == 0 || bytes.Equal(f.from, []byte("null")) {
			continue
		}
		if f.from[0] != '{' {
			return nil, fmt.Errorf("not an event: %s is not an object", f.name)
		}
		*f.to = f.from
	}
	return e, nil
}

// appendString appends s as a JSON string, minimally escaped as RFC 8785
// wants it, so that a canonical event stays canonical. What is no UTF-8 cannot
// be in JSON and becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20:
			b = append(b, c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\f':
			b = append(b, '\\', 'f')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(b, '"')
}
