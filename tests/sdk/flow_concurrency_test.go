package sdk_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

var concurrencyScenarios = []scenario{
	{name: "concurrency", whole: concurrencyInAll},
	{name: "concurrency by key", whole: concurrencyByKey},
	{name: "concurrency without the key's field", whole: concurrencyWithoutField},
	{name: "two limits of concurrency", whole: concurrencyTwoLimits},
	{name: "concurrency of an environment", whole: concurrencyAcross("conc-env-a", "conc-env-b")},
	{name: "concurrency of an account", whole: concurrencyAcross("conc-account-a", "conc-account-b")},
	{name: "concurrency of parallel steps", whole: concurrencyOfSteps},
	{name: "sleeping runs are not concurrent", whole: concurrencyIdle("conc-asleep")},
	{name: "runs between attempts are not concurrent", whole: concurrencyIdle("conc-retrying")},
	{
		name:  "concurrency of runs",
		whole: concurrencyOfRuns,
		skip:  map[string]string{"go": "the Go SDK has no limit on runs"},
	},
	{name: "cancel a run that waits for its turn", whole: concurrencyCancel},
}

// held starts runs that stop at their gate as far as limits let them, waits
// until n of them do, and gives more of them a chance to.
func (t *trial) held(n int, events ...harness.Event) (runIDs []string) {
	t.Helper()
	t.openAtEnd()
	runIDs = t.runsOf(t.send(events...)...)
	t.called("work", n)
	t.probe()
	require.Len(t, t.called("work", n), n)
	for _, id := range runIDs {
		t.running(id)
	}
	return runIDs
}

func concurrencyInAll(t *trial) {
	runs := t.held(2, t.flowNumbered("conc", 6, nil)...)
	t.let(1)
	t.called("work", 3)
	t.let(len(runs) - 1)
	t.endAs("Completed", runs...)
	require.Len(t, t.called("work", 6), 6)
	inAll, _ := t.inFlight()
	require.Equal(t, 2, inAll)
}

// flowKeyed makes an event of each key.
func (t *trial) flowKeyed(fn string, keys ...any) []harness.Event {
	events := make([]harness.Event, len(keys))
	for i, k := range keys {
		events[i] = t.flow(fn, map[string]any{"k": k})
	}
	return events
}

func concurrencyByKey(t *trial) {
	a, b := t.own("a"), t.own("b")
	runs := t.held(2, t.flowKeyed("conc-keyed", a, a, b, b, a)...)
	require.ElementsMatch(t, []any{a, b}, t.keys(t.called("work", 2)))
	t.let(len(runs))
	t.endAs("Completed", runs...)
	_, ofOne := t.inFlight()
	require.Equal(t, 1, ofOne)
}

// concurrencyWithoutField sends events without the key's field, which share
// one limit with each other, and so with the value false.
func concurrencyWithoutField(t *trial) {
	runs := t.held(1, t.flow("conc-keyed", nil), t.flow("conc-keyed", nil), t.flow("conc-keyed", map[string]any{"k": false}))
	t.let(len(runs))
	t.endAs("Completed", runs...)
	inAll, _ := t.inFlight()
	require.Equal(t, 1, inAll)
}

// concurrencyTwoLimits has three runs in all and one of each key.
func concurrencyTwoLimits(t *trial) {
	a, others := t.own("a"), []any{t.own("b"), t.own("c"), t.own("d")}
	runs := t.held(3, t.flowKeyed("conc-two", a, a, others[0], others[1], others[2])...)
	t.let(len(runs))
	t.endAs("Completed", runs...)
	inAll, ofOne := t.inFlight()
	require.Equal(t, 3, inAll)
	require.Equal(t, 1, ofOne)
}

// concurrencyAcross has two functions share one limit.
func concurrencyAcross(a, b string) func(*trial) {
	return func(t *trial) {
		runs := t.held(1, t.flow(a, nil), t.flow(b, nil), t.flow(a, nil), t.flow(b, nil))
		t.let(len(runs))
		t.endAs("Completed", runs...)
		inAll, _ := t.inFlight()
		require.Equal(t, 1, inAll)
	}
}

// concurrencyOfSteps has two of one run's parallel steps execute at a time.
func concurrencyOfSteps(t *trial) {
	runs := t.held(2, t.flow("conc-steps", map[string]any{"n": 5}))
	t.let(5)
	t.endAs("Completed", runs...)
	require.Len(t, t.called("work", 5), 5)
	inAll, _ := t.inFlight()
	require.Equal(t, 2, inAll)
}

