package jcs

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"
)

// cursor is a place in JSON text.
type cursor struct {
	in  []byte
	pos int
}

func (c *cursor) skipSpace() {
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end (a byte no JSON token begins with).
func (c *cursor) peek() byte {
	if c.pos < len(c.in) {
		return c.in[c.pos]
	}
	return 0
}

func (c *cursor) unexpected(where string) error {
	if c.pos >= len(c.in) {
		return errors.New("unexpected end of JSON input")
	}
	r, _ := utf8.DecodeRune(c.in[c.pos:])
	return fmt.Errorf("unexpected %q at byte %d %s", r, c.pos, where)
}

// FirstByte is the first byte of raw that is not JSON white space, 0 if none.
func FirstByte(raw []byte) byte {
	c := cursor{in: raw}
	c.skipSpace()
	return c.peek()
}

// Members iterates over an object: the names and the raw values. Elements does
// so over the values of an array. Both trust raw to be valid JSON of their
// kind and yield parts of it; unlike encoding/json they need neither
// reflection nor copies, which counts for what is read on every call.
func Members(raw json.RawMessage) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func(name []byte, value json.RawMessage) bool) {
		c := cursor{in: raw}
		for c.more() {
			name := c.take()
			if plain, ok := PlainString(name); ok {
				name = plain
			} else {
				text, _ := Text(name)
				name = []byte(text)
			}
			c.skipSpace()
			c.pos++ // the colon
			c.skipSpace()
			if !yield(name, c.take()) {
				return
			}
		}
	}
}

func Elements(raw json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		c := cursor{in: raw}
		for c.more() && yield(c.take()) {
		}
	}
}

// more steps over an opening bracket or a comma to the next member or element;
// it is false at the closing bracket.
func (c *cursor) more() bool {
	c.skipSpace()
	switch c.peek() {
	case '[', '{', ',':
		c.pos++
		c.skipSpace()
	default:
		return false
	}
	return c.pos < len(c.in) && c.in[c.pos] != ']' && c.in[c.pos] != '}'
}

// take returns the value at the cursor and steps over it.
func (c *cursor) take() json.RawMessage {
	c.pos = min(c.pos, len(c.in))
	start, depth := c.pos, 0
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case '"':
			c.skipString()
		case '{', '[':
			depth++
			c.pos++
		case '}', ']':
			depth--
			c.pos++
		default:
			c.pos++
			if depth > 0 || !c.atEnd() {
				continue // inside a number or a word, or between values
			}
		}
		if depth == 0 {
			break
		}
	}
	return c.in[start:c.pos:c.pos]
}

// skipString steps over a string literal.
func (c *cursor) skipString() {
	for c.pos++; c.pos < len(c.in) && c.in[c.pos] != '"'; c.pos++ {
		if c.in[c.pos] == '\\' {
			c.pos++
		}
	}
	c.pos = min(c.pos+1, len(c.in))
}

// atEnd tells whether a number or word ends here.
func (c *cursor) atEnd() bool {
	switch c.peek() {
	case ',', ']', '}', ' ', '\t', '\n', '\r', 0:
		return true
	}
	return false
}

// PlainString returns the text of a string literal that needs no decoding.
func PlainString(raw []byte) (text []byte, ok bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return nil, false
	}
	text = raw[1 : len(raw)-1]
	for _, b := range text {
		if b == '\\' || b >= utf8.RuneSelf {
			return nil, false
		}
	}
	return text, true
}

// Object returns the members of raw, nil if it is no JSON object.
func Object(raw json.RawMessage) (fields map[string]json.RawMessage) {
	if FirstByte(raw) != '{' || json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	return fields
}

// Text returns the text of raw, false if it is no JSON string.
func Text(raw json.RawMessage) (text string, ok bool) {
	if plain, ok := PlainString(raw); ok {
		return string(plain), true
	}
	if FirstByte(raw) != '"' || json.Unmarshal(raw, &text) != nil {
		return "", false
	}
	return text, true
}

// LooseText is the text of a string, nothing for null, and the JSON text of
// any other value.
func LooseText(raw json.RawMessage) string {
	if text, ok := Text(raw); ok {
		return text
	}
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}

func IsNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
