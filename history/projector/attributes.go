package projector

import (
	"encoding/json"
	"strconv"

	"github.com/oklog/ulid/v2"

	"jetstep/jcs"
)

// attributes is the JSON object of a span's attributes in the making, written
// as bytes: it is made for every row. The kinds of values are those of database
// §11.4; keys come without their prefix. What is empty is left out.
//
// The ids that the columns of a row have are not repeated: no reader looks for
// them here.
type attributes struct{ b []byte }

// begin starts an object in room that is taken from the batch.
func (b *batch) attributes() *attributes {
	b.attrs.b = append(b.room(attributesRoom), '{')
	return &b.attrs
}

// attributesRoom is more than most objects take, in bytes.
const attributesRoom = 1 << 10

// done is the finished object.
func (b *batch) done(a *attributes) json.RawMessage {
	a.b = append(a.b, '}')
	return b.keep(a.b)
}

func (a *attributes) key(key string) {
	if len(a.b) > 1 {
		a.b = append(a.b, ',')
	}
	a.b = append(a.b, `"_inngest.`...)
	a.b = append(a.b, key...)
	a.b = append(a.b, '"', ':')
}

func (a *attributes) text(key, value string) {
	if value == "" {
		return
	}
	a.key(key)
	a.b = jcs.AppendString(a.b, value)
}

// plain is text for a value that needs no escapes.
func (a *attributes) plain(key, value string) {
	if value == "" {
		return
	}
	a.key(key)
	a.b = append(a.b, '"')
	a.b = append(a.b, value...)
	a.b = append(a.b, '"')
}

func (a *attributes) number(key string, value int64) {
	a.key(key)
	a.b = strconv.AppendInt(a.b, value, 10)
}

// millis is a time: a decimal in a string.
func (a *attributes) millis(key string, ms int64) {
	if ms == 0 {
		return
	}
	a.key(key)
	a.b = append(a.b, '"')
	a.b = strconv.AppendInt(a.b, ms, 10)
	a.b = append(a.b, '"')
}

func (a *attributes) flag(key string, value bool) {
	if value {
		a.key(key)
		a.b = append(a.b, "true"...)
	}
}

// either is a flag that says no, too.
func (a *attributes) either(key string, value bool) {
	a.key(key)
	a.b = strconv.AppendBool(a.b, value)
}

// nested is JSON in a string.
func (a *attributes) nested(key string, value json.RawMessage) {
	if len(value) == 0 {
		return
	}
	a.key(key)
	a.b = jcs.AppendString(a.b, []byte(value))
}

func (a *attributes) id(key string, id ulid.ULID) {
	if id.IsZero() {
		return
	}
	a.key(key)
	a.b = appendID(a.b, id)
}

func (a *attributes) ids(key string, list []ulid.ULID) {
	if len(list) == 0 {
		return
	}
	a.key(key)
	a.b = append(a.b, '[')
	for i, id := range list {
		if i > 0 {
			a.b = append(a.b, ',')
		}
		a.b = appendID(a.b, id)
	}
	a.b = append(a.b, ']')
}

func appendID(b []byte, id ulid.ULID) []byte {
	var text [ulid.EncodedSize]byte
	_ = id.MarshalTextTo(text[:]) // fails only for room of another size
	b = append(b, '"')
	b = append(b, text[:]...)
	return append(b, '"')
}
