package userland

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	common "go.opentelemetry.io/proto/otlp/common/v1"
)

// maxDepth bounds values within values.
const maxDepth = 16

// objectWriter appends to a JSON object. Of two members with one key the first
// stays.
type objectWriter struct {
	b    []byte
	keys map[string]struct{}
}

func (w *objectWriter) open() { w.b, w.keys = append(w.b, '{'), map[string]struct{}{} }

func (w *objectWriter) close() json.RawMessage { return append(w.b, '}') }

func (w *objectWriter) key(key string) bool {
	if _, has := w.keys[key]; has {
		return false
	}
	w.keys[key] = struct{}{}
	if len(w.keys) > 1 {
		w.b = append(w.b, ',')
	}
	w.b = append(appendText(w.b, key), ':')
	return true
}

func (w *objectWriter) text(key, text string) {
	if w.key(key) {
		w.b = appendText(w.b, text)
	}
}

func (w *objectWriter) raw(key, json string) {
	if w.key(key) {
		w.b = append(w.b, json...)
	}
}

func (w *objectWriter) value(key string, v *common.AnyValue) {
	if w.key(key) {
		w.b = appendValue(w.b, v, 0)
	}
}

// jsonObject is an object of attributes.
func jsonObject(attributes []*common.KeyValue) json.RawMessage {
	return appendObject(nil, attributes, 0)
}

func appendObject(b []byte, members []*common.KeyValue, depth int) []byte {
	w := objectWriter{b: b}
	w.open()
	for _, m := range members {
		if w.key(m.GetKey()) {
			w.b = appendValue(w.b, m.GetValue(), depth)
		}
	}
	return w.close()
}

// appendValue appends what an attribute has. JSON has no other numbers than
// finite ones, and no bytes: both become text.
func appendValue(b []byte, v *common.AnyValue, depth int) []byte {
	if depth > maxDepth {
		return append(b, "null"...)
	}
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return appendText(b, v.StringValue)
	case *common.AnyValue_BoolValue:
		return strconv.AppendBool(b, v.BoolValue)
	case *common.AnyValue_IntValue:
		return strconv.AppendInt(b, v.IntValue, 10)
	case *common.AnyValue_DoubleValue:
		if math.IsNaN(v.DoubleValue) || math.IsInf(v.DoubleValue, 0) {
			return appendText(b, strconv.FormatFloat(v.DoubleValue, 'g', -1, 64))
		}
		return strconv.AppendFloat(b, v.DoubleValue, 'g', -1, 64)
	case *common.AnyValue_BytesValue:
		return appendText(b, base64.StdEncoding.EncodeToString(v.BytesValue))
	case *common.AnyValue_ArrayValue:
		b = append(b, '[')
		for i, element := range v.ArrayValue.GetValues() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, element, depth+1)
		}
		return append(b, ']')
	case *common.AnyValue_KvlistValue:
		return appendObject(b, v.KvlistValue.GetValues(), depth+1)
	}
	return append(b, "null"...)
}

// appendText appends a JSON string. PostgreSQL cannot store the character NUL,
// so it is replaced.
func appendText(b []byte, s string) []byte {
	quoted, _ := json.Marshal(strings.ReplaceAll(s, "\x00", "\uFFFD")) // a string never fails
	return append(b, quoted...)
}
