package jcs

import (
	"bytes"
	"encoding/json"
)

// Encode is the JSON of a Go value in the order of its fields, with <, > and &
// as they are: canonical JSON within it, as a json.RawMessage, stays so.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
