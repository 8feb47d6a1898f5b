package jcs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	reference "github.com/gowebpki/jcs"
)

// maxCanonicalDepth is how deep own code recurses. Moving unsorted members
// costs one copy per level, so deeper documents go to the tree-building
// library, whose work does not grow with depth.
const maxCanonicalDepth = 128

// Canonicalize returns the RFC 8785 (JCS) form of one JSON value of any kind.
// Input that is already canonical is returned as it is, without a copy.
//
// Where RFC 8785 refuses input that SDKs do produce, it does what JSON parsers
// do: of duplicate names the last one stays, and a lone surrogate or invalid
// UTF-8 becomes U+FFFD. Integers above 2^53 are rounded (sdk-protocol §3.2).
// It fails on text that is not JSON and on numbers beyond float64.
func Canonicalize(raw json.RawMessage) (json.RawMessage, error) {
	if isCanonical(raw) {
		return raw, nil
	}
	c := canonicalizer{cursor: cursor{in: raw}, out: make([]byte, 0, len(raw))}
	err := c.document()
	if errors.Is(err, errTooDeep) {
		out, err := reference.Transform(raw)
		if err != nil {
			return nil, fmt.Errorf("canonicalize JSON: %w", err)
		}
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("canonicalize JSON: %w", err)
	}
	return c.out, nil
}

var errTooDeep = errors.New("nested too deep")

// canonicalizer parses in and appends its canonical form to out in one pass.
// Only an object whose members turn out to be unsorted is rearranged.
type canonicalizer struct {
	cursor
	depth int
	out   []byte

	members []member // of all open objects, innermost last
	moved   []byte   // scratch of sortMembers
	text    []byte   // scratch of stringValue
}

// member is one name and value of an open object, as a span of out.
type member struct {
	name       []byte // unescaped
	start, end int
}

func (c *canonicalizer) document() error {
	if err := c.value(); err != nil {
		return err
	}
	c.skipSpace()
	if c.pos != len(c.in) {
		return c.unexpected("after the value")
	}
	return nil
}

func (c *canonicalizer) value() error {
	c.skipSpace()
	switch c.peek() {
	case '{':
		return c.object()
	case '[':
		return c.array()
	case '"':
		text, err := c.stringValue(&c.text)
		if err != nil {
			return err
		}
		c.out = AppendString(c.out, text)
		return nil
	case 't':
		return c.literal("true")
	case 'f':
		return c.literal("false")
	case 'n':
		return c.literal("null")
	default:
		return c.number()
	}
}

// enter begins an array or object.
func (c *canonicalizer) enter() error {
	if c.depth == maxCanonicalDepth {
		return errTooDeep
	}
	c.depth++
	c.out = append(c.out, c.in[c.pos])
	c.pos++
	c.skipSpace()
	return nil
}

// leave ends an array or object at its closing bracket.
func (c *canonicalizer) leave() {
	c.depth--
	c.out = append(c.out, c.in[c.pos])
	c.pos++
}

func (c *canonicalizer) array() error {
	if err := c.enter(); err != nil {
		return err
	}
	if c.peek() == ']' {
		c.leave()
		return nil
	}
	for {
		if err := c.value(); err != nil {
			return err
		}
		c.skipSpace()
		switch c.peek() {
		case ',':
			c.pos++
			c.out = append(c.out, ',')
		case ']':
			c.leave()
			return nil
		default:
			return c.unexpected("in an array")
		}
	}
}

func (c *canonicalizer) object() error {
	first, start := len(c.members), len(c.out)
	if err := c.enter(); err != nil {
		return err
	}
	if c.peek() == '}' {
		c.leave()
		return nil
	}
	for {
		if err := c.member(); err != nil {
			return err
		}
		c.skipSpace()
		switch c.peek() {
		case ',':
			c.pos++
			c.out = append(c.out, ',')
		case '}':
			c.leave()
			c.sortMembers(start, c.members[first:])
			c.members = c.members[:first]
			return nil
		default:
			return c.unexpected("in an object")
		}
	}
}

func (c *canonicalizer) member() error {
	c.skipSpace()
	if c.peek() != '"' {
		return c.unexpected("where an object's member should begin")
	}
	name, err := c.stringValue(new([]byte)) // kept until the object ends
	if err != nil {
		return err
	}
	if !utf8.Valid(name) {
		name = []byte(string([]rune(string(name)))) // compare what is written
	}
	start := len(c.out)
	c.out = append(AppendString(c.out, name), ':')
	if c.skipSpace(); c.peek() != ':' {
		return c.unexpected("after a member's name")
	}
	c.pos++
	if err := c.value(); err != nil {
		return err
	}
	c.members = append(c.members, member{name: name, start: start, end: len(c.out)})
	return nil
}

// sortMembers rewrites the object that out holds from start on, unless its
// members already stand in strictly ascending order.
func (c *canonicalizer) sortMembers(start int, members []member) {
	byName := func(a, b member) int { return Compare(a.name, b.name) }
	sorted := true
	for i := 1; i < len(members) && sorted; i++ {
		sorted = byName(members[i-1], members[i]) < 0
	}
	if sorted {
		return
	}
	slices.SortStableFunc(members, byName)
	moved := append(c.moved[:0], '{')
	for i, m := range members {
		if i+1 < len(members) && byName(m, members[i+1]) == 0 {
			continue // a duplicate: the last one counts
		}
		if len(moved) > 1 {
			moved = append(moved, ',')
		}
		moved = append(moved, c.out[m.start:m.end]...)
	}
	c.moved = append(moved, '}')
	c.out = append(c.out[:start], c.moved...)
}

func (c *canonicalizer) literal(word string) error {
	if end := c.pos + len(word); end <= len(c.in) && string(c.in[c.pos:end]) == word {
		c.pos = end
		c.out = append(c.out, word...)
		return nil
	}
	return c.unexpected("where a value should begin")
}

func (c *canonicalizer) number() error {
	end, plain := scanNumber(c.in, c.pos)
	if end == c.pos {
		return c.unexpected("where a value should begin")
	}
	token := c.in[c.pos:end]
	c.pos = end
	if plain {
		c.out = append(c.out, token...)
		return nil
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return fmt.Errorf("number at byte %d is out of range", end-len(token))
	}
	text, err := reference.NumberToJSON(f)
	if err != nil {
		return fmt.Errorf("number at byte %d: %w", end-len(token), err)
	}
	c.out = append(c.out, text...)
	return nil
}
