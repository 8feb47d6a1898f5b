package sdk_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a function does in the SDK's own test engine it does on the server.
func TestSameAsInTheTestEngine(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ts4", "ts3"} {
		for fn, data := range map[string]map[string]any{
			"sequence": nil,
			"parallel": {"n": 3},
			"race":     nil,
			"ai-wrap":  nil,
		} {
			t.Run(name+" "+fn, func(t *testing.T) {
				t.Parallel()
				tr := newTrial(t, sharedDeployment(t), name)
				event := tr.event("/"+fn, data)
				answer, err := tr.app.Post(tr.ctx, "/engine?fn="+fn, event.Data)
				require.NoError(t, err)
				inEngine := decode[struct{ Result any }](t, answer).Result
				require.NotNil(t, inEngine)

				run := tr.end(tr.onlyRun(tr.send(event)[0]))
				require.Equal(t, "Completed", run.Status)
				require.Equal(t, inEngine, decode[any](t, run.Output))
			})
		}
	}
}