// concurrencyIdle has a second run execute while the first one does not, but
// goes on later.
func concurrencyIdle(fn string) func(*trial) {
	return func(t *trial) {
		runs := t.runsOf(t.send(t.flow(fn, nil), t.flow(fn, nil))...)
		t.called("started", 2)
		for _, id := range runs {
			t.running(id)
			require.NoError(t, t.client.Cancel(t.ctx, id))
		}
		t.endAs("Cancelled", runs...)
	}
}

// concurrencyOfRuns has two runs of one key, of which one begins when the
// other has ended, sleep included, and one of another key.
func concurrencyOfRuns(t *trial) {
	a := t.own("a")
	other := t.flow("conc-runs", map[string]any{"k": t.own("b"), "token": t.own("other")})
	ids := t.send(append(t.flowKeyed("conc-runs", a, a), other)...)
	t.endAs("Completed", t.runsOf(ids...)...)
	calls, err := t.app.Calls(t.ctx, t.token)
	require.NoError(t, err)
	var steps []string
	for _, call := range calls {
		steps = append(steps, call.Step)
	}
	require.Equal(t, []string{"started", "ended", "started", "ended"}, steps)
	require.Equal(t, calls[0].Run, calls[1].Run)
}

// concurrencyCancel cancels one queued run by an event and another by the API;
// neither ever executes.
func concurrencyCancel(t *trial) {
	first, byEvent, byAPI, last := t.own("first"), t.own("event"), t.own("api"), t.own("last")
	runs := t.held(1, t.flowKeyed("conc-cancel", first)...)
	runs = append(runs, t.held(1, t.flowKeyed("conc-cancel", byEvent, byAPI, last)...)...)
	t.waitsFor("concurrency by event.data.token", runs[3])
	t.send(t.flow("cancel", map[string]any{"k": byEvent}))
	require.NoError(t, t.client.Cancel(t.ctx, runs[2]))
	t.endAs("Cancelled", runs[1:3]...)
	t.let(2)
	t.endAs("Completed", runs[0], runs[3])
	require.Equal(t, []any{first, last}, t.keys(t.called("work", 2)))
}

// TestConcurrencyAcrossSDKs has functions of three apps share one limit, that
// of an environment.
func TestConcurrencyAcrossSDKs(t *testing.T) {
	t.Parallel()
	d := sharedDeployment(t)
	startApps(t, d)
	var trials []*trial
	var runs []string
	for _, s := range sdks {
		tr := newTrial(t, d, s.name)
		if len(trials) > 0 {
			tr.token = trials[0].token
		}
		tr.openAtEnd()
		trials = append(trials, tr)
		runs = append(runs, tr.runsOf(tr.send(tr.flow("conc-env-a", nil))...)...)
	}
	for n := 1; n <= len(trials); n++ {
		calls := trials[0].callsOfAll(trials, 2*n-1) // in flight is one, others have ended
		last := calls[len(calls)-1]
		require.Equal(t, "work", last.Step)
		trials[0].probe()
		for i, tr := range trials {
			if runs[i] == last.Run {
				tr.let(1)
				tr.endAs("Completed", last.Run)
			}
		}
	}
	steps := make([]string, 0, 2*len(trials))
	for _, call := range trials[0].callsOfAll(trials, 2*len(trials)) {
		steps = append(steps, call.Step)
	}
	require.Equal(t, []string{"work", "worked", "work", "worked", "work", "worked"}, steps)
}

// callsOfAll waits for n calls of several apps, and returns all in the order
// of their times. A step ends before the server can let the next one begin, so
// at the same time the end is first.
func (t *trial) callsOfAll(trials []*trial, n int) []harness.Call {
	t.Helper()
	calls, err := harness.Await(t.ctx, "calls of all apps", func(ctx context.Context) ([]harness.Call, error) {
		var all []harness.Call
		for _, tr := range trials {
			calls, err := tr.app.Calls(ctx, tr.token)
			if err != nil {
				return nil, err
			}
			all = append(all, calls...)
		}
		if len(all) < n {
			return nil, errors.New("too few")
		}
		return all, nil
	})
	require.NoError(t, err)
	slices.SortStableFunc(calls, func(a, b harness.Call) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(b.Step, a.Step))
	})
	return calls
}
