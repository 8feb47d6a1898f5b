package sdk_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var invokeScenarios = []scenario{
	{name: "invoke", whole: invokes("", "callee", `{"result":{"doubled":42}}`, "double")},
	{name: "invoke across apps", whole: invokes("-other", "callee", `{"result":{"tripled":63}}`, "triple")},
	{name: "invoke failing", whole: invokes("", "callee-fails", `{"error":"callee refused"}`)},
	{
		name:   "invoke failing uncaught",
		fn:     "invoke-uncaught",
		status: "Failed",
		says:   "callee refused",
	},
	{
		name: "invoke unknown",
		whole: func(t *trial) {
			run := t.end(t.start("/invoke", map[string]any{"app": t.sdk, "fn": "nowhere", "n": 1}))
			require.Equal(t, "Completed", run.Status)
			require.Contains(t, string(run.Output), "could not find function with ID: "+t.sdk+"-nowhere")
			t.attempts(once("after"))
		},
	},
	{
		name: "invoke timeout",
		whole: func(t *trial) {
			run := t.end(t.start("/invoke", map[string]any{"app": t.sdk, "fn": "callee-slow", "timeout": "1s"}))
			require.Equal(t, "Completed", run.Status)
			require.Contains(t, string(run.Output), "Timed out waiting for invoked function to complete")
			t.attempts(once("after"))
		},
	},
}

// invokes has a run invoke a function of the app with this suffix, with 21.
func invokes(suffix, fn, output string, steps ...string) func(*trial) {
	return func(t *trial) {
		data := map[string]any{"app": t.sdk + suffix, "fn": fn, "n": 21}
		t.complete(t.start("/invoke", data), output)
		t.attempts(once(append(steps, "after")...))
	}
}

// TestInvokeAcrossSDKs has each SDK invoke a function of another SDK.
func TestInvokeAcrossSDKs(t *testing.T) {
	t.Parallel()
	for i, caller := range sdks {
		callee := sdks[(i+1)%len(sdks)]
		t.Run(caller.name+" calls "+callee.name, func(t *testing.T) {
			t.Parallel()
			d := sharedDeployment(t)
			_, err := d.apps[callee.name]()
			require.NoError(t, err)
			tr := newTrial(t, d, caller.name)
			data := map[string]any{"app": callee.name, "fn": "callee", "n": 4}
			tr.complete(tr.start("/invoke", data), `{"result":{"doubled":8}}`)
		})
	}
}
