package v2

import (
	"strings"

	"jetstep/expr"
	"jetstep/function"
)

// configuration is a function's settings (http-api §14).
func configuration(f *function.Function) object {
	o := object{
		"retries":     object{"isDefault": f.Retries() == function.DefaultRetries, "value": f.Retries()},
		"concurrency": concurrency(f.Concurrency),
	}
	var cancellations []object
	for _, c := range f.Cancel {
		cancellations = append(cancellations, with("event", c.Event, "timeout", c.Timeout, "condition", c.If))
	}
	o.set("cancellations", cancellations)
	if f.Priority != nil {
		o.set("priority", f.Priority.Run)
	}
	if b := f.EventBatch; b != nil {
		o["eventsBatch"] = with("maxSize", b.MaxSize, "timeout", b.Timeout, "key", b.Key)
	}
	if l := f.RateLimit; l != nil {
		o["rateLimit"] = with("limit", l.Limit, "period", l.Period, "key", l.Key)
	}
	if d := f.Debounce; d != nil {
		o["debounce"] = with("period", d.Period, "key", d.Key)
	}
	if t := f.Throttle; t != nil {
		period := t.Period
		if d, err := expr.ParseDuration(period); err == nil {
			period = d.String() // the only period in Go's form
		}
		o["throttle"] = with("burst", t.Burst, "limit", t.Limit, "period", period, "key", t.Key)
	}
	if s := f.Singleton; s != nil {
		o["singleton"] = with("mode", strings.ToUpper(s.Mode), "key", s.Key)
	}
	return o
}

// with makes an object of keys and values in turn.
func with(pairs ...any) object {
	o := object{}
	for i := 0; i < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// scopes are those of limits in the words of the API.
var scopes = map[function.Scope]string{
	function.ScopeFunction: "FUNCTION", function.ScopeEnvironment: "ENVIRONMENT", function.ScopeAccount: "ACCOUNT",
}

// concurrency always has an entry: without limits, that of the account.
func concurrency(c *function.Concurrency) []object {
	if c == nil || len(c.Steps) == 0 {
		return []object{{"limit": object{"isPlanLimit": true, "value": -1}, "scope": "ACCOUNT"}}
	}
	var all []object
	for _, limit := range c.Steps {
		o := object{"limit": object{"isPlanLimit": false, "value": limit.Limit}, "scope": scopes[limit.Scope]}
		o.set("key", limit.Key)
		all = append(all, o)
	}
	return all
}
