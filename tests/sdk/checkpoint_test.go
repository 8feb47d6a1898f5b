package sdk_test

import (
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// Steps of a client with checkpointing: the server learns of them by API, and
// of what is left when the call ends.
var checkpointScenarios = []scenario{
	{
		// Two calls in all: the steps before the sleep, and those after it.
		name:     "checkpoint",
		suffix:   "-checkpoint",
		output:   `[1,2,3]`,
		attempts: map[string][]int{"body": {0, 0}, "a": {0}, "b": {0}, "c": {0}},
		gaps:     []gap{{from: "b", to: "c", least: time.Second}},
	},
	{
		// Three steps fail once each, of which the function has retries for two:
		// a checkpoint resets the attempts. Which attempt a step sees depends on
		// whether the SDK goes on within the call that repeated the step before.
		name:   "checkpoint-retry",
		suffix: "-checkpoint",
		output: `"abc"`,
		check: func(t *trial, _ harness.Run) {
			for _, step := range []string{"a", "b", "c"} {
				require.Len(t, t.called(step, 2), 2)
			}
		},
	},
	{
		name:     "checkpoint-parallel",
		suffix:   "-checkpoint",
		output:   `6`,
		attempts: once("a", "b", "c", "d"),
	},
	{
		name:     "checkpoint-fail",
		suffix:   "-checkpoint",
		status:   "Failed",
		says:     "after a checkpoint",
		attempts: map[string][]int{"a": {0}, "body": {0, 1}},
	},
}
