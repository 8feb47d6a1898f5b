package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// decodeInto reads one value of valid JSON. null leaves everything as it is. As
// scripts of the original write them, {} is an empty list, and whole numbers may
// have a fraction or an exponent (redis-queue §3.3).
func decodeInto(value json.RawMessage, v reflect.Value) error {
	if string(value) == "null" {
		if v.Type() == typeRaw {
			v.SetBytes([]byte("null"))
		}
		return nil
	}
	switch into := v.Addr().Interface().(type) {
	case *string:
		if value[0] != '"' {
			return json.Unmarshal(value, into) // which says why not
		}
		var err error
		*into, err = text(value)
		return err
	case *json.RawMessage:
		*into = slices.Clone(value)
		return nil
	case *ulid.ULID:
		return decodeID(value, into, ParseULID)
	case *uuid.UUID:
		return decodeID(value, into, ParseUUID)
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if err := decodeInto(value, p.Elem()); err != nil {
			return err
		}
		v.Set(p)
		return nil
	case reflect.Slice:
		return decodeList(value, v)
	case reflect.Int, reflect.Int64:
		n, err := parseInt(string(value))
		if err != nil {
			return err
		}
		v.SetInt(n)
		return nil
	}
	if o := objectOf(v.Type()); o != nil {
		return o.decode(value, v)
	}
	return json.Unmarshal(value, v.Addr().Interface())
}

// decode reads an object; of members with one name the last counts.
func (o *object) decode(value json.RawMessage, v reflect.Value) error {
	if value[0] != '{' {
		return json.Unmarshal(value, &map[string]json.RawMessage{}) // which says why not
	}
	var rest Rest
	err := eachMember(value, func(name []byte, member json.RawMessage) error {
		i, known := o.byName[string(name)]
		if !known {
			if rest == nil {
				rest = Rest{}
			}
			rest[string(name)] = slices.Clone(member)
			return nil
		}
		field := v.Field(o.members[i].field)
		field.SetZero()
		if err := decodeInto(member, field); err != nil {
			return within(string(name), err)
		}
		return nil
	})
	if rest != nil {
		*v.Field(o.rest).Addr().Interface().(*Rest) = rest
	}
	return err
}

func decodeList(value json.RawMessage, v reflect.Value) error {
	var items []json.RawMessage
	switch value[0] {
	case '[':
		items = elements(value)
	case '{':
		if value[skipSpace(value, 1)] != '}' {
			return errors.New("an object where a list is expected")
		}
	default:
		return json.Unmarshal(value, &items) // which says why not
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
func decodeID[T any](value json.RawMessage, into *T, parse func(string) (T, error)) error {
	if value[0] != '"' {
		var none string
		return json.Unmarshal(value, &none) // which says why not
	}
	s, err := text(value)
	if err != nil {
		return err
	}
	*into, err = parse(s)
	return err
}

// ParseULID reads the canonical form of a ULID.
func ParseULID(s string) (ulid.ULID, error) {
	id, err := ulid.ParseStrict(s)
	var canonical [ulid.EncodedSize + 2]byte
	if err == nil && string(appendULID(canonical[:0], &id)[1:1+ulid.EncodedSize]) != s {
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
	var canonical [uuidSize + 2]byte
	if err == nil && string(appendUUID(canonical[:0], &id)[1:1+uuidSize]) != s {
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
