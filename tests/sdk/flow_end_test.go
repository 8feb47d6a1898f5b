package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// endScenarios are about ends that come from outside of a run: of its time, of
// many runs at once, of a whole function.
var endScenarios = []scenario{
	{name: "time to start is over", whole: timeoutStart},
	{name: "time to finish is over", whole: timeoutFinish},
	{name: "cancel many runs", whole: cancelBulk},
	{name: "pause a function", whole: pauseFunction},
	{name: "a new version of the app", whole: newVersion},
}

// timeoutStart has a run wait for its turn for too long, behind one that has
// started and may last.
func timeoutStart(t *trial) {
	first := t.held(1, t.flow("timeout-start", nil))
	sent := time.Now()
	late := t.end(t.runsOf(t.send(t.flow("timeout-start", nil))...)[0])
	require.Equal(t, "Cancelled", late.Status)
	require.NotNil(t, late.EndedAt)
	require.GreaterOrEqual(t, late.EndedAt.Sub(sent.Truncate(time.Millisecond)), 5*time.Second)
	t.let(1)
	t.endAs("Completed", first...)
	require.Len(t, t.called("work", 1), 1)
}

func timeoutFinish(t *trial) {
	sent := time.Now()
	runID := t.runsOf(t.send(t.flow("timeout-finish", nil))...)[0]
	run := t.end(runID)
	require.Equal(t, "Cancelled", run.Status)
	require.GreaterOrEqual(t, run.EndedAt.Sub(sent.Truncate(time.Millisecond)), 2*time.Second)
	t.attempts(once("started", "on-finished", "finished", "on-cancelled", "cancelled"))
	for _, kind := range []string{"finished", "cancelled"} {
		told := t.told(kind)
		require.Equal(t, t.sdk+"-flow-timeout-finish", told.FunctionID, kind)
		require.Equal(t, runID, told.RunID, kind)
		require.Empty(t, told.Error, kind)
	}
	require.Equal(t, runID, t.told("cancelled").ID)
}

// cancelBulk cancels some of a function's runs by an expression, then those
// that are left; never one that started afterwards.
func cancelBulk(t *trial) {
	runs := t.runsOf(t.send(t.flowKeyed("bulk", "a", "a", "b")...)...)
	t.called("started", 3)
	cancel := func(request map[string]any) {
		request["app_id"], request["function_id"] = t.sdk+"-flow", t.sdk+"-flow-bulk"
		request["started_before"] = time.Now().Add(-time.Millisecond).UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
		t.post("/v1/cancellations", request)
	}
	cancel(map[string]any{"if": fmt.Sprintf("event.data.token == '%s' && event.data.k == 'a'", t.token)})
	t.endAs("Cancelled", runs[:2]...)
	t.running(runs[2])

	cancel(map[string]any{"started_after": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano)})
	later := t.runsOf(t.send(t.flowKeyed("bulk", "a")...)...)
	t.endAs("Cancelled", runs[2])
	t.called("started", 4)
	t.running(later[0])
	require.NoError(t, t.client.Cancel(t.ctx, later[0]))
	t.endAs("Cancelled", later...)
	require.Len(t, t.called("started", 4), 4)
}

// pauseFunction has events start nothing while the function is paused. Another
// function has the same event, and so tells when an event has been looked at.
func pauseFunction(t *trial) {
	function := "/v1/functions/" + t.sdk + "-flow-pausable"
	t.post(function+"/pause", nil)
	paused := t.send(t.flow("pausable", nil), t.flow("pausable", nil))
	t.endAs("Completed", t.runsOf(paused...)...)
	t.probe()
	t.post(function+"/unpause", nil)

	runs, err := t.client.AwaitRuns(t.ctx, t.send(t.flow("pausable", nil))[0], 2)
	require.NoError(t, err)
	t.endAs("Completed", runs[0].ID, runs[1].ID)
	t.runsOf(paused...)
}

// newVersion deploys a version of the app with a higher limit and without a
// function. Runs that wait for the limit go on at once; a run of the missing
// function ends as if nothing had happened, but events start no others.
func newVersion(t *trial) {
	t.openAtEnd()
	leaves := t.event("-redeployed/leaves", nil)
	t.send(leaves)
	leaving := t.called("before", 1)[0].Run
	limited := newTrial(t.T, sharedDeployment(t.T), t.sdk) // with a gate of its own
	widened := limited.held(1, slices.Repeat([]harness.Event{limited.event("-redeployed/widens", nil)}, 4)...)

	t.redeploy(t.ctx, "new")
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), trialTimeout)
		defer cancel()
		t.redeploy(ctx, "old")
	}()
	limited.called("work", 3)
	t.endAs("Completed", t.onlyRun(t.send(leaves)[0]))

	limited.let(len(widened))
	limited.endAs("Completed", widened...)
	inAll, _ := limited.inFlight()
	require.Equal(t, 3, inAll)
	t.let(1)
	t.complete(leaving, `"left"`)
	t.attempts(map[string][]int{"before": {0}, "stayed": {0, 0}, "after": {0}})
}

// redeploy changes the version of the app, and waits until the server knows.
func (t *trial) redeploy(ctx context.Context, to string) {
	t.Helper()
	require.NoError(t, t.control(ctx, "/redeploy", url.Values{"to": {to}}))
	t.registered(ctx, t.sdk+"-redeployed", t.sdk+"-redeployed-leaves", to == "old")
}

// registered waits until the server has a function of the app, or has it not.
func (t *trial) registered(ctx context.Context, app, slug string, want bool) {
	t.Helper()
	_, err := harness.Await(ctx, "the functions of app "+app, func(ctx context.Context) (struct{}, error) {
		functions, err := t.client.AppFunctions(ctx, app)
		if err != nil {
			return struct{}{}, err
		}
		if has := slices.ContainsFunc(functions, func(f harness.Function) bool { return f.Slug == slug }); has != want {
			err = errors.New("not yet as expected")
		}
		return struct{}{}, err
	})
	require.NoError(t, err)
}
