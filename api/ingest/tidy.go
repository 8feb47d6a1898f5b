package ingest

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// reservedKey is the member of data that only the server may set.
const reservedKey = "_inngest"

// isReserved tells whether a member's raw name stands for reservedKey, however
// it is spelled: escapes only make it longer.
func isReserved(key []byte) bool {
	if len(key) <= len(reservedKey) {
		return string(key) == reservedKey
	}
	return bytes.IndexByte(key, '\\') >= 0 && unquote(key) == reservedKey
}

// unquote decodes the inside of a JSON string that a scanner has passed.
func unquote(inner []byte) string {
	quoted := make([]byte, 0, len(inner)+2)
	quoted = append(append(append(quoted, '"'), inner...), '"')
	var s string
	_ = json.Unmarshal(quoted, &s) // it is a valid string
	return s
}

// tidied returns a value that a scanner has passed with those traits in
// stored form: no white space between tokens, and strings of valid Unicode
// only. Most values are in that form already and are returned as they are.
func tidied(raw []byte, seen traits) []byte {
	if seen&(spaced|surrogate) == 0 && (seen&foreign == 0 || utf8.Valid(raw)) {
		return raw
	}
	return appendTidy(make([]byte, 0, len(raw)+16), raw)
}

// withoutReserved is tidied for an object, with reservedKey left out.
func withoutReserved(raw []byte) []byte {
	out := append(make([]byte, 0, len(raw)), '{')
	s := scanner{in: raw}
	s.open('{')
	for first := true; ; first = false {
		s.peek()
		key, more := s.member(first)
		if !more {
			break
		}
		s.peek()
		from := s.pos
		s.value()
		if isReserved(key) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = appendTidyText(append(out, '"'), key)
		out = append(out, '"', ':')
		out = appendTidy(out, raw[from:s.pos])
	}
	return append(out, '}')
}

// appendTidy appends any value.
func appendTidy(out, raw []byte) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
		case '"':
			end := i + 1
			for raw[end] != '"' {
				if raw[end] == '\\' {
					end++
				}
				end++
			}
			out = appendTidyText(append(out, '"'), raw[i+1:end])
			out = append(out, '"')
			i = end + 1
		default:
			out = append(out, c)
			i++
		}
	}
	return out
}

// appendTidyText appends the inside of a string. Bytes that are not UTF-8 and
// halves of surrogate pairs become U+FFFD, as encoding/json decodes them.
func appendTidyText(out, inner []byte) []byte {
	for i := 0; i < len(inner); {
		c := inner[i]
		switch {
		case c == '\\' && inner[i+1] == 'u':
			n := wholeUnits(inner[i:])
			if n == 0 {
				out = append(out, `\ufffd`...)
				i += 6
				continue
			}
			out = append(out, inner[i:i+n]...)
			i += n
		case c == '\\':
			out = append(out, c, inner[i+1])
			i += 2
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(inner[i:])
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	return out
}

// wholeUnits returns the length of the escapes at the start of in that make
// one code point, 0 if there is only half of one.
func wholeUnits(in []byte) int {
	unit, _ := hexUnit(in)
	if !isSurrogate(unit) {
		return 6
	}
	if second, ok := hexUnit(in[6:]); ok && utf16.DecodeRune(unit, second) != utf8.RuneError {
		return 12
	}
	return 0
}
