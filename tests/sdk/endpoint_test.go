package sdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// endpointScenario is one request to a durable endpoint of an app, and how its
// run has to end.
type endpointScenario struct {
	name string
	act  func(t *trial) // what happens meanwhile

	status int // of the answer; by default 200
	answer string
	// redirected tells that the client was sent to the server for the answer.
	redirected bool
	calls      map[string]int // how often each step ran
	shows      []string       // steps in the run's trace
}

// The SDK gives what a handler returns as the text of a JSON answer, also when
// that is a Response, once its run goes on without the client's request.
var endpointScenarios = []endpointScenario{
	{name: "steps", answer: `{"a":1,"b":2}`, calls: map[string]int{"a": 1, "b": 1}, shows: []string{"a", "b"}},
	{name: "bare", answer: `"no steps"`},
	{name: "sleep", answer: `"{\"a\":1,\"b\":2}"`, redirected: true, calls: map[string]int{"a": 1, "b": 1}, shows: []string{"a", "nap", "b"}},
	{name: "sleep-first", answer: `{"a":1}`, redirected: true, calls: map[string]int{"a": 1}},
	{name: "parallel", answer: `[2,3]`, redirected: true, calls: map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}, shows: []string{"a", "b", "c", "d"}},
	{
		name: "wait", answer: `{"got":7}`, redirected: true,
		calls: map[string]int{"ready": 1}, shows: []string{"ready", "wait"},
		act: func(t *trial) {
			t.awaitJob(t.called("ready", 1)[0].Run, "pause")
			t.send(t.event("-endpoint/go", map[string]any{"n": 7}))
		},
	},
	{name: "invoke", answer: `{"doubled":42}`, redirected: true, calls: map[string]int{"double": 1}},
	{name: "retry", answer: `{"a":"third"}`, redirected: true, calls: map[string]int{"a": 3}},
	{name: "caught", answer: `{"caught":"never"}`, redirected: true, calls: map[string]int{"a": 1}},
	{name: "throw-once", answer: `{"calls":2}`, redirected: true, calls: map[string]int{"a": 1, "body": 2}},
}

func TestDurableEndpoints(t *testing.T) {
	t.Parallel()
	for _, sc := range endpointScenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			sc.run(newTrial(t, sharedDeployment(t), "ts4"))
		})
	}
}

// TestDurableEndpointsOfTheGoSDK: it reports all steps at once, when the client
// has its answer or the run has to go on without it.
func TestDurableEndpointsOfTheGoSDK(t *testing.T) {
	t.Parallel()
	keyed := ownDeployment(t, deploymentConfig{mode: harness.ModeStart, signingKey: hexKey, eventKey: eventKey})
	for name, d := range map[string]*deployment{"dev": sharedDeployment(t), "start": keyed} {
		for _, sc := range []endpointScenario{
			{name: "bare", answer: `"no steps"`},
			{name: "steps", answer: `{"a":1,"b":2}`, calls: map[string]int{"a": 1, "b": 1}},
			{name: "sleep", answer: `{"a":1,"b":2}`, redirected: true, calls: map[string]int{"a": 1, "b": 1}},
		} {
			t.Run(name+" "+sc.name, func(t *testing.T) {
				t.Parallel()
				sc.run(newTrial(t, d, "go"))
			})
		}
	}
}

// TestDurableEndpointsWithKeys has the SDK verify what it is called with, and
// the server what it is told.
func TestDurableEndpointsWithKeys(t *testing.T) {
	t.Parallel()
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeStart, signingKey: hexKey, eventKey: eventKey})
	for _, sc := range endpointScenarios {
		if sc.name == "steps" || sc.name == "sleep" {
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				sc.run(newTrial(t, d, "ts4"))
			})
		}
	}
}

func (sc endpointScenario) run(t *trial) {
	asked := t.ask(sc.name)
	if sc.act != nil {
		sc.act(t)
	}
	got := <-asked
	require.NoError(t, got.err)
	want := sc.status
	if want == 0 {
		want = http.StatusOK
	}
	require.Equal(t, want, got.status, got.body)
	require.JSONEq(t, sc.answer, got.body)
	require.Equal(t, sc.redirected, got.by == t.server.URL(), "answered by %s", got.by)
	var first harness.Call // the Go SDK makes up other ids for its later calls
	for step, n := range sc.calls {
		calls := t.called(step, n)
		require.Len(t, calls, n, step)
		if step != "double" && (first.Run == "" || calls[0].At < first.At) {
			first = calls[0]
		}
	}
	if first.Run == "" {
		return // no step of its own ran, which would tell its id
	}
	ended := t.end(first.Run)
	require.Equal(t, "Completed", ended.Status, "%s", ended.Output)
	var output struct{ Status int }
	require.NoError(t, json.Unmarshal(ended.Output, &output))
	require.Equal(t, http.StatusOK, output.Status)
	if len(sc.shows) > 0 {
		t.traces(first.Run, sc.shows...)
	}
}

