package executor

import "time"

// backoff is the delay after failing attempt n (0-based), before jitter
// (sdk-protocol §15.3).
var backoff = [...]time.Duration{
	15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
	10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, 2 * time.Hour,
}

// maxJitter bounds what is added to the table at random.
const maxJitter = 30 * time.Second

// Backoff is the delay before the attempt that follows attempt n. random is
// in [0,1). A fixed interval replaces table and jitter.
func Backoff(n int, fixed time.Duration, random float64) time.Duration {
	if fixed > 0 {
		return fixed
	}
	n = min(max(n, 0), len(backoff)-1)
	return backoff[n] + time.Duration(random*float64(maxJitter))
}
