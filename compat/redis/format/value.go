package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Place says where a value stands: the key and, within a hash, list, set or
// sorted set, the field, index or member.
type Place struct{ Key, Member string }

func (p Place) String() string {
	if p.Member == "" {
		return p.Key
	}
	return p.Key + " [" + p.Member + "]"
}

// ValueError is a value that cannot be read.
type ValueError struct {
	Place
	// Field is the way to the offending part within the value, such as
	// "data.identifier.runID"; "" is the value itself.
	Field string
	Err   error
}

func (e *ValueError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("value of %s: %v", e.Place, e.Err)
	}
	return fmt.Sprintf("value of %s: %s: %v", e.Place, e.Field, e.Err)
}

func (e *ValueError) Unwrap() error { return e.Err }

// Decode reads a JSON value; where it stands is for the [ValueError].
func Decode[T any](at Place, text string) (T, error) {
	var v T
	raw := json.RawMessage(strings.TrimSpace(text))
	if !json.Valid(raw) {
		return v, &ValueError{Place: at, Err: errors.New("not JSON")}
	}
	if string(raw) == "null" {
		return v, &ValueError{Place: at, Err: errors.New("null")}
	}
	if err := decodeInto(raw, reflect.ValueOf(&v).Elem()); err != nil {
		var none T
		return none, valueError(at, err)
	}
	return v, nil
}

func valueError(at Place, err error) *ValueError {
	var field *fieldError
	if errors.As(err, &field) {
		return &ValueError{Place: at, Field: strings.Join(field.path, "."), Err: field.err}
	}
	return &ValueError{Place: at, Err: err}
}

// usualSize is enough for most values, in bytes.
const usualSize = 1024

// Encode writes a JSON value as the original's server does. It fails only for
// raw JSON that is none.
func Encode(v any) (string, error) {
	value := reflect.New(reflect.TypeOf(v)).Elem()
	value.Set(reflect.ValueOf(v))
	b, err := appendValue(make([]byte, 0, usualSize), value)
	if err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return string(b), nil
}
