package format

import "encoding/json"

// What follows goes through JSON that is known to be valid, without copying it.

// eachMember calls visit with the members of an object, in order. visit must not
// keep the name.
func eachMember(object []byte, visit func(name []byte, value json.RawMessage) error) error {
	for at := skipSpace(object, 1); object[at] != '}'; {
		end := skipValue(object, at)
		name := object[at+1 : end-1]
		if !plain(name) {
			unquoted, err := text(object[at:end])
			if err != nil {
				return err
			}
			name = []byte(unquoted)
		}
		at = skipSpace(object, skipSpace(object, end)+1) // behind the colon
		end = skipValue(object, at)
		if err := visit(name, object[at:end:end]); err != nil {
			return err
		}
		at = skipComma(object, end)
	}
	return nil
}

// elements are those of a list.
func elements(list []byte) []json.RawMessage {
	var all []json.RawMessage
	for at := skipSpace(list, 1); list[at] != ']'; {
		end := skipValue(list, at)
		all = append(all, list[at:end:end])
		at = skipComma(list, end)
	}
	return all
}

// text is what a string says.
func text(quoted []byte) (string, error) {
	if inner := quoted[1 : len(quoted)-1]; plain(inner) {
		return string(inner), nil
	}
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err
}

// plain tells whether a string means itself: it has nothing that is escaped, or
// that could be no text.
func plain[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func skipSpace(b []byte, at int) int {
	for b[at] == ' ' || b[at] == '\n' || b[at] == '\t' || b[at] == '\r' {
		at++
	}
	return at
}

// skipComma goes on to the next member, or to the end of what it is in.
func skipComma(b []byte, at int) int {
	if at = skipSpace(b, at); b[at] == ',' {
		at = skipSpace(b, at+1)
	}
	return at
}

// skipValue is where the value ends that begins there.
func skipValue(b []byte, at int) int {
	switch b[at] {
	case '"':
		return skipString(b, at)
	case '{', '[':
		return skipNested(b, at)
	}
	for at < len(b) {
		switch b[at] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return at
		}
		at++
	}
	return at
}

func skipString(b []byte, at int) int {
	for at++; b[at] != '"'; at++ {
		if b[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func skipNested(b []byte, at int) int {
	for depth := 0; ; at++ {
		switch b[at] {
		case '"':
			at = skipString(b, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
}
