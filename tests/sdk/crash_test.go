package sdk_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// TestAppCrash kills each app in the middle of a step of two runs, one with and
// one without checkpointing, and starts it again: the runs complete, and the
// steps that had been recorded do not run a second time.
func TestAppCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeDev})
	for _, s := range sdks {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			plain := newTrial(t, d, s.name)
			checkpointed := newTrial(t, d, s.name)
			runs := map[*trial]string{
				plain:        plain.start("/crash", nil),
				checkpointed: checkpointed.start("-checkpoint/checkpoint-crash", nil),
			}
			for tr := range runs {
				tr.called("block", 1)
			}
			require.NoError(t, plain.app.Kill())
			require.NoError(t, plain.app.Restart(plain.ctx))

			for tr, runID := range runs {
				tr.complete(runID, `"ABCD"`)
				calls, err := tr.app.Calls(tr.ctx, tr.token)
				require.NoError(t, err)
				steps := make([]string, len(calls))
				for i, call := range calls {
					steps[i] = call.Step
				}
				require.Equal(t, []string{"a", "b", "block", "block", "d"}, steps)
			}
		})
	}
}

// TestServerCrash kills a server that keeps its data while one run of each SDK
// sleeps, one waits, and one is in the middle of a step, and starts it again:
// all complete, and the recorded steps do not run a second time.
func TestServerCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeStart, signingKey: hexKey, eventKey: eventKey})
	startApps(t, d)
	type runs struct {
		sleeping, waiting, busy       *trial
		sleepingID, waitingID, busyID string
	}
	bySDK := map[string]*runs{}
	for _, s := range sdks {
		r := &runs{sleeping: newTrial(t, d, s.name), waiting: newTrial(t, d, s.name), busy: newTrial(t, d, s.name)}
		bySDK[s.name] = r
		r.waitingID = r.waiting.start("/signal", map[string]any{"signal": r.waiting.token, "timeout": "50s"})
		r.waiting.awaitJob(r.waitingID, "pause")
		r.busyID = r.busy.start("/crash", nil)
		r.busy.called("block", 1)
	}
	for _, r := range bySDK {
		r.sleepingID = r.sleeping.start("/sleep-until", nil)
		r.sleeping.called("before", 1)
	}

	require.NoError(t, d.server.Kill())
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	defer cancel()
	require.NoError(t, d.server.Restart(ctx))

	for name, r := range bySDK {
		r.sleeping.complete(r.sleepingID, `"rested"`)
		require.Equal(t, r.waitingID, sendSignal(r.waiting, 1), name)
		r.waiting.complete(r.waitingID, `{"got":{"signal":"`+r.waiting.token+`","data":1}}`)
		r.waiting.attempts(once("before", "after"))
		r.busy.complete(r.busyID, `"ABCD"`)
		require.Len(t, r.busy.called("a", 1), 1, name)
		require.Len(t, r.busy.called("b", 1), 1, name)
	}
}
