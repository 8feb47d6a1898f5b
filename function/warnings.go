package function

import (
	"fmt"
	"time"

	"jetstep/expr"
)

// Warnings are what a valid configuration says without effect: registration
// accepts it, because SDKs in use send it, but whoever wrote it meant something
// else.
func (f *Function) Warnings() []string {
	var w warnings
	f.warnOfDurations(&w)
	f.warnOfKeys(&w)
	f.warnOfLimits(&w)
	return w
}

// warnings collects what has no effect.
type warnings []string

func (w *warnings) add(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

func (f *Function) warnOfDurations(w *warnings) {
	if f.Debounce != nil && f.Debounce.Timeout != "" {
		if _, err := expr.ParseDuration(f.Debounce.Timeout); err != nil {
			w.add("the debounce timeout is ignored: %v", err)
		}
	}
	for _, c := range f.Cancel {
		if _, err := c.Expires(time.Time{}); err != nil {
			w.add("the timeout of the cancellation event '%s' is ignored, a year counts: %v", c.Event, err)
		}
	}
}

// warnOfKeys looks at expressions more closely than validation does.
func (f *Function) warnOfKeys(w *warnings) {
	check := func(what, expression, instead string) {
		if expression == "" {
			return
		}
		if err := expr.Validate(expression, expr.PolicyFull); err != nil {
			w.add("the %s '%s' has no value, %s: %v", what, expression, instead, err)
		}
	}
	const oneValue = "all events count as having the same"
	if f.Throttle != nil {
		check("throttle key", f.Throttle.Key, oneValue)
	}
	if f.Singleton != nil {
		check("singleton key", f.Singleton.Key, oneValue)
	}
	if f.Priority != nil {
		check("priority", f.Priority.Run, "it counts as 0")
	}
	if f.Concurrency == nil {
		return
	}
	for _, l := range f.Concurrency.Runs {
		check("concurrency key", l.Key, oneValue)
	}
	for _, l := range f.Concurrency.Steps {
		check("concurrency key", l.Key, oneValue)
	}
}

func (f *Function) warnOfLimits(w *warnings) {
	if f.Concurrency != nil {
		if f.Concurrency.IsZero() {
			w.add("the concurrency is ignored: it is no number, object or list of limits")
		}
		for _, l := range f.Concurrency.Steps {
			if l.Limit <= 0 {
				w.add("the concurrency limit %d is ignored, %d counts", l.Limit, DefaultConcurrency)
			}
		}
	}
	if f.RateLimit != nil && f.EventBatch != nil {
		w.add("the rate limit is ignored for events that are batched")
	}
}
