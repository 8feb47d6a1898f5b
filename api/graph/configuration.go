package graph

import (
	"strings"

	"jetstep/api/graph/generated"
	"jetstep/expr"
	"jetstep/function"
)

// configuration is a function's settings as clients see them (graphql §7).
func configuration(f *function.Function) *generated.FunctionConfiguration {
	c := &generated.FunctionConfiguration{
		Cancellations: []*generated.CancellationConfiguration{},
		Retries:       &generated.RetryConfiguration{Value: f.Retries(), IsDefault: ptr(f.Retries() == function.DefaultRetries)},
		Concurrency:   concurrency(f.Concurrency),
		Throttle:      throttle(f.Throttle),
	}
	for _, cancel := range f.Cancel {
		c.Cancellations = append(c.Cancellations, &generated.CancellationConfiguration{
			Event: cancel.Event, Timeout: textPtr(cancel.Timeout), Condition: textPtr(cancel.If),
		})
	}
	if f.Priority != nil {
		c.Priority = textPtr(f.Priority.Run)
	}
	if b := f.EventBatch; b != nil {
		c.EventsBatch = &generated.EventsBatchConfiguration{MaxSize: b.MaxSize, Timeout: b.Timeout, Key: textPtr(b.Key)}
	}
	if l := f.RateLimit; l != nil {
		c.RateLimit = &generated.RateLimitConfiguration{Limit: int(l.Limit), Period: l.Period, Key: textPtr(l.Key)}
	}
	if d := f.Debounce; d != nil {
		c.Debounce = &generated.DebounceConfiguration{Period: d.Period, Key: textPtr(d.Key)}
	}
	if s := f.Singleton; s != nil {
		c.Singleton = &generated.SingletonConfiguration{Mode: generated.SingletonMode(strings.ToUpper(s.Mode)), Key: textPtr(s.Key)}
	}
	return c
}

// concurrency always has an entry: without limits, that of the account.
func concurrency(c *function.Concurrency) []*generated.ConcurrencyConfiguration {
	if c == nil || len(c.Steps) == 0 {
		return []*generated.ConcurrencyConfiguration{{
			Scope: generated.ConcurrencyScopeAccount,
			Limit: &generated.ConcurrencyLimitConfiguration{Value: -1, IsPlanLimit: ptr(true)},
		}}
	}
	var limits []*generated.ConcurrencyConfiguration
	for _, limit := range c.Steps {
		limits = append(limits, &generated.ConcurrencyConfiguration{
			Scope: scope(limit.Scope), Key: textPtr(limit.Key),
			Limit: &generated.ConcurrencyLimitConfiguration{Value: limit.Limit, IsPlanLimit: ptr(false)},
		})
	}
	return limits
}

func scope(s function.Scope) generated.ConcurrencyScope {
	switch s {
	case function.ScopeAccount:
		return generated.ConcurrencyScopeAccount
	case function.ScopeEnvironment:
		return generated.ConcurrencyScopeEnvironment
	default:
		return generated.ConcurrencyScopeFunction
	}
}

// throttle shows the period in Go's form, as no other setting does.
func throttle(t *function.Throttle) *generated.ThrottleConfiguration {
	if t == nil {
		return nil
	}
	period := t.Period
	if d, err := expr.ParseDuration(period); err == nil {
		period = d.String()
	}
	return &generated.ThrottleConfiguration{Burst: int(t.Burst), Key: textPtr(t.Key), Limit: int(t.Limit), Period: period}
}
