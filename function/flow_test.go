package function

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestFlowPartitionKey(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("3c8b3ff5-952c-52c1-90f6-076ec67f114e")
	steps := func(scopes ...Scope) *Concurrency {
		c := &Concurrency{}
		for _, scope := range scopes {
			c.Steps = append(c.Steps, StepLimit{Limit: 1, Key: "event.data.a", Scope: scope})
		}
		return c
	}
	for name, c := range map[string]struct {
		fn   Function
		want string
	}{
		"nothing":                {Function{}, ""},
		"a concurrency of \"5\"": {Function{Concurrency: &Concurrency{}}, ""},
		"timeouts, cancelOn":     {Function{Timeouts: &Timeouts{Start: "1s"}, Cancel: []Cancel{{Event: "a"}}}, ""},
		"an empty priority":      {Function{Priority: &Priority{}}, ""},
		"a step limit":           {Function{Concurrency: steps(ScopeFunction)}, id.String()},
		"a run limit":            {Function{Concurrency: &Concurrency{Runs: []RunLimit{{Limit: 1}}}}, id.String()},
		"throttle":               {Function{Throttle: &Throttle{}}, id.String()},
		"rate limit":             {Function{RateLimit: &RateLimit{}}, id.String()},
		"debounce":               {Function{Debounce: &Debounce{}}, id.String()},
		"batch":                  {Function{EventBatch: &EventBatch{}}, id.String()},
		"singleton":              {Function{Singleton: &Singleton{}}, id.String()},
		"priority":               {Function{Priority: &Priority{Run: "1"}}, id.String()},
		"environment":            {Function{Concurrency: steps(ScopeEnvironment)}, "account"},
		"account":                {Function{Concurrency: steps(ScopeAccount)}, "account"},
		"function and then environment": {
			Function{Concurrency: steps(ScopeFunction, ScopeEnvironment), Throttle: &Throttle{}}, "account",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.fn.ID = id
			key, ok := c.fn.FlowPartitionKey()
			require.Equal(t, c.want, key)
			require.Equal(t, c.want != "", ok)
		})
	}
}
