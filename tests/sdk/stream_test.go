package sdk_test

import "time"

var streamScenarios = []scenario{
	{
		name:     "stream",
		suffix:   "-stream",
		output:   `{"a":1,"slow":"s","flaky":"f"}`,
		attempts: map[string][]int{"a": {0}, "slow": {0}, "flaky": {0, 1}},
		gaps:     []gap{{from: "slow", to: "flaky", least: 2200 * time.Millisecond}, retryGap("flaky", 1)},
	},
	{
		name:     "stream-non-retriable",
		suffix:   "-stream",
		status:   "Failed",
		says:     "streamed refusal",
		attempts: once("body"),
		skip:     streamWithoutHeaders,
	},
	{
		name:     "stream-retry-after",
		suffix:   "-stream",
		output:   `"done"`,
		attempts: map[string][]int{"body": {0, 1}},
		gaps:     []gap{retryAfterGap("body")},
		skip:     streamWithoutHeaders,
	},
}

var streamWithoutHeaders = map[string]string{"go": "the Go SDK streams no headers"}
