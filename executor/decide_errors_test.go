package executor

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/state"
)

// sdk-protocol §12.6.
func TestDecideBadExpressions(t *testing.T) {
	t.Parallel()
	s := newSituation()
	opts, err := json.Marshal(map[string]string{"timeout": "1s", "if": "event.data.k =="})
	require.NoError(t, err)
	got, trouble := decide(s, ops(2, withOpts(driver.OpWaitForEvent, stepW, "e", string(opts))))
	require.Equal(t, state.Failed, got.Finish.Status)
	require.Empty(t, got.Waits)
	require.Contains(t, string(got.Finish.Error), `{"error":"InvalidExpression","message":"Wait for event If expression failed to compile: `)
	var fatal *driver.FatalError
	require.ErrorAs(t, trouble, &fatal)
	require.NotContains(t, fatal.Message, "\n")

	s.run.Events = []json.RawMessage{raw(`nonsense`)}
	s.job.Attempt = 1
	got, _ = decide(s, ops(2, withOpts(driver.OpWaitForEvent, stepW, "e", `{"timeout":"1s","if":"event.data.k == async.data.k"}`)))
	require.Contains(t, string(got.Finish.Error), "error handling generator response: event of the run")
}

// Ops whose content no JSON parser takes are the app's error.
func TestDecideBadOutput(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]driver.Opcode{
		"step":                      withData(driver.OpStepRun, stepA, `1e999`),
		"legacy":                    withData(driver.OpStep, stepA, `1e999`),
		"unknown op":                op(driver.OpCode(99), stepA),
		"invoke without a target":   withOpts(driver.OpInvokeFunction, stepA, "", `{}`),
		"invoke with wrong options": withOpts(driver.OpInvokeFunction, stepA, "", `{"function_id":1}`),
		"signal without a name":     withOpts(driver.OpWaitForSignal, stepA, "", `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSituation()
			got, trouble := decide(s, ops(2, o))
			require.Error(t, trouble)
			require.Equal(t, state.JobRetry, got.Then)
			require.Nil(t, got.Finish)
			s.job.Attempt = 1
			got, _ = decide(s, ops(2, o))
			require.Equal(t, state.JobDone, got.Then)
			require.Contains(t, string(got.Finish.Error), "error handling generator response: ")
		})
	}
}

// A large input of defers is refused, together or each.
func TestDecideDeferInputs(t *testing.T) {
	t.Parallel()
	s := newSituation()
	large := strings.Repeat("x", driver.MaxDeferInput)
	s.run.Defers = []state.Defer{{ID: "d0", Status: state.DeferAfterRun, Input: raw(`"` + large[:1000] + `"`)}}
	got, _ := decide(s, ops(2, withOpts(driver.OpDeferAdd, "d1", "", `{"fn_slug":"s","input":{"a":"`+large[:len(large)-1000]+`"}}`)))
	require.Equal(t, []state.Defer{{ID: "d1", Slug: "s", Status: state.DeferRejected}}, got.Defers)

	s.run.Defers = nil
	half := `{"fn_slug":"s","input":{"a":"` + large[:len(large)/2] + `"}}`
	got, _ = decide(s, ops(2, withOpts(driver.OpDeferAdd, "d1", "", half), withOpts(driver.OpDeferAdd, "d2", "", half)))
	require.Equal(t, state.DeferAfterRun, got.Defers[0].Status)
	require.Equal(t, state.DeferRejected, got.Defers[1].Status)
}

// A first error decides, but a fatal one later in the answer of a retried call
// comes again.
func TestDecideKeepsTheFirstError(t *testing.T) {
	t.Parallel()
	got, trouble := decide(newSituation(), ops(2, withOpts(driver.OpSleep, stepZ, "soonish", ``), withOpts(driver.OpSleep, stepA, "400d", ``)))
	require.Equal(t, state.JobRetry, got.Then)
	var fatal *driver.FatalError
	require.False(t, errors.As(trouble, &fatal))
}