// traces waits until the trace of a run shows steps of these names, and nothing
// of which it does not know the beginning.
func (t *trial) traces(runID string, steps ...string) {
	t.Helper()
	_, err := harness.Await(t.ctx, "the trace of run "+runID, func(ctx context.Context) (struct{}, error) {
		var body json.RawMessage
		if err := t.client.V2(ctx, http.MethodGet, "/runs/"+runID+"/trace", nil, &body); err != nil {
			return struct{}{}, err
		}
		for _, name := range steps {
			if !strings.Contains(string(body), `"name":"`+name+`"`) {
				return struct{}{}, fmt.Errorf("no step %s in %s", name, body)
			}
		}
		if strings.Contains(string(body), `"name":"EXTEND"`) {
			return struct{}{}, fmt.Errorf("a beginning is missing in %s", body)
		}
		return struct{}{}, nil
	})
	require.NoError(t, err)
}

// answered is what a client of an endpoint got, and from where.
type answered struct {
	status   int
	body, by string
	header   http.Header
	err      error
}

// ask sends a request to an endpoint, without waiting for the answer.
func (t *trial) ask(endpoint string) <-chan answered {
	asked := make(chan answered, 1)
	target := t.app.URL() + "/endpoint/" + endpoint + "?token=" + url.QueryEscape(t.token)
	req, err := http.NewRequestWithContext(t.ctx, http.MethodGet, target, nil)
	require.NoError(t, err)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			asked <- answered{err: err}
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		asked <- answered{res.StatusCode, string(body), res.Request.URL.Scheme + "://" + res.Request.URL.Host, res.Header, err}
	}()
	return asked
}

// TestEndpointThatFailsForGood: the SDK tells its client and nobody else, so
// that the server finds out by calling the app.
func TestEndpointThatFailsForGood(t *testing.T) {
	t.Parallel()
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeDev, args: []string{"--endpoint-patience", "500ms"}})
	tr := newTrial(t, d, "ts4")
	got := <-tr.ask("throw")
	require.NoError(t, got.err)
	require.Equal(t, http.StatusBadRequest, got.status, got.body)
	run := tr.end(tr.called("a", 1)[0].Run)
	require.Equal(t, "Failed", run.Status)
	require.Contains(t, string(run.Output), "for good")
	require.Len(t, tr.called("a", 1), 1)
}

// TestEndpointAppCrash kills the app in the middle of a step of a client's own
// request: the client is lost, the run is not.
func TestEndpointAppCrash(t *testing.T) {
	t.Parallel()
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeDev, args: []string{
		"--endpoint-patience", "20s", // such a run is called once: the app must be there again by then
	}})
	tr := newTrial(t, d, "ts4")
	asked := tr.ask("crash")
	run := tr.called("block", 1)[0].Run
	require.NoError(t, tr.app.Kill())
	require.Error(t, (<-asked).err)
	require.NoError(t, tr.app.Restart(tr.ctx))

	ended := tr.end(run)
	require.Equal(t, "Completed", ended.Status, "%s", ended.Output)
	require.Contains(t, string(ended.Output), "AB")
	require.Len(t, tr.called("a", 1), 1, "it was recorded")
	require.Len(t, tr.called("block", 2), 2)
}

// TestEndpointServerCrash kills the server in the middle of a client's request,
// and starts it again before the app has anything to report: the client does
// not notice.
func TestEndpointServerCrash(t *testing.T) {
	t.Parallel()
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeStart, signingKey: hexKey, eventKey: eventKey})
	tr := newTrial(t, d, "ts4")
	asked := tr.ask("gate")
	run := tr.called("b", 1)[0].Run
	require.NoError(t, d.server.Kill())
	require.NoError(t, d.server.Restart(tr.ctx))
	tr.let(1)

	got := <-asked
	require.NoError(t, got.err)
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{"ab":"AB"}`, got.body)
	ended := tr.end(run)
	require.Equal(t, "Completed", ended.Status, "%s", ended.Output)
	require.Len(t, tr.called("b", 1), 1)
}
