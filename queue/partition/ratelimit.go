package partition

import (
	"math"

	"jetstep/function"
	"jetstep/queue/gcra"
	"jetstep/state"
)

// limited charges the function's rate limit, or tells that the event is over
// it (flow-control §10): no run is made then, and an invoke is answered.
func (t *tx) limited(s *starting) bool {
	cfg := s.fn.RateLimit
	if cfg == nil {
		return false
	}
	window, err := cfg.Window()
	if err != nil {
		t.complain(s.fn, cfg.Period, err) // registration refuses it
		return false
	}
	text, off, err := s.in.KeyText(cfg.Key)
	t.complain(s.fn, cfg.Key, err)
	if off {
		return false
	}
	key := rateLimitKey(s.fn, text)
	charge, ok := chargeRate(gcra.RateLimit(cfg.Limit, window), key, t.now, t.o.rate(key, t.now))
	if charge != nil {
		t.do(charge)
	}
	if ok {
		return false
	}
	t.o.log.Debug("rate limited: no run", "function_id", s.fn.Slug, "event_id", s.EventIDs[0])
	for _, correlation := range s.Correlations {
		t.refuseAloud(correlation, state.InvokeRateLimited)
	}
	return true
}

// rateLimitKey counts apart what different expressions give.
func rateLimitKey(fn *function.Function, text string) state.GateKey {
	if fn.RateLimit.Key == "" {
		return state.NewValueKey(state.OfRateLimit, fn.ID, "", "")
	}
	return state.NewValueKey(state.OfRateLimit, fn.ID, function.ExpressionHash(fn.RateLimit.Key), function.Hash(text))
}

// nanoseconds in a millisecond: rate limits count in the former.
const nanoseconds = 1e6

// chargeRate decides about one event at now (ms). The charge is kept until it
// says no more than none would. An event over the limit has one only when what
// was charged before, under another limit, counts no longer.
func chargeRate(limit gcra.Limit, key state.GateKey, now int64, tat float64) (charge *state.RateCharged, ok bool) {
	at := float64(now) * nanoseconds
	next, ok, _ := limit.Admit(at, limit.Carried(at, tat))
	if !ok && next == tat {
		return nil, false
	}
	return &state.RateCharged{Key: key, TAT: next, Expires: int64(math.Ceil(next / nanoseconds))}, ok
}
