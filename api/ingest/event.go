package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/state"
)

// The bounds of one event.
const (
	// maxEventSize is that of its raw JSON.
	maxEventSize = 3 * 1024 * 1024
	// maxName keeps the event's subject, which can be three times as long,
	// below the 4096 bytes that NATS allows a command line. Clients and the
	// original know no bound (http-api §5), but nobody names events like that.
	maxName = 1024

	minTime = 315_532_800_000   // 1980-01-01 in ms
	maxTime = 4_102_444_800_000 // 2100-01-01 in ms
)

// reservedPrefix is that of the events which only the server sends.
const reservedPrefix = "inngest/"

// field is a member's raw value and what a scanner saw in it.
type field struct {
	raw  []byte
	seen traits
}

func (f field) absent() bool { return len(f.raw) == 0 || f.raw[0] == 'n' }

// fields is one event, cut into its members and not yet checked.
type fields struct {
	whole                             []byte
	name, data, user, id, ts, v, meta field
	reserved                          bool // data has reservedKey
}

// scanFields passes over an object; of a name that comes twice the last counts,
// and names are matched without regard to case, as encoding/json does.
func scanFields(s *scanner) (f fields) {
	start := s.pos
	s.open('{')
	for first := true; ; first = false {
		key, more := s.member(first)
		if !more {
			break
		}
		s.peek()
		s.seen = 0
		from := s.pos
		target := f.member(key)
		if target == &f.data && s.pos < len(s.in) && s.in[s.pos] == '{' {
			f.reserved = s.dataObject()
		} else {
			s.value()
		}
		if target != nil {
			*target = field{raw: s.in[from:s.pos], seen: s.seen}
		}
	}
	f.whole = s.in[start:s.pos]
	return f
}

// dataObject is object that also tells whether there is a reservedKey.
func (s *scanner) dataObject() (reserved bool) {
	s.open('{')
	for first := true; ; first = false {
		key, more := s.member(first)
		if !more {
			return reserved
		}
		reserved = reserved || isReserved(key)
		s.value()
	}
}

// member is where the member of that raw name belongs, nil if nowhere.
func (f *fields) member(key []byte) *field {
	if target := f.named(string(key)); target != nil {
		return target
	}
	if bytes.IndexByte(key, '\\') >= 0 {
		return f.named(strings.ToLower(unquote(key)))
	}
	if len(key) > len("name") {
		return nil
	}
	return f.named(strings.ToLower(string(key)))
}

func (f *fields) named(name string) *field {
	switch name {
	case "name":
		return &f.name
	case "data":
		return &f.data
	case "user":
		return &f.user
	case "id":
		return &f.id
	case "ts":
		return &f.ts
	case "v":
		return &f.v
	case "meta":
		return &f.meta
	}
	return nil
}

// errType means that a member has the wrong JSON type; explain says which.
var errType = errors.New("wrong type")

// raw has the JSON types of an event. It is only used to find the words for
// text that is no event, which are encoding/json's.
type raw struct {
	Name string         `json:"name"`
	Data map[string]any `json:"data"`
	User map[string]any `json:"user"`
	ID   string         `json:"id"`
	TS   int64          `json:"ts"`
	V    string         `json:"v"`
	Meta map[string]any `json:"meta"`
}

// explain says in encoding/json's words why text is not an event, or repeats
// err where encoding/json has no objection.
func explain(text []byte, err error) error {
	if why := json.Unmarshal(text, new(raw)); why != nil {
		return why
	}
	return err
}

// decode makes an event of its fields, without ids. Its slices are parts of
// the request wherever those are in stored form. The error is errType, or says
// what is wrong with the meta.
func (f *fields) decode(e *bus.Event) error {
	for _, text := range [...]field{f.name, f.id, f.v} {
		if !text.absent() && text.raw[0] != '"' {
			return errType
		}
	}
	for _, object := range [...]field{f.data, f.user, f.meta} {
		if !object.absent() && object.raw[0] != '{' {
			return errType
		}
	}
	if !f.ts.absent() {
		ts, err := strconv.ParseInt(string(f.ts.raw), 10, 64)
		if err != nil {
			return errType
		}
		e.TS = ts
	}
	e.Name, e.ID, e.V = f.name.text(), f.id.text(), f.v.text()
	switch {
	case f.data.absent():
	case f.reserved:
		e.Data = withoutReserved(f.data.raw)
	default:
		e.Data = tidied(f.data.raw, f.data.seen)
	}
	if !f.user.absent() {
		if user := tidied(f.user.raw, f.user.seen); len(user) > len("{}") {
			e.User = user
		}
	}
	return nil
}

// text is the value of a string, "" where there is none.
func (f field) text() string {
	if f.absent() {
		return ""
	}
	inner := f.raw[1 : len(f.raw)-1]
	if f.seen&escaped != 0 || f.seen&foreign != 0 && !utf8.Valid(inner) {
		return unquote(inner)
	}
	return string(inner)
}

// checkName refuses names that users cannot give.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("event name is empty")
	case len(name) >= len(reservedPrefix) && strings.EqualFold(name[:len(reservedPrefix)], reservedPrefix):
		return fmt.Errorf("%w: %s", ErrReserved, name)
	case len(name) > maxName:
		return fmt.Errorf("event name exceeds %d bytes", maxName)
	}
	return nil
}

// complete checks what is left of an event and fills in the rest: ts is now
// where there is none, the id is the generated one. A ts so large that the
// original overflows on it is after 2100 here, not "before Jan 1, 1980".
func (f *fields) complete(e *bus.Event, now time.Time) error {
	switch {
	case e.TS == 0:
		e.TS = now.UnixMilli()
	case e.TS < minTime:
		return errors.New("timestamp is before Jan 1, 1980")
	case e.TS > maxTime:
		return errors.New("timestamp is after Jan 1, 2100")
	}
	if !f.meta.absent() {
		meta, err := state.ResolveMeta(f.meta.raw)
		if err != nil {
			return err
		}
		e.Meta = meta
	}
	return nil
}

// identify gives the event its internal id, which is also the one that users
// see where they gave none.
func identify(e *bus.Event, id ulid.ULID, seeded bool) {
	e.InternalID, e.Seeded = id, seeded
	if e.ID == "" {
		e.ID = id.String()
	}
}
