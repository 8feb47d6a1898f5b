package bus

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// The subjects (DESIGN §2). Event names keep their dots, so that a NATS
// client can subscribe to jetstep.event.*.app/user.>.
const (
	subjectRoot = "jetstep."
	eventPrefix = subjectRoot + "event."
	logPrefix   = subjectRoot + "log."
	inPrefix    = subjectRoot + "in."
)

// EventSubject is where an event of that name is stored.
func EventSubject(partition int, name string) string {
	return eventPrefix + strconv.Itoa(partition) + "." + EscapeSubject(name)
}

// eventName is the reverse of EventSubject.
func eventName(subject string) (string, error) {
	rest := strings.TrimPrefix(subject, eventPrefix)
	_, escaped, ok := strings.Cut(rest, ".")
	if !ok {
		return "", fmt.Errorf("subject %q holds no event name", subject)
	}
	return UnescapeSubject(escaped)
}

// PartitionOf spreads a key over n partitions, stably.
func PartitionOf(key string, n int) int {
	return int(xxhash.Sum64String(key) % uint64(n))
}

// EscapeSubject turns any non-empty text into legal subject tokens, reversibly:
// bytes that NATS forbids or treats specially become %XX, and so does a dot
// that would make an empty token. In text that is no UTF-8, every byte above
// 0x7f does, since subjects also travel in JSON.
func EscapeSubject(s string) string {
	valid := utf8.ValidString(s)
	plain := valid
	for i := 0; i < len(s) && plain; i++ {
		plain = !mustEscape(s, i)
	}
	if plain {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		if mustEscape(s, i) || !valid && s[i] >= utf8.RuneSelf {
			b = append(b, '%', hex[s[i]>>4], hex[s[i]&15])
		} else {
			b = append(b, s[i])
		}
	}
	return string(b)
}

func mustEscape(s string, i int) bool {
	switch c := s[i]; {
	case c <= ' ', c == 0x7f, c == '*', c == '>', c == '%':
		return true
	case c == '.':
		return i == 0 || i == len(s)-1 || s[i-1] == '.'
	case c == '$':
		return i == 0
	}
	return false
}

// UnescapeSubject is the reverse of EscapeSubject.
func UnescapeSubject(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("subject token %q ends inside an escape", s)
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("subject token %q has a bad escape at byte %d", s, i)
		}
		b = append(b, byte(c))
		i += 2
	}
	return string(b), nil
}
