package ingest

import (
	"errors"
	"strconv"
)

// maxDepth bounds the nesting of an event. Events are wrapped into other
// events and into requests to SDKs, each adding levels, and all of them must
// stay readable for decoders that stop at 10,000.
const maxDepth = 1000

// Why a scanner stopped.
var (
	errSyntax = errors.New("invalid JSON")
	errDepth  = errors.New("exceeded max depth")
)

// traits are what a value must be rewritten for.
type traits uint8

const (
	spaced    traits = 1 << iota // white space between tokens
	escaped                      // a string has a backslash
	surrogate                    // a string has an escape \uD8xx to \uDFxx
	foreign                      // bytes beyond ASCII, valid UTF-8 or not
)

// scanner walks over JSON text once, checking its grammar without decoding
// anything. It is exact: it stops at what encoding/json would refuse. An error
// sticks, and every loop ends on it.
type scanner struct {
	in    []byte
	pos   int
	depth int
	seen  traits // since the caller last cleared it
	err   error
}

// fail stops the scanner, at the first cause.
func (s *scanner) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// peek returns the first byte of the next token, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.in) {
		switch c := s.in[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.seen |= spaced
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// take consumes the next token if it is that byte.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// value passes over one value of any kind.
func (s *scanner) value() {
	switch c := s.peek(); c {
	case '"':
		s.text()
	case '{':
		s.object()
	case '[':
		s.array()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
}

// object passes over an object.
func (s *scanner) object() {
	s.open('{')
	for first := true; ; first = false {
		if _, more := s.member(first); !more {
			return
		}
		s.value()
	}
}

// array passes over an array.
func (s *scanner) array() {
	s.open('[')
	for first := true; s.element(first); first = false {
		s.value()
	}
}

// open consumes the bracket that begins an object or array.
func (s *scanner) open(bracket byte) {
	if !s.take(bracket) {
		s.fail(errSyntax)
	}
	if s.depth++; s.depth > maxDepth {
		s.fail(errDepth)
	}
}

// member consumes the name of the next member and its colon, or the end of the
// object: then more is false. The key is what stands between the quotes.
func (s *scanner) member(first bool) (key []byte, more bool) {
	if !s.next('}', first) {
		return nil, false
	}
	if s.peek() != '"' {
		s.fail(errSyntax)
		return nil, false
	}
	key = s.text()
	if !s.take(':') {
		s.fail(errSyntax)
	}
	return key, s.err == nil
}

// element tells whether the array has a next element, and consumes what is
// before it, or the end.
func (s *scanner) element(first bool) bool { return s.next(']', first) }

// next consumes the comma before another item, or the bracket that ends it all.
func (s *scanner) next(end byte, first bool) bool {
	switch {
	case s.err != nil:
		return false
	case s.take(end):
		s.depth--
		return false
	case !first && !s.take(','):
		s.fail(errSyntax)
		return false
	}
	return true
}

func (s *scanner) word(w string) {
	if end := s.pos + len(w); end <= len(s.in) && string(s.in[s.pos:end]) == w {
		s.pos = end
		return
	}
	s.fail(errSyntax)
}

// text passes over a string and returns what is between its quotes.
func (s *scanner) text() []byte {
	in, i := s.in, s.pos+1
	for i < len(in) {
		c := in[i]
		switch {
		case c == '"':
			inner := in[s.pos+1 : i]
			s.pos = i + 1
			return inner
		case c >= 0x80:
			s.seen |= foreign
			i++
		case c == '\\':
			n := s.escape(in[i:])
			if n == 0 {
				s.fail(errSyntax)
				return nil
			}
			i += n
		case c < 0x20:
			s.fail(errSyntax)
			return nil
		default:
			i++
		}
	}
	s.fail(errSyntax)
	return nil
}

// escape returns the length of the escape sequence at the start of in, 0 if it
// is none.
func (s *scanner) escape(in []byte) int {
	if len(in) < 2 {
		return 0
	}
	s.seen |= escaped
	switch in[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		unit, ok := hexUnit(in)
		if !ok {
			return 0
		}
		if isSurrogate(unit) {
			s.seen |= surrogate
		}
		return 6
	}
	return 0
}

// number passes over a number. One that no float64 can hold is refused, as
// nothing later could read it.
func (s *scanner) number() {
	start := s.pos
	if s.pos < len(s.in) && s.in[s.pos] == '-' {
		s.pos++
	}
	long := false
	switch n := s.digits(); {
	case n == 0, n > 1 && s.in[s.pos-n] == '0':
		s.fail(errSyntax)
		return
	case n > 300:
		long = true
	}
	if s.pos < len(s.in) && s.in[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			s.fail(errSyntax)
			return
		}
	}
	if s.pos < len(s.in) && s.in[s.pos]|0x20 == 'e' {
		long = true
		s.pos++
		if s.pos < len(s.in) && (s.in[s.pos] == '+' || s.in[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			s.fail(errSyntax)
			return
		}
	}
	if long {
		if _, err := strconv.ParseFloat(string(s.in[start:s.pos]), 64); err != nil {
			s.fail(errSyntax)
		}
	}
}

// digits passes over decimal digits and returns how many there were.
func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.in) && s.in[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - start
}

// hexUnit reads the UTF-16 code unit of an escape \uXXXX.
func hexUnit(in []byte) (unit rune, ok bool) {
	if len(in) < 6 || in[0] != '\\' || in[1] != 'u' {
		return 0, false
	}
	for _, c := range in[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

func isSurrogate(unit rune) bool { return unit >= 0xd800 && unit < 0xe000 }
