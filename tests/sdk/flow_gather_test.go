package sdk_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// gatherScenarios wait for further events before a run starts: a debounce
// keeps the last one, a batch all.
var gatherScenarios = []scenario{
	{name: "debounce keeps the last event", whole: debounceLast},
	{name: "debounce by key", whole: debounceByKey},
	{name: "debounce ends at its timeout", whole: debounceCapped},
	{name: "debounce passes over older events", whole: debounceOlder},
	{name: "invoke a function whose event is debounced away", whole: debounceInvoked},
	{name: "batch by size", whole: batchBySize},
	{name: "batch by time", whole: batchByTime},
	{name: "batch by key", whole: batchByKey},
	{name: "batch of some events", whole: batchIf},
	{name: "invoke a function in a batch", whole: batchInvoked},
}

// debounceLast sends three events, the last one later, and has one run. On a
// busy machine the last one may come too late; that must not happen always.
func debounceLast(t *trial) {
	_, err := harness.Await(t.ctx, "one run for three events", func(context.Context) (struct{}, error) {
		events := t.flowNumbered("debounce", 3, map[string]any{"k": t.own(rand.Text())})
		first := t.send(events[:2]...)
		sent := time.Now()
		runID := t.onlyRun(t.send(events[2])[0])
		t.complete(runID, `{"ns":[3]}`)
		calls := t.called("plain", 1)
		t.notBefore(calls[slices.IndexFunc(calls, ranIn(runID))], sent, 4*time.Second)
		t.startedNothing(first[0])
		runs, err := t.client.Runs(t.ctx, first[1])
		if err == nil && len(runs) > 0 {
			err = errors.New("the last event came too late")
		}
		return struct{}{}, err
	})
	require.NoError(t, err)
}

func debounceByKey(t *trial) {
	a, b := map[string]any{"k": t.own("a")}, map[string]any{"k": t.own("b")}
	ids := t.send(append(t.flowNumbered("debounce", 2, a), t.flowNumbered("debounce", 2, b)...)...)
	t.endAs("Completed", t.runsOf(ids[1], ids[3])...)
	t.startedNothing(ids[0], ids[2])
}

// debounceCapped sends events until a run starts all the same.
func debounceCapped(t *trial) {
	sent := time.Now()
	calls := t.until("plain", 1, func() { t.send(t.flow("debounce-capped", nil)) })
	t.notBefore(calls[0], sent, 4*time.Second)
}

// debounceOlder sends an event last that was the first by its time.
func debounceOlder(t *trial) {
	type timed struct {
		harness.Event
		TS int64 `json:"ts"`
	}
	events := t.flowNumbered("debounce", 2, map[string]any{"k": t.own("k")})
	now := time.Now()
	newer := timed{events[0], now.UnixMilli()}
	older := timed{events[1], now.Add(-100 * time.Second).UnixMilli()}
	answer := decode[struct{ IDs []string }](t.T, t.post("/e/test", []timed{newer, older}))
	t.complete(t.onlyRun(answer.IDs[0]), `{"ns":[1]}`)
	t.startedNothing(answer.IDs[1])
}

// debounceInvoked has a function invoke a debounced one, and other events
// replace that of the invocation: the caller gets an error. An invocation whose
// event is the last one gets the result.
func debounceInvoked(t *trial) {
	target := map[string]any{"app": t.sdk + "-flow", "fn": "debounce-invoked", "n": 1}
	displaced := t.start("/invoke", target)
	t.until("after", 1, func() { t.send(t.flow("debounce-invoked", nil)) })
	t.complete(displaced, `{"error":"invoked function is debounced: a later event took the place of this one"}`)
	t.called("plain", 1)
	t.complete(t.start("/invoke", target), `{"result":{"ns":[1]}}`)
}

// batchBySize fills one batch and begins the next.
func batchBySize(t *trial) {
	ids := t.send(t.flowNumbered("batch-size", 4, nil)...)
	t.complete(t.onlyRun(ids[0]), `{"ns":[1,2,3]}`)
	t.probe()
	require.Equal(t, [][]int{{1, 2, 3}}, t.plainCalls(1))
	rest := t.flowNumbered("batch-size", 6, nil)[4:]
	t.send(rest...)
	t.complete(t.onlyRun(ids[3]), `{"ns":[4,5,6]}`)
}

// batchByTime has a batch that is never full start after its time.
func batchByTime(t *trial) {
	sent := time.Now()
	ids := t.send(t.flowNumbered("batch-time", 2, nil)...)
	t.complete(t.onlyRun(ids[0]), `{"ns":[1,2]}`)
	t.notBefore(t.called("plain", 1)[0], sent, 3*time.Second)
}

func batchByKey(t *trial) {
	a, b := map[string]any{"k": t.own("a")}, map[string]any{"k": t.own("b")}
	ofA, ofB := t.flowNumbered("batch-keyed", 2, a), t.flowNumbered("batch-keyed", 2, b)
	ids := t.send(ofA[0], ofB[0], ofB[1], ofA[1])
	t.complete(t.onlyRun(ids[0]), `{"ns":[1,2]}`)
	t.complete(t.onlyRun(ids[1]), `{"ns":[1,2]}`)
}

// batchIf sends events of which some start runs of their own at once.
func batchIf(t *trial) {
	bulk, single := map[string]any{"bulk": true}, map[string]any{"bulk": false}
	events := append(t.flowNumbered("batch-if", 2, bulk), t.flowNumbered("batch-if", 4, single)[2], t.flow("batch-if", nil))
	ids := t.send(events[0], events[2], events[3])
	t.complete(t.onlyRun(ids[1]), `{"ns":[3]}`)
	t.complete(t.onlyRun(ids[2]), `{"ns":[null]}`)
	t.startedNothing(ids[0])
	t.send(events[1])
	t.complete(t.onlyRun(ids[0]), `{"ns":[1,2]}`)
}

// batchInvoked has three functions each invoke a function that batches: all get
// the result of the one run.
func batchInvoked(t *trial) {
	callers := make([]string, 3)
	for i := range callers {
		callers[i] = t.start("/invoke", map[string]any{"app": t.sdk + "-flow", "fn": "batch-size", "n": i + 1})
	}
	for _, id := range callers {
		run := t.end(id)
		require.Equal(t, "Completed", run.Status, "%s", run.Output)
		require.ElementsMatch(t, []int{1, 2, 3}, numbers(t, decode[struct{ Result json.RawMessage }](t.T, run.Output).Result))
	}
	require.Len(t, t.plainCalls(1), 1)
}
