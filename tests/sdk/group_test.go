package sdk_test

import (
	"fmt"
	"maps"
)

var groupScenarios = []scenario{
	{name: "parallel 2", fn: "parallel", data: map[string]any{"n": 2}, output: `1`, attempts: parallelSteps(2)},
	{name: "parallel 20", fn: "parallel", data: map[string]any{"n": 20}, output: `190`, attempts: parallelSteps(20)},
	{
		name:     "too many steps in one response",
		fn:       "parallel",
		data:     map[string]any{"n": 1001},
		status:   "Failed",
		says:     "exceeded the step limit of 1000 steps",
		attempts: map[string][]int{},
	},
	{
		name:     "parallel-fail",
		output:   `{"good":"fine","bad":"bad luck"}`,
		attempts: with(once("good", "after"), map[string][]int{"bad": {0, 1}}),
	},
	{
		name:     "nested",
		output:   `{"joined":"xx-yy-w","tail":[1,2]}`,
		attempts: once("x1", "x2", "y1", "y2", "woke", "join", "t1", "t2"),
	},
	{
		name:     "race",
		output:   `{"winner":"fast"}`,
		attempts: once("fast", "slow", "slow ended", "after"),
		gaps:     []gap{{from: "after", to: "slow ended"}},
		skip:     map[string]string{"go": "parallel steps of the Go SDK always wait for all"},
	},
}

func parallelSteps(n int) map[string][]int {
	attempts := once("sum")
	for i := range n {
		attempts[fmt.Sprintf("p%d", i)] = []int{0}
	}
	return attempts
}

// with is the union of two sets of attempts.
func with(a, b map[string][]int) map[string][]int {
	maps.Copy(a, b)
	return a
}
