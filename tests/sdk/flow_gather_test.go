package sdk_test

import (
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
}

// debounceLast sends three events, the last one later, and has one run.
func debounceLast(t *trial) {
	events := t.flowNumbered("debounce", 3, map[string]any{"k": t.own("k")})
	first := t.send(events[:2]...)
	sent := time.Now()
	last := t.send(events[2])[0]
	t.complete(t.onlyRun(last), `{"ns":[3]}`)
	t.startedNothing(first...)
	t.notBefore(t.called("plain", 1)[0], sent, 4*time.Second)
	require.Equal(t, [][]int{{3}}, t.plainCalls(1))
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
	n := 0
	calls := t.until("plain", 1, func() {
		n++
		t.send(t.flow("debounce-capped", map[string]any{"n": n}))
	})
	t.notBefore(calls[0], sent, 4*time.Second)
	require.Greater(t, numbers(t, calls[0].Detail)[0], 1)
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

// debounceInvoked has a function invoke a debounced one, and another event
// replace that of the invocation: the caller gets an error.
func debounceInvoked(t *trial) {
	target := map[string]any{"app": t.sdk + "-flow", "fn": "debounce-invoked", "n": 1}
	first := t.start("/invoke", target)
	t.awaitJob(first, "pause")
	target["n"] = 2
	second := t.start("/invoke", target)
	t.complete(first, `{"error":"invoked function is debounced: a later event took the place of this one"}`)
	t.complete(second, `{"result":{"ns":[2]}}`)
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
