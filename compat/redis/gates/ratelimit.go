package gates

import (
	"context"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/function"
	"jetstep/state"
)

// limited charges the function's rate limit, or tells that the event is over it
// (flow-control §10): no run is made then, and an invoke is answered.
func (g *Gates) limited(ctx context.Context, s *starting) (bool, error) {
	cfg := s.RateLimit
	if cfg == nil {
		return false, nil
	}
	window, err := cfg.Window()
	if err != nil {
		g.complain(s.Function, cfg.Period, err) // registration refuses it
		return false, nil
	}
	text, off, err := s.in.KeyText(cfg.Key)
	g.complain(s.Function, cfg.Key, err)
	if off {
		return false, nil
	}
	r := &format.RateConstraint{
		Limit: int(cfg.Limit), Burst: int(cfg.Limit / 10), Period: window.Truncate(time.Second).Nanoseconds(),
	}
	if cfg.Key != "" {
		r.Hash, r.ValueHash = function.Hash(cfg.Key), function.FunctionValueKey(s.ID, text)
	}
	r.Key = format.RateLimitKey(g.Node.Account, s.ID, format.Evaluated{Expression: r.Hash, Value: r.ValueHash})
	ok, err := g.jobs.Charge(ctx, g.Node.Account, s.Idempotency, r, time.Now())
	if err != nil || ok {
		return false, err
	}
	g.Log.Debug("rate limited: no run", "function_id", s.Slug, "event_id", s.EventIDs[0])
	return true, g.refuseAloud(ctx, s.Correlations, state.InvokeRateLimited)
}
