package expr

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrUnknownDate means a text or number in none of the accepted date formats.
var ErrUnknownDate = errors.New("unknown date format")

// dateLayouts are tried in order (expressions.md §12).
var dateLayouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	time.RFC1123,
	time.RFC822,
	time.RFC822Z,
	time.RFC850,
	time.RubyDate,
	time.UnixDate,
	time.ANSIC,
	time.Stamp,
	time.StampMilli,
	time.DateOnly,
	"2006-01-02 15:04:05.999999999 -0700 MST",
}

// ParseDate reads a date in any of the formats that date() and step.sleepUntil
// accept; a date without a zone is UTC. The error is ErrUnknownDate.
func ParseDate(s string) (time.Time, error) {
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, ErrUnknownDate
}

// dateFromNumber reads a Unix time whose unit (seconds, milliseconds or
// nanoseconds) follows from its size. Milliseconds beyond the year 2262 wrap
// around, as they do in stored comparisons (expressions.md §12).
func dateFromNumber(n int64) (time.Time, error) {
	const year2000 = 946_684_800
	switch {
	case n < year2000:
		return time.Time{}, ErrUnknownDate
	case n < 9_999_999_999:
		return time.Unix(n, 0).UTC(), nil
	case n < 9_999_999_999_999:
		return time.Unix(0, n*int64(time.Millisecond)).UTC(), nil
	default:
		return time.Unix(0, n).UTC(), nil
	}
}

// minDateLength is the length from which a sleep's text may be a date.
const minDateLength = len("2006-01-02")

// ParseUntil reads how long a step waits, as an instant: empty is now; a date
// of at least ten characters is that date with the wait rounded to seconds, or
// now if it has passed; anything else is a duration from now (sdk-protocol
// §12.5). A negative duration gives an instant in the past.
func ParseUntil(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return now, nil
	}
	if len(s) >= minDateLength {
		if date, err := ParseDate(s); err == nil {
			return now.Add(max(date.Sub(now).Round(time.Second), 0)), nil
		}
	}
	d, err := ParseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("invalid duration %q: %w", s, err)
	}
	return now.Add(d), nil
}

// ParseTimeout reads the timeout of a cancellation or of a pause: a duration
// from now, or, when the text has an upper-case T, an RFC 3339 instant
// (flow-control §3). Unlike ParseUntil it accepts neither an empty text nor
// other date formats.
func ParseTimeout(s string, now time.Time) (time.Time, error) {
	if strings.ContainsRune(s, 'T') {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return time.Time{}, fmt.Errorf("invalid RFC 3339 timestamp %q: %w", s, err)
		}
		return t, nil
	}
	d, err := ParseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("invalid duration %q: %w", s, err)
	}
	return now.Add(d), nil
}
