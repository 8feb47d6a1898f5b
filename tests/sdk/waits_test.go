package sdk_test

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

var waitScenarios = []scenario{
	{
		name:  "wait",
		whole: waitFor(nil, map[string]any{"k": "abc"}),
	},
	{
		name: "wait if",
		whole: waitFor(
			map[string]any{"if": "async.data.token == event.data.token && async.data.k == 'abc'"},
			map[string]any{"k": "abc"},
			map[string]any{"k": "other"}, map[string]any{"k": "abc", "token": "another run's"},
		),
	},
	{
		name: "wait match",
		whole: waitFor(
			map[string]any{"match": "data.token"},
			map[string]any{"k": "mine"},
			map[string]any{"k": "mine", "token": "another run's"},
		),
	},
	{
		name:     "wait timeout",
		fn:       "wait",
		data:     map[string]any{"event": "never/sent", "timeout": "1s"},
		output:   `{"got":null}`,
		attempts: once("before", "after"),
		gaps:     []gap{{from: "before", to: "after", least: time.Second}},
	},
	{
		// Several at once, to hit the moment in which the wait begins.
		name: "wait in the same moment",
		whole: func(t *trial) {
			const runs = 8
			events := make([]harness.Event, runs)
			for i := range events {
				events[i] = t.event("/wait-race", map[string]any{"token": t.token + string(rune('a'+i))})
			}
			for _, id := range t.send(events...) {
				t.complete(t.onlyRun(id), `{"got":true}`)
			}
		},
	},
	{name: "signal", whole: signalled},
	{
		name: "signal timeout",
		whole: func(t *trial) {
			t.complete(t.start("/signal", map[string]any{"signal": t.token, "timeout": "1s"}), `{"got":null}`)
			t.attempts(once("before", "after"))
			t.apart(gap{from: "before", to: "after", least: time.Second})
		},
	},
	{name: "signal conflict", whole: signalConflict},
	{name: "signal replaced", whole: signalReplaced},
	{
		name: "signal without waiter",
		whole: func(t *trial) {
			_, err := t.client.Signal(t.ctx, t.token, nil)
			var status *harness.StatusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, http.StatusNotFound, status.Status)
		},
	},
}

// waitFor has a run wait for an event, and sends that event, after others that
// must not match, until the run goes on: there is no telling when the wait has
// begun, and events from before it do not count.
func waitFor(options, matching map[string]any, others ...map[string]any) func(*trial) {
	return func(t *trial) {
		name := "/awaited." + t.token
		data := map[string]any{"event": t.sdk + name, "timeout": "40s"}
		for key, value := range options {
			data[key] = value
		}
		runID := t.start("/wait", data)
		t.called("before", 1)

		var events []harness.Event
		for _, other := range others {
			events = append(events, t.event(name, other))
		}
		events = append(events, t.event(name, matching))
		_, err := harness.Await(t.ctx, "the awaited event", func(ctx context.Context) (struct{}, error) {
			t.send(events...)
			calls, err := t.app.Calls(ctx, t.token)
			if err == nil && len(calls) < 2 {
				err = errors.New("the run still waits")
			}
			return struct{}{}, err
		})
		require.NoError(t, err)

		run := t.end(runID)
		require.Equal(t, "Completed", run.Status)
		got := decode[struct {
			Got struct {
				Name string
				Data map[string]any
			}
		}](t, run.Output).Got
		require.Equal(t, t.sdk+name, got.Name)
		require.Equal(t, t.event(name, matching).Data, any(got.Data))
		t.attempts(once("before", "after"))
	}
}

// sendSignal sends the signal until a run waits for it, and returns that run.
func sendSignal(t *trial, data any) string {
	t.Helper()
	runID, err := harness.Await(t.ctx, "a run waiting for the signal", func(ctx context.Context) (string, error) {
		return t.client.Signal(ctx, t.token, data)
	})
	require.NoError(t, err)
	return runID
}

func signalled(t *trial) {
	runID := t.start("/signal", map[string]any{"signal": t.token, "timeout": "40s"})
	require.Equal(t, runID, sendSignal(t, map[string]any{"hello": 1}))
	t.complete(runID, `{"got":{"signal":"`+t.token+`","data":{"hello":1}}}`)
	t.attempts(once("before", "after"))
}

// signalConflict has two runs wait for one signal: whichever comes second
// fails, the other is not disturbed.
func signalConflict(t *trial) {
	event := t.event("/signal", map[string]any{"signal": t.token, "timeout": "40s", "conflict": "fail"})
	ids := t.send(event, event)
	runs := []string{t.onlyRun(ids[0]), t.onlyRun(ids[1])}
	failed, err := harness.Await(t.ctx, "the conflict", func(ctx context.Context) (harness.Run, error) {
		for _, id := range runs {
			run, err := t.client.Run(ctx, id)
			if err == nil && run.Ended() {
				return run, nil
			}
		}
		return harness.Run{}, errors.New("both runs go on")
	})
	require.NoError(t, err)
	require.Equal(t, "Failed", failed.Status)
	require.Contains(t, string(failed.Output), "Signal conflict; signal wait already exists for another run")

	resumed := sendSignal(t, 5)
	require.NotEqual(t, failed.ID, resumed)
	t.complete(resumed, `{"got":{"signal":"`+t.token+`","data":5}}`)
}

// signalReplaced displaces one wait by another: the signal goes to the new
// one, the old one times out.
func signalReplaced(t *trial) {
	wait := func(timeout string) string {
		runID := t.start("/signal", map[string]any{"signal": t.token, "timeout": timeout, "conflict": "replace"})
		t.awaitJob(runID, "pause")
		return runID
	}
	older := wait("5s")
	newer := wait("40s")
	t.probe() // a run knows that it waits before the signal knows who waits for it
	require.Equal(t, newer, sendSignal(t, "to the newer"))
	t.complete(newer, `{"got":{"signal":"`+t.token+`","data":"to the newer"}}`)
	t.complete(older, `{"got":null}`)
}

// awaitJob waits until the run has a job of this kind.
func (t *trial) awaitJob(runID, kind string) {
	t.Helper()
	require.NoError(t, t.client.AwaitJob(t.ctx, runID, kind))
}
