// Package jcs makes JSON canonical as RFC 8785 wants it.
package jcs

import (
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"
)

// Canonicalize returns the canonical form of any JSON value.
func Canonicalize(raw json.RawMessage) (json.RawMessage, error) {
	wrapped := append(append([]byte{'['}, raw...), ']')
	out, err := jcs.Transform(wrapped)
	if err != nil {
		return nil, fmt.Errorf("canonical json: %w", err)
	}
	return out[1 : len(out)-1], nil
}
