package driver

import (
	"strconv"
	"strings"
	"time"

	"jetstep/expr"
)

// Bounds of Retry-After, from now (sdk-protocol §9.7).
const (
	minRetryAfter = time.Second
	maxRetryAfter = 24 * time.Hour
)

// parseRetryAfter reads seconds or a date. Seconds count from now truncated to
// the second, so that 3 is 2.x s. What it cannot read is the zero time.
func parseRetryAfter(value string, now time.Time) time.Time {
	const maxDigits = 7
	var at time.Time
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 && len(value) <= maxDigits {
		at = now.Truncate(time.Second).Add(time.Duration(seconds) * time.Second)
	} else if value == "" {
		return time.Time{}
	} else if at, err = expr.ParseDate(value); err != nil {
		return time.Time{}
	}
	if earliest := now.Add(minRetryAfter); at.Before(earliest) {
		return earliest
	}
	if latest := now.Add(maxRetryAfter); at.After(latest) {
		return latest
	}
	return at
}

// forbidsRetry reads X-Inngest-No-Retry (sdk-protocol §9.6). Old TypeScript
// SDKs did not send it; they meant 4xx to be final.
func forbidsRetry(a Answer) bool {
	if value := a.Header.Get(headerNoRetry); value != "" {
		return value == "true"
	}
	return a.Status >= 400 && a.Status < 500 && predatesNoRetry(a.Header.Get(headerSDK))
}

// predatesNoRetry tells whether an SDK is inngest-js 1.x below 1.10.1 or 2.x
// below 2.4.1.
func predatesNoRetry(sdk string) bool {
	version, ok := strings.CutPrefix(sdk, "inngest-js:v")
	if !ok {
		return false
	}
	var number [3]int
	for i, part := range strings.SplitN(version, ".", len(number)) {
		part, _, _ = strings.Cut(part, "-") // of a pre-release
		n, err := strconv.Atoi(part)
		if err != nil {
			return false
		}
		number[i] = n
	}
	below := func(minor, patch int) bool {
		return number[1] < minor || number[1] == minor && number[2] < patch
	}
	return number[0] == 1 && below(10, 1) || number[0] == 2 && below(4, 1)
}
