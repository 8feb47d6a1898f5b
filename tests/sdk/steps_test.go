package sdk_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

var noUseAPI = map[string]string{"go": "the Go SDK cannot fetch state that is too large for a call"}

var stepScenarios = []scenario{
	{
		name:   "sequence",
		output: `{"a":1,"b":2,"c":{"sum":3,"text":"ünïcode <&> \u2028"},"again":["first","second"]}`,
		attempts: map[string][]int{
			"a": {0}, "b": {0}, "c": {0}, "again": {0, 0},
		},
	},
	{
		name:     "sleep",
		output:   `"rested"`,
		attempts: once("before", "after"),
		gaps:     []gap{{from: "before", to: "after", least: time.Second}},
	},
	{
		// The server may round the moment to a second.
		name:     "sleep-until",
		output:   `"rested"`,
		attempts: once("before", "after"),
		gaps:     []gap{{from: "before", to: "after", least: 1500 * time.Millisecond}},
	},
	{name: "send", data: map[string]any{"of": "sender"}, check: checkSent},
	{
		name:     "large-state",
		output:   fmt.Sprintf("%q", digestOf(strings.Repeat("x", 3_000_000)+strings.Repeat("y", 3_000_000))),
		attempts: once("x", "y", "digest"),
		skip:     noUseAPI,
	},
	{
		name:     "big-output",
		status:   "Failed",
		says:     "step output size is greater than the limit",
		attempts: once("big"),
	},
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// checkSent follows the three events that a run has sent to their own runs.
func checkSent(t *trial, run harness.Run) {
	sent := decode[struct{ IDs []string }](t, run.Output)
	require.Len(t, sent.IDs, 3)
	for i, id := range sent.IDs {
		started := t.end(t.onlyRun(id))
		require.Equal(t, "Completed", started.Status)
		got := decode[struct {
			Name string
			Data struct {
				N  int
				Of string
			}
		}](t, started.Output)
		require.Equal(t, t.sdk+"/echo", got.Name)
		require.Equal(t, i+1, got.Data.N)
	}
	t.attempts(map[string][]int{"echo": {0, 0, 0}})
}
