package sdk_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// trialTimeout bounds a scenario; only one that never ends comes near it.
const trialTimeout = 60 * time.Second

// trial is one scenario on one app. Its token is in the data of the events
// that it sends, and so in its calls.
type trial struct {
	*testing.T
	ctx    context.Context
	sdk    string
	app    *harness.App
	server *harness.Server
	client *harness.Client
	token  string
	seen   []string // ids to look for in the logs if the test fails
}

func newTrial(t *testing.T, d *deployment, name string) *trial {
	t.Helper()
	app, err := d.apps[name]()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeoutCause(t.Context(), trialTimeout, fmt.Errorf("no result in %v", trialTimeout))
	t.Cleanup(cancel)
	tr := &trial{
		T: t, ctx: ctx, sdk: name, app: app,
		server: d.server, client: d.server.Client(), token: rand.Text(),
	}
	t.Cleanup(tr.explain)
	return tr
}

// explain logs what may tell why the test failed.
func (t *trial) explain() {
	if !t.Failed() {
		return
	}
	calls, err := t.app.Calls(context.Background(), t.token)
	if err != nil {
		t.Logf("no calls: %v", err)
	}
	for _, call := range calls {
		t.Logf("call %s attempt %d of run %s at %d %s", call.Step, call.Attempt, call.Run, call.At, call.Detail)
	}
	words := append([]string{t.token}, t.seen...)
	t.Logf("app log:\n%s", lastLines(t.app.Log().Mentioning(words...), 40))
	t.Logf("server log:\n%s", lastLines(t.server.Log().Mentioning(words...), 60))
	if err := t.server.Exited(); err != nil {
		t.Log(err)
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// event makes an event for this SDK: its name is given without the app id,
// its data gets the token unless there is one.
func (t *trial) event(name string, data map[string]any) harness.Event {
	all := map[string]any{"token": t.token}
	maps.Copy(all, data)
	return harness.Event{Name: t.sdk + name, Data: all}
}

// send sends events and returns their internal ids.
func (t *trial) send(events ...harness.Event) []string {
	t.Helper()
	ids, err := t.client.Send(t.ctx, events...)
	require.NoError(t, err)
	t.seen = append(t.seen, ids...)
	return ids
}

// start sends an event that starts one run, and returns the run's id.
func (t *trial) start(name string, data map[string]any) string {
	t.Helper()
	return t.onlyRun(t.send(t.event(name, data))[0])
}

// onlyRun waits for the run of an event, which must be the only one.
func (t *trial) onlyRun(eventID string) string {
	t.Helper()
	runs, err := t.client.AwaitRuns(t.ctx, eventID, 1)
	require.NoError(t, err)
	require.Len(t, runs, 1)
	t.seen = append(t.seen, runs[0].ID)
	return runs[0].ID
}

// end waits for the end of a run.
func (t *trial) end(runID string) harness.Run {
	t.Helper()
	run, err := t.client.AwaitEnd(t.ctx, runID)
	require.NoError(t, err)
	return run
}

// complete waits for the end of a run, which must be Completed with an output
// equal to the JSON.
func (t *trial) complete(runID, output string) {
	t.Helper()
	run := t.end(runID)
	require.Equal(t, "Completed", run.Status, "output: %s", run.Output)
	require.JSONEq(t, output, string(run.Output))
}

// running fails the test if the run has ended.
func (t *trial) running(runID string) {
	t.Helper()
	run, err := t.client.Run(t.ctx, runID)
	require.NoError(t, err)
	require.False(t, run.Ended(), "run %s is %s", runID, run.Status)
}

// called waits until a step has run n times, and returns these calls.
func (t *trial) called(step string, n int) []harness.Call {
	t.Helper()
	calls, err := t.app.AwaitCalls(t.ctx, t.token, step, n)
	require.NoError(t, err)
	return calls
}

// attempts waits until exactly these steps have run, each at these attempts
// in this order. It does not wait for calls that should not come at all: those
// fail the test only if they come early.
func (t *trial) attempts(want map[string][]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, 10*time.Second)
	defer cancel()
	_, err := harness.Await(ctx, "the expected calls", func(ctx context.Context) (struct{}, error) {
		calls, err := t.app.Calls(ctx, t.token)
		if err != nil {
			return struct{}{}, err
		}
		got := map[string][]int{}
		for _, call := range calls {
			got[call.Step] = append(got[call.Step], call.Attempt)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) { // maps print in key order
			err = fmt.Errorf("attempts are %v, not %v", got, want)
		}
		return struct{}{}, err
	})
	require.NoError(t, err)
}

// apart asserts that the n-th call of one step came at least this long after
// the m-th of another; n and m count from 0.
func (t *trial) apart(g gap) {
	t.Helper()
	earlier, later := t.called(g.from, g.m+1)[g.m], t.called(g.to, g.n+1)[g.n]
	passed := time.Duration(later.At-earlier.At) * time.Millisecond
	require.GreaterOrEqual(t, passed, g.least, "from %s %d to %s %d", g.from, g.m, g.to, g.n)
}

// gap is a least time between two calls.
type gap struct {
	from  string
	m     int
	to    string
	n     int
	least time.Duration
}

// decode reads a call's detail or a run's output.
func decode[T any](t testing.TB, raw json.RawMessage) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(raw, &v), "in %s", raw)
	return v
}
