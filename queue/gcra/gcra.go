// Package gcra owns the arithmetic of throttles (flow-control §15) and rate
// limits (flow-control §10): the generic cell rate algorithm, which needs one
// number per key, the theoretical arrival time (TAT).
//
// It guarantees the numbers of the original, kept as doubles like there. It is
// pure: it has no clock and stores nothing.
package gcra

import (
	"math"
	"time"
)

// Limit is a rate with a burst. The times given to its methods are in its
// unit, since 1970: milliseconds for a throttle, nanoseconds for a rate limit.
type Limit struct {
	// Emission is the time between two admissions at the steady rate.
	Emission float64
	// Variance is how far ahead of the clock the TAT may be:
	// Variance/Emission admissions pass at once when nothing came for long.
	Variance float64
	// Second is a second in the limit's unit.
	Second float64
}

// Throttle is the limit of a throttle, in milliseconds: limit + burst starts
// pass at once, then limit in each period (flow-control §15). A limit of 0
// counts as 1 for the rate.
func Throttle(limit, burst uint, period time.Duration) Limit {
	const unit = float64(time.Millisecond)
	emission := float64(period) / unit / float64(max(limit, 1))
	return Limit{
		Emission: emission,
		Variance: emission * max(float64(limit)+float64(burst), 1),
		Second:   float64(time.Second) / unit,
	}
}

// RateLimit is the limit of a rate limit, in nanoseconds: one event in each
// period/limit, and a tenth of limit more when none came for long
// (flow-control §10).
func RateLimit(limit uint, period time.Duration) Limit {
	emission := float64(period) / float64(max(limit, 1))
	return Limit{
		Emission: emission,
		Variance: emission * float64(limit/10+1),
		Second:   float64(time.Second),
	}
}

// Admit decides about one admission at now. tat is what the last admission of
// the key left; any time that is not after now, such as 0, stands for none.
// When ok, newTAT is what must be kept for the next decision; otherwise it is
// tat, and nothing is to be kept. retryAt is the earliest time at which the
// next decision of the key can be ok: now while capacity remains.
func (l Limit) Admit(now, tat float64) (newTAT float64, ok bool, retryAt float64) {
	next := max(now, tat) + l.Emission
	if now < next-l.Variance {
		return tat, false, next - l.Variance
	}
	return next, true, max(now, next+l.Emission-l.Variance)
}

// Remaining is how many admissions would pass at now.
func (l Limit) Remaining(now, tat float64) int {
	if l.Emission <= 0 {
		return math.MaxInt
	}
	return int(max(0, math.Floor((l.Variance-(max(now, tat)-now))/l.Emission)))
}

// Carried is what counts of a TAT that may have been left when the limit was
// another one: no limit has to make up for more than all of itself. Otherwise
// one that was meant for days would go on for days after it was relaxed. A
// second more may come from clocks that differ.
func (l Limit) Carried(now, tat float64) float64 {
	if tat > now+l.Variance+l.Second {
		return now + l.Variance
	}
	return tat
}

// Lapsed tells whether tat says no more than having no TAT: it can be
// forgotten.
func (l Limit) Lapsed(now, tat float64) bool { return tat <= now }

// TTL is for how many seconds the original keeps newTAT in Redis after an
// admission at now: whole ones, so that a key may vanish up to a second before
// its time, which fills the bucket. Whoever needs exact limits does not let the
// TAT expire.
func (l Limit) TTL(now, newTAT float64) int {
	return int(max(newTAT-now, l.Second) / l.Second)
}
