package expr

import (
	"strconv"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// maxLifted is how many literals of a text are lifted: vars.a to vars.z.
const maxLifted = 26

// lifter takes the literals out of an expression (expressions.md §5), so that
// texts which differ only in them share one program.
type lifter struct {
	text     string
	pos      int
	out      strings.Builder
	literals []ref.Val
	brackets int
	// faithful keeps CEL's meaning of every literal, where otherwise escapes
	// stay unread, an open string ends with the text, and prefixes are lost.
	faithful bool
}

// lift returns the text with vars.a, vars.b, … in place of its literals, and
// these. A text that uses vars itself is left alone.
func lift(text string, faithful bool) (string, []ref.Val) {
	if strings.Contains(text, varsVariable+".") {
		return text, nil
	}
	l := lifter{text: text, faithful: faithful}
	l.out.Grow(len(text))
	for l.pos < len(text) {
		l.next()
	}
	return l.out.String(), l.literals
}

func (l *lifter) next() {
	c := l.text[l.pos]
	switch {
	case c == '"' || c == '\'':
		l.liftString(c)
	case strings.HasPrefix(l.text[l.pos:], "//"):
		l.skipComment()
	case isLetter(c):
		l.copyName()
	case isDigit(c), c == '.' && l.pos+1 < len(l.text) && isDigit(l.text[l.pos+1]) && !l.afterOperand():
		l.liftNumber()
	default:
		switch c {
		case '[':
			l.brackets++
		case ']':
			l.brackets--
		}
		l.copyTo(l.pos + 1)
	}
}

func (l *lifter) copyTo(end int) {
	l.out.WriteString(l.text[l.pos:end])
	l.pos = end
}

func (l *lifter) skipComment() {
	end := strings.IndexByte(l.text[l.pos:], '\n')
	if end < 0 {
		l.pos = len(l.text)
		return
	}
	l.pos += end
}

// copyName copies a name; in faithful mode also the string behind a prefix.
func (l *lifter) copyName() {
	end := l.pos
	for end < len(l.text) && (isLetter(l.text[end]) || isDigit(l.text[end])) {
		end++
	}
	l.copyTo(end)
	if l.faithful && end < len(l.text) && (l.text[end] == '"' || l.text[end] == '\'') {
		l.copyTo(l.stringEnd(l.text[end]))
	}
}

// afterOperand tells whether a point at pos selects from what is before it.
func (l *lifter) afterOperand() bool {
	if l.pos == 0 {
		return false
	}
	c := l.text[l.pos-1]
	return isLetter(c) || isDigit(c) || c == ')' || c == ']' || c == '}'
}

// stringEnd is the position behind the string that starts at pos.
func (l *lifter) stringEnd(quote byte) int {
	triple := strings.Repeat(string(quote), 3)
	if l.faithful && strings.HasPrefix(l.text[l.pos:], triple) {
		if end := strings.Index(l.text[l.pos+3:], triple); end >= 0 {
			return l.pos + 3 + end + 3
		}
		return len(l.text)
	}
	for end := l.pos + 1; end < len(l.text); end++ {
		switch l.text[end] {
		case '\\':
			end++
		case quote:
			return end + 1
		}
	}
	return len(l.text)
}

func (l *lifter) liftString(quote byte) {
	end := l.stringEnd(quote)
	literal := l.text[l.pos:end]
	closed := len(literal) > 1 && literal[len(literal)-1] == quote && !endsEscaped(literal)
	if l.faithful && (!closed || strings.ContainsAny(literal, "\\\n\r") || len(literal) > 4 && literal[1] == quote) {
		l.copyTo(end)
		return
	}
	l.pos = end
	value := literal[1:]
	if closed {
		value = value[:len(value)-1]
	}
	l.put(types.String(value))
}

// endsEscaped tells whether the last quote of an unclosed literal is escaped.
func endsEscaped(literal string) bool {
	body := literal[:len(literal)-1]
	return (len(body)-len(strings.TrimRight(body, `\`)))%2 == 1
}

func (l *lifter) liftNumber() {
	end, isInt := numberEnd(l.text, l.pos)
	token := l.text[l.pos:end]
	if l.brackets > 0 || end < len(l.text) && isLetter(l.text[end]) {
		for end < len(l.text) && (isLetter(l.text[end]) || isDigit(l.text[end])) {
			end++ // 0x1F, 5u
		}
		l.copyTo(end)
		return
	}
	if isInt {
		if n, err := strconv.ParseInt(token, 10, 64); err == nil {
			l.pos = end
			l.put(types.Int(n))
			return
		}
	} else if f, err := strconv.ParseFloat(token, 64); err == nil {
		l.pos = end
		l.put(types.Double(f))
		return
	}
	l.copyTo(end)
}

// numberEnd is the position behind the decimal number at pos.
func numberEnd(text string, pos int) (end int, isInt bool) {
	end, isInt = pos+countDigits(text[pos:]), true
	if end+1 < len(text) && text[end] == '.' && isDigit(text[end+1]) {
		end += 1 + countDigits(text[end+1:])
		isInt = false
	}
	if end < len(text) && (text[end] == 'e' || text[end] == 'E') {
		exponent := end + 1
		if exponent < len(text) && (text[exponent] == '+' || text[exponent] == '-') {
			exponent++
		}
		if exponent < len(text) && isDigit(text[exponent]) {
			return exponent + countDigits(text[exponent:]), false
		}
	}
	return end, isInt
}

// put writes the name of a literal, or itself when the names are used up.
func (l *lifter) put(value ref.Val) {
	if len(l.literals) < maxLifted {
		l.out.WriteString(varsVariable + "." + string(rune('a'+len(l.literals))))
		l.literals = append(l.literals, value)
		return
	}
	switch v := value.(type) {
	case types.String:
		l.out.WriteString(strconv.Quote(string(v)))
	case types.Int:
		l.out.WriteString(strconv.FormatInt(int64(v), 10))
	case types.Double:
		l.out.WriteString(strconv.FormatFloat(float64(v), 'f', -1, 64))
	}
}

func isLetter(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9'
}
