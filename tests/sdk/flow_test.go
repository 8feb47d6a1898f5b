package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// The scenarios of flow control are about several runs at once: which of them
// start, when, in which order, and how many at the same time. Their functions
// are in an app of its own; keys keep tests apart.
//
// Most functions hold their one step at a gate that the test opens, or just
// tell which events they were called with. What was in flight is read from the
// order of the app's own log.

// flow is the event that starts a function with flow control.
func (t *trial) flow(fn string, data map[string]any) harness.Event {
	return t.event("-flow/"+fn, data)
}

// flowNumbered makes n such events, with the numbers 1 to n.
func (t *trial) flowNumbered(fn string, n int, data map[string]any) []harness.Event {
	events := make([]harness.Event, n)
	for i := range events {
		events[i] = t.flow(fn, data)
		events[i].Data.(map[string]any)["n"] = i + 1
	}
	return events
}

// startApps starts all apps, so that it does not take from the time of trials
// that need several.
func startApps(t *testing.T, d *deployment) {
	t.Helper()
	for _, s := range sdks {
		_, err := d.apps[s.name]()
		require.NoError(t, err)
	}
}

// own makes a key that no other test uses.
func (t *trial) own(k string) string { return t.token + k }

// runsOf waits for the run of each event.
func (t *trial) runsOf(eventIDs ...string) []string {
	t.Helper()
	runs := make([]string, len(eventIDs))
	for i, id := range eventIDs {
		runs[i] = t.onlyRun(id)
	}
	return runs
}

// startedNothing asserts that the events have no runs. Something must have
// told before that the server is done with them.
func (t *trial) startedNothing(eventIDs ...string) {
	t.Helper()
	for _, id := range eventIDs {
		runs, err := t.client.Runs(t.ctx, id)
		require.NoError(t, err)
		require.Empty(t, runs, "of event %s", id)
	}
}

// endAs waits for the end of runs, which must all have this status.
func (t *trial) endAs(status string, runIDs ...string) {
	t.Helper()
	for _, id := range runIDs {
		run := t.end(id)
		require.Equal(t, status, run.Status, "run %s: %s", id, run.Output)
	}
}

// probe has another function run from its start to its end. What the server
// wrongly lets through has had a chance to show then.
func (t *trial) probe() {
	t.Helper()
	other := map[string]any{"token": t.own("probe")}
	t.endAs("Completed", t.onlyRun(t.send(t.flow("plain", other))[0]))
}

// let lets n more steps through their gate.
func (t *trial) let(n int) {
	t.Helper()
	require.NoError(t, t.control(t.ctx, "/let", url.Values{"token": {t.token}, "n": {fmt.Sprint(n)}}))
}

// openAtEnd opens the gate when the test is over, so that nothing stays there.
func (t *trial) openAtEnd() {
	t.Cleanup(func() {
		_ = t.control(context.Background(), "/let", url.Values{"token": {t.token}, "n": {"1000"}})
	})
}

// control tells the app to do something.
func (t *trial) control(ctx context.Context, path string, parameters url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.app.URL()+path+"?"+parameters.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res.Status)
	}
	return nil
}

// post makes a request of the server's API, which has to succeed.
func (t *trial) post(path string, body any) []byte {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	return t.request(http.MethodPost, path, bytes.NewReader(encoded))
}

func (t *trial) request(method, path string, body io.Reader) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.ctx, method, t.server.URL()+path, body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	if key := t.client.SigningKey; key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, 2, res.StatusCode/100, "%s %s: %d %s", method, path, res.StatusCode, content)
	return content
}

// waitsFor waits until the API says for which limit a run waits.
func (t *trial) waitsFor(limit, runID string) {
	t.Helper()
	type run struct {
		WaitingFor string `json:"waiting_for"`
	}
	_, err := harness.Await(t.ctx, "the limit that a run waits for", func(context.Context) (struct{}, error) {
		shown := decode[struct{ Data run }](t.T, t.request(http.MethodGet, "/v1/runs/"+runID, nil))
		if shown.Data.WaitingFor != limit {
			return struct{}{}, fmt.Errorf("it waits for %q, not for %q", shown.Data.WaitingFor, limit)
		}
		return struct{}{}, nil
	})
	require.NoError(t, err)
}

// key is the field of the event by which some functions are limited.
func key(t *trial, call harness.Call) any {
	return decode[struct{ K any }](t.T, call.Detail).K
}

// keys are the keys of the calls, in order.
func (t *trial) keys(calls []harness.Call) []any {
	keys := make([]any, len(calls))
	for i, call := range calls {
		keys[i] = key(t, call)
	}
	return keys
}

// inFlight is how many held steps were in flight at most, in all and of one key.
func (t *trial) inFlight() (inAll int, ofOne int) {
	t.Helper()
	calls, err := t.app.Calls(t.ctx, t.token)
	require.NoError(t, err)
	now, byKey := 0, map[any]int{}
	for _, call := range calls {
		k := key(t, call)
		switch call.Step {
		case "work":
			now, byKey[k] = now+1, byKey[k]+1
		case "worked":
			now, byKey[k] = now-1, byKey[k]-1
		}
		inAll, ofOne = max(inAll, now), max(ofOne, byKey[k])
	}
	return inAll, ofOne
}

// numbers are those of the events that a plain function was called with.
func numbers(t *trial, raw json.RawMessage) []int {
	return decode[struct{ NS []int }](t.T, raw).NS
}

// plainCalls waits for n calls of a plain function, and returns the numbers of
// their events.
func (t *trial) plainCalls(n int) [][]int {
	t.Helper()
	calls := t.called("plain", n)
	got := make([][]int, len(calls))
	for i, call := range calls {
		got[i] = numbers(t, call.Detail)
	}
	return got
}

// notBefore asserts that a call came at least so long after a moment. The
// clock of call and test is the same.
func (t *trial) notBefore(call harness.Call, moment time.Time, least time.Duration) {
	t.Helper()
	// The log has whole milliseconds, cut off.
	require.GreaterOrEqual(t, call.At, moment.Add(least).UnixMilli(), "%v after %v", least, moment)
}

// ranIn tells whether a call was of this run.
func ranIn(runID string) func(harness.Call) bool {
	return func(call harness.Call) bool { return call.Run == runID }
}

// until does something again and again until a step has run n times.
func (t *trial) until(step string, n int, again func()) []harness.Call {
	t.Helper()
	calls, err := harness.Await(t.ctx, "step "+step, func(ctx context.Context) ([]harness.Call, error) {
		all, err := t.app.Calls(ctx, t.token)
		if err != nil {
			return nil, err
		}
		calls := slices.DeleteFunc(all, func(call harness.Call) bool { return call.Step != step })
		if len(calls) < n {
			again()
			return nil, errors.New("it has not run")
		}
		return calls, nil
	})
	require.NoError(t, err)
	return calls
}
