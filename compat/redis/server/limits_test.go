package server

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/function"
)

func configured(t *testing.T, text string) *function.Function {
	t.Helper()
	fn := &function.Function{}
	require.NoError(t, json.Unmarshal([]byte(text), fn))
	return fn
}

func TestLimitsOf(t *testing.T) {
	t.Parallel()
	require.Zero(t, limitsOf(&function.Function{}))
	fn := configured(t, `{"concurrency":[{"limit":2},{"limit":3,"key":"event.data.k"},{"limit":4,"key":"'x'","scope":"account"},{"limit":5,"key":"'y'","scope":"env"}],
		"throttle":{"limit":6,"burst":2,"period":"1m","key":"event.data.t"},"timeouts":{"finish":"10s"}}`)
	require.Equal(t, engine.Limits{
		Concurrency: 2,
		Keys: []engine.KeyLimit{
			{Scope: format.OfFunction, Hash: function.Hash("event.data.k"), Limit: 3},
			{Scope: format.OfAccount, Hash: function.Hash("'x'"), Limit: 4},
			{Scope: format.OfEnvironment, Hash: function.Hash("'y'"), Limit: 5},
		},
		Throttle:     &engine.Throttle{Hash: function.Hash("event.data.t"), Limit: 6, Burst: 2, Period: 60_000},
		FinishWithin: 10 * time.Second,
	}, limitsOf(fn))
}

func TestLimitOf(t *testing.T) {
	t.Parallel()
	fn := configured(t, `{"concurrency":{"fn":[{"limit":1,"key":"event.data.r"}],"step":[{"limit":4,"key":"'x'","scope":"account"}]},
		"throttle":{"limit":6,"period":"1m","key":"event.data.t"}}`)
	for name, c := range map[string]struct {
		by   format.Constraint
		want Limit
	}{
		"throttle":    {format.Constraint{Kind: format.ConstraintThrottle}, Limit{"throttle", function.ScopeFunction, "event.data.t"}},
		"runs":        {format.Constraint{Kind: format.ConstraintSemaphore}, Limit{"runs", function.ScopeFunction, "event.data.r"}},
		"the account": {concurrency(format.ScopeAccount, function.Hash("'x'")), Limit{"concurrency", function.ScopeAccount, "'x'"}},
		"environment": {concurrency(format.ScopeEnvironment, ""), Limit{"concurrency", function.ScopeEnvironment, ""}},
		"function":    {concurrency(format.ScopeFunction, ""), Limit{"concurrency", function.ScopeFunction, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, limitOf(fn, c.by))
		})
	}
}

func concurrency(scope int, hash string) format.Constraint {
	return format.Constraint{Kind: format.ConstraintConcurrency, Concurrency: &format.ConcurrencyConstraint{Scope: scope, Hash: hash}}
}
