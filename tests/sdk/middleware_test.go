package sdk_test

import (
	"encoding/json"
	"maps"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

var noMiddleware = map[string]string{"go": "the Go SDK has no such middleware"}

var middlewareScenarios = []scenario{
	{name: "encryption", whole: func(t *trial) { encrypted(t, "vault") }, skip: noMiddleware},
	{name: "encryption with checkpoints", whole: func(t *trial) { encrypted(t, "vault-checkpointed") }, skip: noMiddleware},
	{name: "hooks", suffix: "-hooked", fn: "hooked", check: checkHooked, skip: noMiddleware},
	{
		name: "hooks of an error", suffix: "-hooked", fn: "hooked-fail", skip: noMiddleware,
		status: "Failed", says: "seen by a hook", attempts: map[string][]int{"failed": {0, 1}},
		check: func(t *trial, _ harness.Run) {
			if t.sdk != "ts4" { // which tells its hooks whether an attempt is the last
				return
			}
			calls := t.called("failed", 2)
			require.JSONEq(t, `{"message":"seen by a hook","isFinalAttempt":false}`, string(calls[0].Detail))
			require.JSONEq(t, `{"message":"seen by a hook","isFinalAttempt":true}`, string(calls[1].Detail))
		},
	},
	{
		// Each line comes once, although the body of the function runs three times.
		name: "logger", suffix: "-hooked", fn: "logged", skip: noMiddleware,
		check: func(t *trial, _ harness.Run) {
			want := once("before", "a", "within", "between", "b", "after", "completed")
			t.attempts(withStepHooks(t, want, "a", "b"))
		},
	},
}

// secret is what the values that have to be encrypted have in common.
const secret = "secret-"

// encrypted proves that the app gets what it kept, and that the server never
// sees it: neither in outputs of steps and runs nor in events and invocations.
func encrypted(t *trial, fn string) {
	runID := t.start("-encrypted/"+fn, nil)
	run := t.end(runID)
	require.Equal(t, "Completed", run.Status, "output: %s", run.Output)
	requireSealed(t, run.Output)

	const kept = `{"card":"secret-card","nested":[{"pins":["secret-pin"]},null,7]}`
	saw := decode[struct {
		Kept, Answer, Empty json.RawMessage
		IDs                 []string
	}](t, t.called("saw", 1)[0].Detail)
	require.JSONEq(t, kept, string(saw.Kept))
	require.JSONEq(t, `{"word":"secret-word"}`, string(saw.Answer))
	require.JSONEq(t, `null`, string(saw.Empty))
	for _, call := range t.called("child saw", 2) { // started by the event, and invoked
		require.JSONEq(t, `{"open":"seen by all","encrypted":{"kept":`+kept+`,"word":"secret-word"}}`, string(call.Detail))
	}

	require.Len(t, saw.IDs, 1)
	requireSealed(t, t.end(t.onlyRun(saw.IDs[0])).Output)
	event, err := t.client.Event(t.ctx, saw.IDs[0])
	require.NoError(t, err)
	data := decode[struct {
		Open      string
		Encrypted json.RawMessage
	}](t, event.Data)
	require.Equal(t, "seen by all", data.Open)
	requireSealed(t, data.Encrypted)
	require.NotContains(t, string(event.Data), secret)

	trace, err := t.client.AwaitTrace(t.ctx, runID)
	require.NoError(t, err)
	require.Contains(t, string(trace), "__ENCRYPTED__")
	require.NotContains(t, string(trace), secret)
}

// requireSealed wants a value that the middleware has encrypted.
func requireSealed(t *trial, value json.RawMessage) {
	t.Helper()
	sealed := decode[struct {
		Encrypted bool   `json:"__ENCRYPTED__"`
		Strategy  string `json:"__STRATEGY__"`
		Data      string `json:"data"`
	}](t, value)
	require.True(t, sealed.Encrypted, "in %s", value)
	require.NotEmpty(t, sealed.Strategy)
	require.NotEmpty(t, sealed.Data)
	require.NotContains(t, string(value), secret)
}

// checkHooked looks for what each hook has changed.
func checkHooked(t *trial, run harness.Run) {
	out := decode[struct {
		A, Injected string
		IDs         []string
		Changed     bool
	}](t, run.Output)
	require.Equal(t, "a, changed", out.A)
	require.Equal(t, "by a hook", out.Injected)
	require.True(t, out.Changed)
	require.Len(t, out.IDs, 1)

	echo := t.end(t.onlyRun(out.IDs[0]))
	got := decode[struct {
		Data    map[string]string
		Changed bool
	}](t, echo.Output)
	require.Equal(t, map[string]string{"token": t.token, "stamp": "by a hook"}, got.Data)
	require.True(t, got.Changed)

	want := map[string][]int{"a": {0}, "completed": {0, 0}}
	t.attempts(withStepHooks(t, want, "a", "send"))
}

// withStepHooks adds the calls of hooks about steps, which only version 4 has.
func withStepHooks(t *trial, want map[string][]int, steps ...string) map[string][]int {
	if t.sdk == "ts4" {
		for _, step := range steps {
			maps.Copy(want, once("starting "+step, "ended "+step))
		}
	}
	return want
}
