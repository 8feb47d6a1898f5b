package expr

import (
	"strconv"
	"strings"

	"github.com/google/cel-go/common/types"
)

// conjunction reads the form of nearly all waits, equalities of async paths
// with literals joined by &&, without CEL's parser. It accepts a subset of
// CEL's grammar and leaves all else, valid or not, to that parser.
type conjunction struct {
	text string
	pos  int
}

// parseConjunction is not ok for anything but a conjunction of equalities.
func parseConjunction(text string) (equalities []equality, ok bool) {
	c := conjunction{text: text}
	for {
		eq, ok := c.equality()
		if !ok {
			return nil, false
		}
		equalities = append(equalities, eq)
		if c.space(); c.pos == len(text) {
			return equalities, true
		}
		if !c.token("&&") {
			return nil, false
		}
	}
}

func (c *conjunction) space() {
	for c.pos < len(c.text) && strings.IndexByte(" \t\r\n", c.text[c.pos]) >= 0 {
		c.pos++
	}
}

func (c *conjunction) token(token string) bool {
	c.space()
	if !strings.HasPrefix(c.text[c.pos:], token) {
		return false
	}
	c.pos += len(token)
	return true
}

// equality reads path == literal or literal == path.
func (c *conjunction) equality() (eq equality, ok bool) {
	eq.lifted = -1
	if eq.segments, ok = c.path(); ok {
		if !c.token("==") {
			return eq, false
		}
		ok = c.literal(&eq)
		return eq, ok
	}
	if !c.literal(&eq) || !c.token("==") {
		return eq, false
	}
	eq.segments, ok = c.path()
	return eq, ok
}

func (c *conjunction) name() string {
	start := c.pos
	for c.pos < len(c.text) && (isLetter(c.text[c.pos]) || c.pos > start && isDigit(c.text[c.pos])) {
		c.pos++
	}
	return c.text[start:c.pos]
}

// path reads async followed by at least one .name or ["name"].
func (c *conjunction) path() ([]segment, bool) {
	c.space()
	if start := c.pos; c.name() != asyncVariable {
		c.pos = start
		return nil, false
	}
	var segments []segment
	for {
		switch {
		case c.token("."):
			c.space()
			name := c.name()
			switch name {
			case "", "in", "true", "false", "null": // no names in CEL
				return nil, false
			}
			segments = append(segments, segment{field: name})
		case c.token("["):
			c.space()
			name, ok := c.string()
			if !ok || !c.token("]") {
				return nil, false
			}
			segments = append(segments, segment{field: name})
		default:
			return segments, len(segments) > 0
		}
	}
}

// string reads a quoted string without escapes.
func (c *conjunction) string() (string, bool) {
	if c.pos == len(c.text) {
		return "", false
	}
	quote := c.text[c.pos]
	if quote != '"' && quote != '\'' {
		return "", false
	}
	length := strings.IndexByte(c.text[c.pos+1:], quote)
	if length < 0 {
		return "", false
	}
	value := c.text[c.pos+1 : c.pos+1+length]
	c.pos += length + 2
	if c.pos < len(c.text) && c.text[c.pos] == quote || strings.ContainsAny(value, "\\\r\n") {
		return "", false // a triple quote, an escape, or no string at all
	}
	return value, true
}

func (c *conjunction) literal(eq *equality) bool {
	c.space()
	if c.pos == len(c.text) {
		return false
	}
	switch first := c.text[c.pos]; {
	case first == '"' || first == '\'':
		value, ok := c.string()
		eq.value = types.String(value)
		return ok
	case isLetter(first):
		switch c.name() {
		case "true":
			eq.value = types.True
		case "false":
			eq.value = types.False
		case "null":
			eq.value = types.NullValue
		default:
			return false
		}
		return true
	default:
		return c.number(eq)
	}
}

func (c *conjunction) number(eq *equality) bool {
	start := c.pos
	if c.text[c.pos] == '-' {
		c.pos++
	}
	end, isInt := numberEnd(c.text, c.pos)
	if end == c.pos || end < len(c.text) && (isLetter(c.text[end]) || c.text[end] == '.') {
		return false // no number, 5u, 0x1F, or a method
	}
	token := c.text[start:end]
	c.pos = end
	if isInt {
		n, err := strconv.ParseInt(token, 10, 64)
		eq.value = types.Int(n)
		return err == nil
	}
	f, err := strconv.ParseFloat(token, 64)
	eq.value = types.Double(f)
	return err == nil
}
