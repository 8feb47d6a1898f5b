package sdk_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/tests/harness"
)

// streamScenario is one request to a durable endpoint whose client wants a
// stream: what the SDK's own client is told, and how the run has to end.
type streamScenario struct {
	name      string
	data      []any // what is streamed, also that which is taken back
	committed []string
	undone    []string // steps whose data are taken back
	status    int      // of the answer; by default 200
	own       string   // a header of the answer
	answer    string
	calls     map[string]int // how often each step ran
	runStatus string         // by default: Completed
}

var streamEndpoints = []streamScenario{
	{
		name: "stream", data: []any{map[string]any{"n": 1.0}, "to", "gether"}, committed: []string{"a", "b"},
		own: "yes", answer: `{"a":1,"b":"together"}`, calls: map[string]int{"a": 1, "b": 1},
	},
	{
		name: "stream-sleep", data: []any{"before", "after"}, committed: []string{"a", "b"},
		answer: `{"done":true}`, calls: map[string]int{"a": 1, "b": 1},
	},
	{
		name: "stream-retry", data: []any{"try 1", "try 2"}, committed: []string{"a"}, undone: []string{"a"},
		answer: `{"a":2}`, calls: map[string]int{"a": 2},
	},
	{
		name: "stream-throw", data: []any{"all there is"}, committed: []string{"a"},
		status: http.StatusInternalServerError, answer: `"for good"`, calls: map[string]int{"a": 1}, runStatus: "Failed",
	},
	{name: "stream-nothing", data: []any{}, committed: []string{"a"}, answer: `{"a":1}`, calls: map[string]int{"a": 1}},
	// Of a call that streamed nothing the server is sent nothing but the last one's answer.
	{name: "stream-nothing-sleep", data: []any{}, answer: `{"a":1}`, calls: map[string]int{"a": 1}},
}

// TestEndpointsThatStream follows the streams of durable endpoints as clients of
// the SDK do, from the app to the server where the run goes on without it.
func TestEndpointsThatStream(t *testing.T) {
	t.Parallel()
	keyed := ownDeployment(t, deploymentConfig{mode: harness.ModeStart, signingKey: hexKey, eventKey: eventKey})
	for name, d := range map[string]*deployment{"dev": sharedDeployment(t), "start": keyed} {
		for _, sc := range streamEndpoints {
			t.Run(name+" "+sc.name, func(t *testing.T) {
				t.Parallel()
				sc.run(newTrial(t, d, "ts4"))
			})
		}
	}
}

func (sc streamScenario) run(t *trial) {
	body, err := t.app.Post(t.ctx, "/streamed/"+sc.name+"?token="+url.QueryEscape(t.token), nil)
	require.NoError(t, err)
	told := decode[struct {
		Runs                  []string
		Data                  []any
		Committed, RolledBack []string
		Status                int
		Own, Body             string
	}](t, body)
	require.Equal(t, sc.data, told.Data)
	require.Subset(t, told.Committed, hashed(sc.committed))
	require.Equal(t, hashed(sc.undone), told.RolledBack)
	want := sc.status
	if want == 0 {
		want = http.StatusOK
	}
	require.Equal(t, want, told.Status, told.Body)
	require.Equal(t, sc.own, told.Own)
	require.JSONEq(t, sc.answer, told.Body)

	require.NotEmpty(t, told.Runs)
	for _, run := range told.Runs {
		require.Equal(t, told.Runs[0], run, "it is one run all the time")
	}
	ended := t.end(told.Runs[0])
	status := sc.runStatus
	if status == "" {
		status = "Completed"
	}
	require.Equal(t, status, ended.Status, "%s", ended.Output)
	for step, n := range sc.calls {
		require.Len(t, t.called(step, n), n, step)
	}
}

// hashed are steps as the SDK names them in streams.
func hashed(steps []string) []string {
	ids := make([]string, len(steps))
	for i, step := range steps {
		ids[i] = function.StepID(step, 0)
	}
	return ids
}
