package sdk_test

import (
	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

var lifecycleScenarios = []scenario{
	{
		name:     "cancel a sleeping run",
		fn:       "sleeper",
		act:      cancelStarted,
		status:   "Cancelled",
		attempts: once("started"),
	},
	{
		name:     "cancel a waiting run",
		fn:       "waiter",
		act:      cancelStarted,
		status:   "Cancelled",
		attempts: once("started"),
	},
	{name: "cancel on match", whole: cancelOnMatch},
	{name: "cancel on if", whole: cancelOnIf},
	{
		name:     "finished event of a completed run",
		fn:       "watched",
		data:     map[string]any{"mode": "ok"},
		output:   `{"mode":"ok"}`,
		attempts: once("started", "on-finished", "finished"),
		check: func(t *trial, run harness.Run) {
			told := t.told("finished")
			require.Equal(t, t.sdk+"-watched", told.FunctionID)
			require.Equal(t, run.ID, told.RunID)
			require.Equal(t, map[string]any{"mode": "ok"}, told.Result)
			require.Empty(t, told.Error)
		},
	},
	{
		name:     "finished and failed event of a failed run",
		fn:       "watched",
		data:     map[string]any{"mode": "fail"},
		status:   "Failed",
		says:     "watched failed",
		attempts: once("started", "on-finished", "finished", "on-failed", "failed"),
		check: func(t *trial, run harness.Run) {
			for _, kind := range []string{"finished", "failed"} {
				told := t.told(kind)
				require.Equal(t, run.ID, told.RunID, kind)
				require.Equal(t, "watched failed", told.Error, kind)
			}
			require.Equal(t, run.ID, t.told("failed").ID)
		},
	},
	{
		name: "finished and cancelled event of a cancelled run",
		fn:   "watched",
		data: map[string]any{"mode": "cancel"},
		act: func(t *trial, _ string) {
			t.called("started", 1)
			t.send(t.event("/cancel", nil))
		},
		status:   "Cancelled",
		attempts: once("started", "on-finished", "finished", "on-cancelled", "cancelled"),
		check: func(t *trial, run harness.Run) {
			require.Equal(t, run.ID, t.told("finished").RunID)
			require.Equal(t, run.ID, t.told("cancelled").RunID)
			require.Equal(t, run.ID, t.told("cancelled").ID)
		},
	},
}

func cancelStarted(t *trial, runID string) {
	t.called("started", 1)
	require.NoError(t, t.client.Cancel(t.ctx, runID))
	require.NoError(t, t.client.Cancel(t.ctx, runID), "cancelling again changes nothing")
}

// cancelOnMatch cancels one of two runs, then the other.
func cancelOnMatch(t *trial) {
	other := map[string]any{"token": t.token + "-other"}
	mine, theirs := t.start("/cancel-match", nil), t.start("/cancel-match", other)
	t.called("started", 1)

	t.send(t.event("/cancel", nil))
	require.Equal(t, "Cancelled", t.end(mine).Status)
	t.running(theirs)

	t.send(t.event("/cancel", other))
	require.Equal(t, "Cancelled", t.end(theirs).Status)
	t.attempts(once("started"))
}

// cancelOnIf sends a run an event that does not cancel it. The server has seen
// that event by the time it has cancelled another run by a later one.
func cancelOnIf(t *trial) {
	other := map[string]any{"token": t.token + "-other", "reason": "stop"}
	mine, theirs := t.start("/cancel-if", nil), t.start("/cancel-if", other)
	t.called("started", 1)

	t.send(t.event("/cancel", map[string]any{"reason": "boredom"}))
	t.send(t.event("/cancel", other))
	require.Equal(t, "Cancelled", t.end(theirs).Status)
	t.running(mine)

	t.send(t.event("/cancel", map[string]any{"reason": "stop"}))
	require.Equal(t, "Cancelled", t.end(mine).Status)
	t.attempts(once("started"))
}

// lifecycleEvent is what a function has heard about a run.
type lifecycleEvent struct {
	ID         string `json:"id"`
	FunctionID string `json:"function_id"`
	RunID      string `json:"run_id"`
	Result     any    `json:"result"`
	Error      string `json:"error"`
}

func (t *trial) told(kind string) lifecycleEvent {
	t.Helper()
	return decode[lifecycleEvent](t, t.called(kind, 1)[0].Detail)
}
