package sdk_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// TestServerCrashInFlowControl kills a server that keeps its data while events
// are debounced and batched, while starts are throttled, limited and excluded
// by a singleton, while a step keeps another one waiting, and while a function
// is paused, and starts it again: it goes on where it was.
func TestServerCrashInFlowControl(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeStart, signingKey: hexKey, eventKey: eventKey})
	startApps(t, d)
	crossings := make([]*crossing, len(sdks))
	for i, s := range sdks {
		crossings[i] = &crossing{
			debounced: newTrial(t, d, s.name), batched: newTrial(t, d, s.name), throttled: newTrial(t, d, s.name),
			limited: newTrial(t, d, s.name), single: newTrial(t, d, s.name), paused: newTrial(t, d, s.name),
			busy: newTrial(t, d, s.name),
		}
		crossings[i].before()
	}

	require.NoError(t, d.server.Kill())
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	defer cancel()
	require.NoError(t, d.server.Restart(ctx))

	for _, c := range crossings {
		c.after()
	}
}

// crossing is what one SDK's functions have under way when the server dies.
type crossing struct {
	debounced, batched, throttled, limited, single, paused, busy *trial

	last, first    string // events: the debounced one, the first of the batch
	waiting, sleep string // runs: the throttled one, the singleton
	held           []string
}

func (c *crossing) before() {
	t := c.throttled
	ran := t.runsOf(t.send(t.flowKeyed("throttle-keyed", t.own("k"))...)...)
	t.endAs("Completed", ran...)
	c.waiting = t.runsOf(t.send(t.flowKeyed("throttle-keyed", t.own("k"))...)...)[0]

	t = c.limited
	t.endAs("Completed", t.runsOf(t.send(t.flowKeyed("rate", t.own("k"))...)...)...)

	t = c.single
	c.sleep = t.runsOf(t.send(t.flow("single-invoked", nil))...)[0]
	t.called("started", 1)

	t = c.paused
	t.post("/v1/functions/"+t.sdk+"-flow-pausable/pause", nil)

	t = c.busy
	c.held = t.held(1, t.flow("conc-env-a", nil), t.flow("conc-env-b", nil))

	t = c.batched
	c.first = t.send(t.flowNumbered("batch-size", 2, nil)...)[0]

	t = c.debounced
	c.last = t.send(t.flowNumbered("debounce-capped", 2, nil)...)[1]
}

func (c *crossing) after() {
	t := c.throttled
	_, err := harness.Await(t.ctx, "the run after the restart", func(ctx context.Context) (harness.Run, error) {
		return t.client.Run(ctx, c.waiting)
	})
	require.NoError(t, err)
	t.running(c.waiting)
	require.Len(t, t.called("plain", 1), 1)
	require.NoError(t, t.client.Cancel(t.ctx, c.waiting))
	t.endAs("Cancelled", c.waiting)

	t = c.batched
	t.send(t.flowNumbered("batch-size", 3, nil)[2])
	t.complete(t.onlyRun(c.first), `{"ns":[1,2,3]}`)
	require.Len(t, t.plainCalls(1), 1)

	t = c.debounced
	t.complete(t.onlyRun(c.last), `{"ns":[2]}`)
	require.Len(t, t.plainCalls(1), 1)

	t = c.busy // the call that was in flight is made again, and takes no place any more
	t.called("work", 2)
	t.let(3)
	t.endAs("Completed", c.held...)

	t = c.limited
	ids := t.send(t.flowKeyed("rate", t.own("k"), t.own("other"))...)
	t.endAs("Completed", t.onlyRun(ids[1]))
	t.startedNothing(ids[0])

	t = c.single
	other := map[string]any{"token": t.own("other")}
	ids = t.send(t.flow("single-invoked", nil), t.flow("single-invoked", other))
	another := t.onlyRun(ids[1])
	t.startedNothing(ids[0])
	for _, runID := range []string{c.sleep, another} {
		require.NoError(t, t.client.Cancel(t.ctx, runID))
	}
	t.endAs("Cancelled", c.sleep, another)

	t = c.paused
	t.endAs("Completed", t.runsOf(t.send(t.flow("pausable", nil))...)...) // of the function that is not paused
	t.post("/v1/functions/"+t.sdk+"-flow-pausable/unpause", nil)
	runs, err := t.client.AwaitRuns(t.ctx, t.send(t.flow("pausable", nil))[0], 2)
	require.NoError(t, err)
	t.endAs("Completed", runs[0].ID, runs[1].ID)
}
