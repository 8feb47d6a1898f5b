package gate

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"jetstep/function"
	"jetstep/queue/gcra"
	"jetstep/state"
)

// Kind is what a limit counts.
type Kind uint8

// The kinds of limits, in the order in which they are asked (flow-control
// §14.1).
const (
	Throttled Kind = iota + 1 // starts in a period
	Steps                     // jobs being executed
	Runs                      // runs in progress
)

// Key identifies what a limit counts over. Functions that share one share its
// slots, whatever number each allows.
type Key struct {
	Kind  Kind
	Scope function.Scope
	// Function is zero for what is counted over the environment or account.
	Function uuid.UUID
	// Expr and Value are hashes of the key expression and of its value, ""
	// without one.
	Expr, Value string
}

// Plan is how the jobs of one function are limited.
type Plan struct {
	Function uuid.UUID
	rules    []rule // in the order in which they are asked
	runs     *rule  // one of rules
	starts   bool   // whether start jobs are limited differently
}

// rule is one limit of a plan.
type rule struct {
	key   Key // without value
	limit int // how many at once; of a throttle, unused
	rate  gcra.Limit
	name  string
	alias string // what another queue calls the expression, "" for the same
}

// PlanOf makes the plan of a function, nil when nothing limits its jobs. A
// limit that is not positive counts as the default one (flow-control §2); the
// default of those without a limit is not enforced.
func PlanOf(fn *function.Function) *Plan {
	p := &Plan{Function: fn.ID}
	if r, ok := throttleRule(fn); ok {
		p.rules, p.starts = append(p.rules, r), true
	}
	if fn.Concurrency != nil {
		p.rules = append(p.rules, stepRules(fn)...)
	}
	if l, ok := fn.Concurrency.RunLimit(); ok {
		p.rules = append(p.rules, rule{
			key:   Key{Kind: Runs, Scope: function.ScopeFunction, Function: fn.ID, Expr: l.ID},
			limit: l.Effective(), name: Name("runs", function.ScopeFunction, l.Key),
			alias: function.RunSemaphore(fn.ID, l.Key),
		})
		if l.Key == "" {
			p.rules[len(p.rules)-1].key.Expr = "" // an engine may have named it
		}
		p.runs, p.starts = &p.rules[len(p.rules)-1], true
	}
	if len(p.rules) == 0 {
		return nil
	}
	return p
}

func throttleRule(fn *function.Function) (rule, bool) {
	t := fn.Throttle
	if t == nil {
		return rule{}, false
	}
	period, err := t.Window()
	if err != nil || period <= 0 {
		return rule{}, false // no registration accepts it, and no time is no limit
	}
	return rule{
		key:  Key{Kind: Throttled, Scope: function.ScopeFunction, Function: fn.ID, Expr: function.ExpressionHash(t.Key)},
		rate: gcra.Throttle(t.Limit, t.Burst, period), name: Name("throttle", function.ScopeFunction, t.Key),
	}, true
}

// stepRules are the limits on steps, each key once: account, environment,
// function; those without a key first, then by the hash of the expression.
func stepRules(fn *function.Function) []rule {
	var rules []rule
	for _, l := range fn.Concurrency.Steps {
		r := rule{
			key:   Key{Kind: Steps, Scope: l.Scope, Expr: l.Hash},
			limit: l.Effective(), name: Name("concurrency", l.Scope, l.Key),
		}
		if l.Scope == function.ScopeFunction {
			r.key.Function = fn.ID
		}
		if i := slices.IndexFunc(rules, func(have rule) bool { return have.key == r.key }); i >= 0 {
			rules[i].limit = min(rules[i].limit, r.limit)
			continue
		}
		rules = append(rules, r)
	}
	slices.SortFunc(rules, func(a, b rule) int {
		return cmp.Or(cmp.Compare(width(b.key.Scope), width(a.key.Scope)), cmp.Compare(a.key.Expr, b.key.Expr))
	})
	return rules
}

// width orders scopes by how much they span.
func width(s function.Scope) int {
	switch s {
	case function.ScopeAccount:
		return 2
	case function.ScopeEnvironment:
		return 1
	}
	return 0
}

// Name is how a limit is shown to people: what it limits, over what, and by which
// key expression, "" for none.
func Name(kind string, scope function.Scope, key string) string {
	switch scope {
	case function.ScopeAccount:
		kind += " of the account"
	case function.ScopeEnvironment:
		kind += " of the environment"
	}
	if key != "" {
		kind += " by " + key
	}
	return kind
}

// Equal tells whether two plans limit alike; either may be nil.
func (p *Plan) Equal(q *Plan) bool {
	if p == nil || q == nil {
		return p == q
	}
	return p.Function == q.Function && slices.Equal(p.rules, q.rules)
}

// counts tells whether a rule counts a job.
func (r *rule) counts(start bool) bool { return start || r.key.Kind == Steps }

// sharedValue is what runs are counted under that have no value for a key
// (flow-control §14.1: a missing field).
var sharedValue = function.Hash("false")

// value is the hash of the rule's value for a run, "" for a rule without key.
func (r *rule) value(keys []state.FlowKey) string {
	if r.key.Expr == "" {
		return ""
	}
	for i := range keys {
		if expr := keys[i].Expr; expr == r.key.Expr || expr == r.alias && expr != "" {
			return keys[i].Value
		}
	}
	return sharedValue
}

// rateKey is where the state of a throttle is recorded.
func (k Key) rateKey() state.GateKey {
	return state.NewValueKey(state.OfThrottle, k.Function, k.Expr, k.Value)
}
