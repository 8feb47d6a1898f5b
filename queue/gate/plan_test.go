package gate

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

// limited is a function with the concurrency that an SDK sends.
func limited(t *testing.T, concurrency string) *function.Function {
	fn := &function.Function{ID: uuid.UUID{1}, Concurrency: new(function.Concurrency)}
	require.NoError(t, json.Unmarshal([]byte(concurrency), fn.Concurrency))
	return fn
}

func TestPlanOf(t *testing.T) {
	t.Parallel()
	for concurrency, want := range map[string][]struct {
		name  string
		limit int
	}{
		`5`:                         {{"concurrency", 5}},
		`0`:                         {{"concurrency", 1000}},
		`[{"limit":-1}]`:            {{"concurrency", 1000}},
		`[{"limit":0},{"limit":7}]`: {{"concurrency", 7}},
		`[{"limit":2,"key":"event.data.k"},{"limit":9,"key":"event.data.k"}]`: {{"concurrency by event.data.k", 2}},
		`[{"limit":3},{"limit":4,"key":"event.data.k","scope":"env"}]`: {
			{"concurrency of the environment by event.data.k", 4}, {"concurrency", 3},
		},
		`[{"limit":1,"key":"a","scope":"env"},{"limit":2,"key":"a","scope":"account"}]`: {
			{"concurrency of the account by a", 2}, {"concurrency of the environment by a", 1},
		},
		`[{"limit":1,"key":"event.data.k"},{"limit":2}]`: {{"concurrency", 2}, {"concurrency by event.data.k", 1}},
		`{"fn":[{"limit":2,"key":"event.data.k"}],"step":[{"limit":9}]}`: {
			{"concurrency", 9}, {"runs by event.data.k", 2},
		},
		`{"fn":[{"limit":2,"id":"named"}]}`: {{"runs", 2}},
	} {
		p := PlanOf(limited(t, concurrency))
		require.NotNil(t, p, concurrency)
		require.Len(t, p.rules, len(want), concurrency)
		for i, w := range want {
			require.Equal(t, w.name, p.rules[i].name, concurrency)
			require.Equal(t, w.limit, p.rules[i].limit, concurrency)
		}
		require.True(t, p.Equal(PlanOf(limited(t, concurrency))))
		require.False(t, p.Equal(PlanOf(limited(t, `77`))))
		require.False(t, p.Equal(nil))
	}
	require.Nil(t, PlanOf(limited(t, `"none"`)))
	require.Nil(t, PlanOf(&function.Function{}))
	require.True(t, (*Plan)(nil).Equal(nil))
	for _, period := range []string{"", "soon", "0", "-1h"} {
		require.Nil(t, PlanOf(&function.Function{Throttle: &function.Throttle{Limit: 1, Period: period}}), period)
	}
}

// A run that has no value for a key counts with those whose field is missing.
func TestRunsWithoutValue(t *testing.T) {
	t.Parallel()
	fn := byKey(1, 1)
	rules := PlanOf(&fn).rules
	require.Equal(t, "", rules[0].value(nil))
	require.Equal(t, "1nt4mu0skse4a", rules[1].value(nil))
	require.Equal(t, "v", rules[1].value([]state.FlowKey{{Expr: "other", Value: "u"}, {Expr: function.Hash(keyed), Value: "v"}}))
}

// Throttles of different functions, expressions and values are apart.
func TestRateKeys(t *testing.T) {
	t.Parallel()
	seen := map[state.GateKey]Key{}
	for _, key := range []Key{
		{Kind: Throttled}, {Kind: Throttled, Function: uuid.UUID{1}}, {Kind: Throttled, Expr: "a"}, {Kind: Throttled, Value: "a"},
		{Kind: Throttled, Expr: "a", Value: "b"}, {Kind: Throttled, Expr: "ab"}, {Kind: Throttled, Expr: "b", Value: "a"},
	} {
		require.NotContains(t, seen, key.rateKey())
		seen[key.rateKey()] = key
	}
}
