package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Rest are the members of a JSON object that its Go type has no field for. They
// are written back after the others.
type Rest map[string]json.RawMessage

// object says how a struct with a field "Rest Rest" is coded. Its other fields
// are members in the order of the struct; of the options of a json tag it knows
// omitempty, which leaves out zero values and empty lists.
type object struct {
	members []member
	byName  map[string]int
	rest    int
}

type member struct {
	name      string
	field     int
	omitEmpty bool
}

var (
	objects sync.Map // reflect.Type → *object

	typeRest = reflect.TypeFor[Rest]()
	typeRaw  = reflect.TypeFor[json.RawMessage]()
	typeULID = reflect.TypeFor[ulid.ULID]()
	typeUUID = reflect.TypeFor[uuid.UUID]()
)

// objectOf is nil for a type that is no such struct.
func objectOf(t reflect.Type) *object {
	if t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := objects.Load(t); ok {
		return known.(*object)
	}
	o := &object{byName: map[string]int{}, rest: -1}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == typeRest {
			o.rest = i
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		o.byName[name] = len(o.members)
		o.members = append(o.members, member{name: name, field: i, omitEmpty: options == "omitempty"})
	}
	if o.rest < 0 {
		o = nil
	}
	objects.Store(t, o)
	return o
}

// fieldError is an error in a part of a value; path is from the outside in.
type fieldError struct {
	path []string
	err  error
}

func (e *fieldError) Error() string { return strings.Join(e.path, ".") + ": " + e.err.Error() }

// within adds the name of what the part is in.
func within(name string, err error) error {
	var inner *fieldError
	if errors.As(err, &inner) {
		return &fieldError{path: append([]string{name}, inner.path...), err: inner.err}
	}
	return &fieldError{path: []string{name}, err: err}
}

// decodeInto reads one JSON value. null leaves everything as it is. As scripts
// of the original write them, {} is an empty list, and whole numbers may have a
// fraction or an exponent (redis-queue §3.3).
func decodeInto(text json.RawMessage, v reflect.Value) error {
	if string(text) == "null" {
		if v.Type() == typeRaw {
			v.SetBytes([]byte("null"))
		}
		return nil
	}
	switch t := v.Type(); {
	case t == typeRaw:
		v.SetBytes(slices.Clone(text))
		return nil
	case t == typeULID || t == typeUUID:
		return decodeID(text, v)
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if err := decodeInto(text, p.Elem()); err != nil {
			return err
		}
		v.Set(p)
		return nil
	case t.Kind() == reflect.Slice:
		return decodeList(text, v)
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		n, err := parseInt(string(text))
		if err != nil {
			return err
		}
		v.SetInt(n)
		return nil
	default:
		if o := objectOf(t); o != nil {
			return o.decode(text, v)
		}
		return json.Unmarshal(text, v.Addr().Interface())
	}
}

func (o *object) decode(text json.RawMessage, v reflect.Value) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	var rest Rest
	for name, value := range members {
		i, known := o.byName[name]
		if !known {
			if rest == nil {
				rest = Rest{}
			}
			rest[name] = value
			continue
		}
		if err := decodeInto(value, v.Field(o.members[i].field)); err != nil {
			return within(name, err)
		}
	}
	if rest != nil {
		v.Field(o.rest).Set(reflect.ValueOf(rest))
	}
	return nil
}

func decodeList(text json.RawMessage, v reflect.Value) error {
	var items []json.RawMessage
	if text[0] == '{' {
		var none map[string]json.RawMessage
		if err := json.Unmarshal(text, &none); err != nil {
			return err
		}
		if len(none) > 0 {
			return errors.New("an object where a list is expected")
		}
	} else if err := json.Unmarshal(text, &items); err != nil {
		return err
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := decodeInto(item, list.Index(i)); err != nil {
			return within(strconv.Itoa(i), err)
		}
	}
	v.Set(list)
	return nil
}

// decodeID reads a ULID or a UUID in its one canonical form: what would be
// written back in another form is damaged.
func decodeID(text json.RawMessage, v reflect.Value) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if v.Type() == typeULID {
		id, err := ParseULID(s)
		v.Set(reflect.ValueOf(id))
		return err
	}
	id, err := ParseUUID(s)
	v.Set(reflect.ValueOf(id))
	return err
}

// ParseULID reads the canonical form of a ULID.
func ParseULID(s string) (ulid.ULID, error) {
	id, err := ulid.ParseStrict(s)
	if err == nil && id.String() != s {
		err = errors.New("not in upper case")
	}
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("%.40q is no ULID: %w", s, err)
	}
	return id, nil
}

// ParseUUID reads the canonical form of a UUID.
func ParseUUID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err == nil && id.String() != s {
		err = errors.New("not in lower case with hyphens")
	}
	if err != nil {
		return uuid.UUID{}, fmt.Errorf("%.50q is no UUID: %w", s, err)
	}
	return id, nil
}

// parseInt reads a whole number, also as scripts print it: 12.0, 1e+14.
func parseInt(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	const exact = 1 << 53
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, fmt.Errorf("%.40q is no whole number", s)
	}
	return int64(f), nil
}

// appendValue writes one JSON value as a Go encoder does, which escapes <, >
// and & (redis-state §3).
func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	switch t := v.Type(); {
	case t.Kind() == reflect.Pointer && !v.IsNil():
		return appendValue(b, v.Elem())
	case t.Kind() == reflect.Slice && t != typeRaw && !v.IsNil():
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
	case objectOf(t) != nil:
		return objectOf(t).append(b, v)
	}
	text, err := json.Marshal(v.Interface())
	return append(b, text...), err
}

func (o *object) append(b []byte, v reflect.Value) ([]byte, error) {
	var err error
	b = append(b, '{')
	first := len(b)
	put := func(name string, value reflect.Value) {
		if err != nil {
			return
		}
		if len(b) > first {
			b = append(b, ',')
		}
		quoted, _ := json.Marshal(name) // a string
		b = append(append(b, quoted...), ':')
		var failed error
		if b, failed = appendValue(b, value); failed != nil {
			err = within(name, failed)
		}
	}
	for _, m := range o.members {
		value := v.Field(m.field)
		if m.omitEmpty && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
			continue
		}
		put(m.name, value)
	}
	rest := v.Field(o.rest).Interface().(Rest)
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		put(name, reflect.ValueOf(rest[name]))
	}
	return append(b, '}'), err
}
