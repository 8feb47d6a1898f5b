package format

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// appendValue writes one JSON value as a Go encoder does, which escapes <, >
// and & (redis-state §3). It must be addressable.
func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	switch value := v.Addr().Interface().(type) {
	case *string:
		return appendText(b, *value), nil
	case *bool:
		return strconv.AppendBool(b, *value), nil
	case *ulid.ULID:
		return appendULID(b, value), nil
	case *uuid.UUID:
		return appendUUID(b, value), nil
	case *json.RawMessage:
		return appendRaw(b, *value)
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		if v.Type().PkgPath() == "" {
			return strconv.AppendInt(b, v.Int(), 10), nil
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return appendValue(b, v.Elem())
		}
	case reflect.Slice:
		if !v.IsNil() {
			return appendList(b, v)
		}
	case reflect.Struct:
		if o := objectOf(v.Type()); o != nil {
			return o.append(b, v)
		}
	}
	text, err := json.Marshal(v.Addr().Interface())
	return append(b, text...), err
}

func appendList(b []byte, v reflect.Value) ([]byte, error) {
	b = append(b, '[')
	var err error
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, v.Index(i)); err != nil {
			return nil, within(strconv.Itoa(i), err)
		}
	}
	return append(b, ']'), nil
}

func (o *object) append(b []byte, v reflect.Value) ([]byte, error) {
	var err error
	b = append(b, '{')
	for _, m := range o.members {
		value := v.Field(m.field)
		if m.omitEmpty && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
			continue
		}
		b = append(b, m.quoted...)
		if b, err = appendValue(b, value); err != nil {
			return nil, within(m.name, err)
		}
		b = append(b, ',')
	}
	rest := *v.Field(o.rest).Addr().Interface().(*Rest)
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		b = append(appendText(b, name), ':')
		if b, err = appendRaw(b, rest[name]); err != nil {
			return nil, within(name, err)
		}
		b = append(b, ',')
	}
	return append(bytes.TrimSuffix(b, []byte(",")), '}'), nil
}

func appendText(b []byte, s string) []byte {
	if plain(s) && !escaped(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	quoted, _ := json.Marshal(s) // a string
	return append(b, quoted...)
}

// escaped tells whether something in a text is escaped though it need not be.
func escaped[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c == '<' || c == '>' || c == '&' {
			return true
		}
	}
	return false
}

func appendULID(b []byte, id *ulid.ULID) []byte {
	var text [ulid.EncodedSize]byte
	_ = id.MarshalTextTo(text[:]) // it fits
	return append(append(append(b, '"'), text[:]...), '"')
}

// uuidSize is the length of a UUID as text.
const uuidSize = 36

func appendUUID(b []byte, id *uuid.UUID) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i, part := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[part>>4], digits[part&15])
	}
	return append(b, '"')
}

// appendRaw writes JSON without space and with what is escaped.
func appendRaw(b []byte, raw json.RawMessage) ([]byte, error) {
	if plainJSON(raw) && json.Valid(raw) {
		return append(b, raw...), nil
	}
	text, err := json.Marshal(raw)
	return append(b, text...), err
}

// plainJSON tells whether JSON has no space and nothing to be escaped.
func plainJSON(raw json.RawMessage) bool {
	for _, c := range raw {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return !escaped(raw)
}
