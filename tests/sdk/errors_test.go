package sdk_test

import (
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// The server retries after one second.
func retryGap(step string, n int) gap {
	return gap{from: step, m: n - 1, to: step, n: n, least: time.Second}
}

// Three seconds, counted from a moment that may be cut to the second.
func retryAfterGap(step string) gap {
	return gap{from: step, m: 0, to: step, n: 1, least: 2 * time.Second}
}

var errorScenarios = []scenario{
	{
		name:     "step-retry",
		data:     map[string]any{"failures": 2},
		output:   `{"a":1,"flaky":2}`,
		attempts: map[string][]int{"a": {0}, "flaky": {0, 1, 2}},
		gaps:     []gap{retryGap("flaky", 1), retryGap("flaky", 2)},
	},
	{
		name:     "step-retry on the last attempt",
		fn:       "step-retry",
		data:     map[string]any{"failures": 3},
		output:   `{"a":1,"flaky":3}`,
		attempts: map[string][]int{"a": {0}, "flaky": {0, 1, 2, 3}},
	},
	{
		name:     "step-caught",
		output:   `{"caught":"always bad","recovered":true}`,
		attempts: map[string][]int{"bad": {0, 1}, "recover": {0}},
		gaps:     []gap{retryGap("bad", 1)},
	},
	{
		name:     "step-uncaught",
		status:   "Failed",
		says:     "always bad",
		attempts: map[string][]int{"bad": {0, 1}},
	},
	{
		name:     "step-non-retriable",
		status:   "Failed",
		says:     "no use",
		attempts: once("bad"),
	},
	{
		name:     "step-retry-after",
		output:   `"done"`,
		attempts: map[string][]int{"limited": {0, 1}},
		gaps:     []gap{retryAfterGap("limited")},
	},
	{
		name:     "fn-retry-after",
		output:   `"done"`,
		attempts: map[string][]int{"body": {0, 1}},
		gaps:     []gap{retryAfterGap("body")},
	},
	{
		// The step's own success has reset the attempts.
		name:     "fn-retry",
		output:   `{"a":"kept","attempt":2}`,
		attempts: map[string][]int{"a": {0}, "body": {0, 1, 2}},
		gaps:     []gap{retryGap("body", 1), retryGap("body", 2)},
	},
	{
		name:     "fn-fail",
		status:   "Failed",
		says:     "broken function",
		attempts: map[string][]int{"body": {0, 1}},
		gaps:     []gap{retryGap("body", 1)},
	},
	{
		name:     "fn-non-retriable",
		status:   "Failed",
		says:     "hopeless",
		attempts: once("body"),
	},
	{
		name:     "on-failure",
		status:   "Failed",
		says:     "tell the handler",
		attempts: once("a", "handled"),
		check: func(t *trial, run harness.Run) {
			told := decode[struct{ Message, Fn, Run string }](t, t.called("handled", 1)[0].Detail)
			require.Equal(t, "tell the handler", told.Message)
			require.Equal(t, t.sdk+"-on-failure", told.Fn)
			require.Equal(t, run.ID, told.Run)
		},
	},
}
