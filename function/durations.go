package function

import (
	"strings"
	"time"

	"jetstep/expr"
)

// The durations of a configuration are stored as users wrote them. These read
// them; they cannot fail for a Function that passed Validate, except where
// their comment says so.

// Wait is how long a batch collects events at most. Only here, days and weeks
// are no units.
func (b *EventBatch) Wait() (time.Duration, error) {
	return time.ParseDuration(b.Timeout)
}

// Wait is how long the function's events must pause.
func (d *Debounce) Wait() (time.Duration, error) {
	return expr.ParseDuration(d.Period)
}

// Limit is how long a debounce may put off a run in all, 0 for no limit. A
// text that cannot be read means no limit, as registration accepts it.
func (d *Debounce) Limit() time.Duration {
	limit, err := expr.ParseDuration(d.Timeout)
	if err != nil {
		return 0
	}
	return limit
}

// Window is the time in which the limit is counted.
func (r *RateLimit) Window() (time.Duration, error) {
	return expr.ParseDuration(r.Period)
}

// Window is the time in which the limit is counted.
func (t *Throttle) Window() (time.Duration, error) {
	return expr.ParseDuration(t.Period)
}

// StartLimit is how long a run may wait to start, 0 for ever; t may be nil.
func (t *Timeouts) StartLimit() (time.Duration, error) {
	if t == nil || t.Start == "" {
		return 0, nil
	}
	return expr.ParseDuration(t.Start)
}

// FinishLimit is how long a started run may take, 0 for ever; t may be nil.
func (t *Timeouts) FinishLimit() (time.Duration, error) {
	if t == nil || t.Finish == "" {
		return 0, nil
	}
	return expr.ParseDuration(t.Finish)
}

// MaxJitter is the longest delay of a cron trigger's runs, 0 for none.
func (t Trigger) MaxJitter() (time.Duration, error) {
	if strings.TrimSpace(t.Jitter) == "" {
		return 0, nil
	}
	return expr.ParseDuration(t.Jitter)
}

// CancelLifetime is how long a cancellation without timeout is kept.
const CancelLifetime = 365 * 24 * time.Hour

// Expires is when a cancellation of a run scheduled now stops being watched
// for. The error is of a timeout that cannot be read, as registration accepts
// it; the lifetime without timeout counts then.
func (c Cancel) Expires(now time.Time) (time.Time, error) {
	if c.Timeout == "" {
		return now.Add(CancelLifetime), nil
	}
	expires, err := expr.ParseTimeout(c.Timeout, now)
	if err != nil {
		return now.Add(CancelLifetime), err
	}
	return expires, nil
}
