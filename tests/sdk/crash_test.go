package sdk_test

import (
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
