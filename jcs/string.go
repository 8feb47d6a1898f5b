package jcs

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Compare orders two UTF-8 texts by their UTF-16 code units, the order of
// member names in canonical JSON. It is byte order but for one case: letters
// above U+FFFF (lead byte 0xF0 and up) are surrogate pairs in UTF-16 and sort
// before U+E000 to U+FFFF (lead bytes 0xEE and 0xEF).
func Compare[T string | []byte](a, b T) int {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) {
			x, y = y, x
		}
		if x < y {
			return -1
		}
		return 1
	}
	return len(a) - len(b)
}

// stringValue reads the string literal at pos and returns its unescaped text:
// a part of the input where possible, else built in scratch.
func (c *canonicalizer) stringValue(scratch *[]byte) ([]byte, error) {
	c.pos++
	rest := c.in[c.pos:]
	for i, b := range rest {
		switch {
		case b == '"':
			c.pos += i + 1
			return rest[:i], nil
		case b == '\\':
			c.pos += i
			*scratch = append((*scratch)[:0], rest[:i]...)
			return c.escapedString(scratch)
		case b < ' ':
			return nil, fmt.Errorf("control character in string at byte %d", c.pos+i)
		}
	}
	return nil, errors.New("unexpected end of JSON input")
}

// escapedString goes on with stringValue at the first escape, appending the
// unescaped text to what scratch holds already.
func (c *canonicalizer) escapedString(scratch *[]byte) ([]byte, error) {
	text := *scratch
	for c.pos < len(c.in) {
		switch b := c.in[c.pos]; {
		case b == '"':
			c.pos++
			*scratch = text
			return text, nil
		case b == '\\':
			r, err := c.escape()
			if err != nil {
				return nil, err
			}
			text = utf8.AppendRune(text, r)
		case b < ' ':
			return nil, fmt.Errorf("control character in string at byte %d", c.pos)
		default:
			text = append(text, b)
			c.pos++
		}
	}
	return nil, errors.New("unexpected end of JSON input")
}

// escape reads one escape sequence, or two that make a surrogate pair. A
// surrogate without its other half becomes U+FFFD.
func (c *canonicalizer) escape() (rune, error) {
	if c.pos+1 >= len(c.in) {
		return 0, errors.New("unexpected end of JSON input")
	}
	kind := c.in[c.pos+1]
	if kind != 'u' {
		at := bytes.IndexByte([]byte(`"\/bfnrt`), kind)
		if at < 0 {
			return 0, fmt.Errorf("invalid escape at byte %d", c.pos)
		}
		c.pos += 2
		return rune("\"\\/\b\f\n\r\t"[at]), nil
	}
	first, ok := hex4(c.in[c.pos:])
	if !ok {
		return 0, fmt.Errorf("invalid escape at byte %d", c.pos)
	}
	c.pos += 6
	if !utf16.IsSurrogate(first) {
		return first, nil
	}
	if second, ok := hex4(c.in[c.pos:]); ok {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			c.pos += 6
			return r, nil
		}
	}
	return utf8.RuneError, nil
}

// hex4 reads "\uXXXX" at the start of in.
func hex4(in []byte) (rune, bool) {
	if len(in) < 6 || in[0] != '\\' || in[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, d := range in[2:6] {
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d >= 'a' && d <= 'f':
			d -= 'a' - 10
		case d >= 'A' && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// AppendString appends text as a canonical string literal: only the quote, the
// backslash and control characters are escaped; invalid UTF-8 is replaced.
func AppendString[T string | []byte](dst []byte, text T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(text); {
		b := text[i]
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if r == utf8.RuneError && size == 1 {
				dst = utf8.AppendRune(append(dst, text[done:i]...), r)
				done = i + 1
			}
			i += size
			continue
		}
		if short := shortEscape[b]; short != 0 {
			dst = append(dst, text[done:i]...)
			dst = append(dst, '\\', short)
			done = i + 1
		} else if b < ' ' {
			dst = append(dst, text[done:i]...)
			dst = append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
			done = i + 1
		}
		i++
	}
	return append(append(dst, text[done:]...), '"')
}

// shortEscape has the letter of each two-character escape.
var shortEscape = [utf8.RuneSelf]byte{
	'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't',
}
