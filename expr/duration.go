package expr

import (
	"errors"
	"math"
	"strconv"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// durationUnits maps each unit of the extended grammar to nanoseconds.
var durationUnits = map[string]uint64{
	"ns": uint64(time.Nanosecond),
	"us": uint64(time.Microsecond),
	"µs": uint64(time.Microsecond), // U+00B5, micro sign
	"μs": uint64(time.Microsecond), // U+03BC, Greek mu
	"ms": uint64(time.Millisecond),
	"s":  uint64(time.Second),
	"m":  uint64(time.Minute),
	"h":  uint64(time.Hour),
	"d":  uint64(day),
	"w":  uint64(week),
}

// ParseDuration reads a duration in Go's syntax extended by d (24 hours) and w
// (7 days), as in "1w2d3h" or "-1.5h" (flow-control §3). The error texts are
// those of time.ParseDuration, because SDK users see them.
func ParseDuration(s string) (time.Duration, error) {
	rest, negative := s, false
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		negative = rest[0] == '-'
		rest = rest[1:]
	}
	if rest == "0" {
		return 0, nil
	}
	if rest == "" {
		return 0, invalidDuration(s)
	}
	var total uint64
	for rest != "" {
		part, after, err := parseDurationPart(s, rest)
		if err != nil {
			return 0, err
		}
		total += part
		if total > 1<<63 {
			return 0, invalidDuration(s)
		}
		rest = after
	}
	if negative {
		return -time.Duration(total), nil
	}
	if total > math.MaxInt64 {
		return 0, invalidDuration(s)
	}
	return time.Duration(total), nil
}

// parseDurationPart reads one number with its unit from the front of rest and
// returns its nanoseconds (at most 2^63) and what follows it.
func parseDurationPart(whole, rest string) (uint64, string, error) {
	digits := countDigits(rest)
	integer, ok := parseDigits(rest[:digits])
	if !ok {
		return 0, "", invalidDuration(whole)
	}
	rest = rest[digits:]
	fraction := ""
	if rest != "" && rest[0] == '.' {
		n := countDigits(rest[1:])
		fraction, rest = rest[1:1+n], rest[1+n:]
	}
	if digits == 0 && fraction == "" {
		return 0, "", invalidDuration(whole)
	}
	n := 0
	for n < len(rest) && rest[n] != '.' && (rest[n] < '0' || rest[n] > '9') {
		n++
	}
	if n == 0 {
		return 0, "", errors.New(`time: missing unit in duration "` + whole + `"`)
	}
	unit, ok := durationUnits[rest[:n]]
	if !ok {
		return 0, "", errors.New(`time: unknown unit "` + rest[:n] + `" in duration "` + whole + `"`)
	}
	if integer > 1<<63/unit {
		return 0, "", invalidDuration(whole)
	}
	value := integer*unit + fractionOf(fraction, unit)
	if value > 1<<63 {
		return 0, "", invalidDuration(whole)
	}
	return value, rest[n:], nil
}

// fractionOf is 0.digits of unit, in nanoseconds rounded towards zero.
func fractionOf(digits string, unit uint64) uint64 {
	var numerator uint64
	scale := 1.0
	for i := 0; i < len(digits) && numerator < (1<<63-1)/10; i++ {
		numerator = numerator*10 + uint64(digits[i]-'0')
		scale *= 10
	}
	return uint64(float64(numerator) * (float64(unit) / scale))
}

func countDigits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// parseDigits reads decimal digits; an empty string is 0, more than 2^63 fails.
func parseDigits(s string) (uint64, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= 1<<63
}

func invalidDuration(s string) error {
	return errors.New(`time: invalid duration "` + s + `"`)
}

// FormatDuration writes d in the canonical form that is stored with a
// throttle: largest units first, zero parts left out, "0s" for zero
// (flow-control §3).
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var out []byte
	rest := uint64(d)
	if d < 0 {
		out = append(out, '-')
		rest = -rest
	}
	for _, unit := range [...]struct {
		name string
		size time.Duration
	}{
		{"w", week}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
		{"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", time.Nanosecond},
	} {
		size := uint64(unit.size)
		if n := rest / size; n > 0 {
			out = append(strconv.AppendUint(out, n, 10), unit.name...)
			rest %= size
		}
	}
	return string(out)
}
