package jcs

import "unicode/utf8"

// isCanonical tells whether raw surely is canonical JSON. It may say no to
// canonical input that is dear to prove (escaped names, long numbers,
// exponents, deep nesting); that input only takes the longer way.
func isCanonical(raw []byte) bool {
	end, ok := scanValue(raw, 0, 0)
	return ok && end == len(raw)
}

// scanValue checks the value at pos and returns where it ends.
func scanValue(in []byte, pos, depth int) (end int, ok bool) {
	if pos >= len(in) || depth > maxCanonicalDepth {
		return pos, false
	}
	switch in[pos] {
	case '{':
		return scanObject(in, pos+1, depth+1)
	case '[':
		return scanArray(in, pos+1, depth+1)
	case '"':
		return scanString(in, pos+1, true)
	case 't':
		return scanLiteral(in, pos, "true")
	case 'f':
		return scanLiteral(in, pos, "false")
	case 'n':
		return scanLiteral(in, pos, "null")
	default:
		return scanNumber(in, pos)
	}
}

func scanObject(in []byte, pos, depth int) (end int, ok bool) {
	if pos < len(in) && in[pos] == '}' {
		return pos + 1, true
	}
	var previous []byte
	for first := true; ; first = false {
		if pos >= len(in) || in[pos] != '"' {
			return pos, false
		}
		after, ok := scanString(in, pos+1, false)
		if !ok || after >= len(in) || in[after] != ':' {
			return pos, false
		}
		name := in[pos+1 : after-1]
		if !first && Compare(previous, name) >= 0 {
			return pos, false
		}
		previous = name
		if pos, ok = scanValue(in, after+1, depth); !ok || pos >= len(in) {
			return pos, false
		}
		switch in[pos] {
		case ',':
			pos++
		case '}':
			return pos + 1, true
		default:
			return pos, false
		}
	}
}

func scanArray(in []byte, pos, depth int) (end int, ok bool) {
	if pos < len(in) && in[pos] == ']' {
		return pos + 1, true
	}
	for {
		if pos, ok = scanValue(in, pos, depth); !ok || pos >= len(in) {
			return pos, false
		}
		switch in[pos] {
		case ',':
			pos++
		case ']':
			return pos + 1, true
		default:
			return pos, false
		}
	}
}

// scanString checks the string whose text begins at pos. Names may not be
// escaped at all, so that they can be compared as they stand.
func scanString(in []byte, pos int, escapes bool) (end int, ok bool) {
	start, ascii := pos, true
	for pos < len(in) {
		switch b := in[pos]; {
		case b == '"':
			return pos + 1, ascii || utf8.Valid(in[start:pos])
		case b == '\\':
			if !escapes || pos+1 >= len(in) || !isShortEscape(in[pos+1]) {
				return pos, false
			}
			pos += 2
		case b < ' ':
			return pos, false
		default:
			ascii = ascii && b < utf8.RuneSelf
			pos++
		}
	}
	return pos, false
}

func isShortEscape(letter byte) bool {
	switch letter {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return true
	}
	return false
}

func scanLiteral(in []byte, pos int, word string) (end int, ok bool) {
	end = pos + len(word)
	if end > len(in) || string(in[pos:end]) != word {
		return pos, false
	}
	return end, true
}

// Decimals of up to 15 digits survive a float64 unchanged, and ECMAScript
// writes those from 1e-6 up without an exponent.
const (
	maxPlainDigits   = 15
	maxPlainFraction = 6 // digits after "0."
)

// scanNumber finds the end of the number at pos (pos itself if there is none)
// and tells whether it surely is in canonical form.
func scanNumber(in []byte, pos int) (end int, plain bool) {
	start := pos
	negative := pos < len(in) && in[pos] == '-'
	if negative {
		pos++
	}
	whole := scanDigits(in, pos)
	if whole == pos || in[pos] == '0' && whole > pos+1 {
		return start, false
	}
	zero := in[pos] == '0'
	digits := whole - pos
	plain = !(negative && zero)
	pos = whole
	if pos < len(in) && in[pos] == '.' {
		end = scanDigits(in, pos+1)
		if end == pos+1 {
			return start, false
		}
		fraction := end - pos - 1
		digits += fraction
		plain = in[end-1] != '0' && !(zero && fraction > maxPlainFraction)
		pos = end
	}
	plain = plain && digits <= maxPlainDigits
	if pos < len(in) && (in[pos] == 'e' || in[pos] == 'E') {
		pos++
		if pos < len(in) && (in[pos] == '+' || in[pos] == '-') {
			pos++
		}
		end = scanDigits(in, pos)
		if end == pos {
			return start, false
		}
		return end, false
	}
	return pos, plain
}

func scanDigits(in []byte, pos int) int {
	for pos < len(in) && in[pos] >= '0' && in[pos] <= '9' {
		pos++
	}
	return pos
}
