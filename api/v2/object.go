package v2

import (
	"encoding/json"
	"reflect"
	"strconv"
	"time"
)

// object is a JSON object without values that are zero.
type object map[string]any

// set leaves out what is zero or empty.
func (o object) set(key string, value any) {
	v := reflect.ValueOf(value)
	switch {
	case !v.IsValid() || v.IsZero():
		return
	case v.Kind() == reflect.Pointer:
		value = v.Elem().Interface()
	case (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0:
		return
	}
	o[key] = value
}

// stamp is a time with 0, 3, 6 or 9 digits of a fraction; empty for none.
func stamp(t time.Time) string {
	switch nanos := t.Nanosecond(); {
	case t.IsZero():
		return ""
	case nanos == 0:
		return t.UTC().Format("2006-01-02T15:04:05Z")
	case nanos%1_000_000 == 0:
		return t.UTC().Format("2006-01-02T15:04:05.000Z")
	case nanos%1_000 == 0:
		return t.UTC().Format("2006-01-02T15:04:05.000000Z")
	default:
		return t.UTC().Format("2006-01-02T15:04:05.000000000Z")
	}
}

// millis is a duration as text, empty for none.
func millis(d time.Duration) string {
	if d.Milliseconds() == 0 {
		return ""
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// structure is a value as an object, which is put below data if it is none.
func structure(raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) == nil && fields != nil {
		return fields
	}
	return object{"data": raw}
}
