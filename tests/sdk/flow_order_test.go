package sdk_test

import "github.com/stretchr/testify/require"

// orderScenarios are about which run comes before, or instead of, another.
var orderScenarios = []scenario{
	{name: "priority", whole: priority, nats: "a negative priority delays a run by so many seconds there"},
	{name: "singleton skips", whole: singletonSkips},
	{name: "singleton cancels", whole: singletonCancels},
	{name: "singleton switched off", whole: singletonOff},
	{name: "invoke a singleton that runs", whole: singletonInvoked},
}

// priority queues runs behind one that executes, in an order that is not that
// of their priorities.
func priority(t *trial) {
	runs := t.held(1, t.flow("priority", map[string]any{"k": "first"}))
	for _, p := range []int{0, 200, -200, 100} {
		event := t.flow("priority", map[string]any{"k": p, "p": p})
		runs = append(runs, t.runsOf(t.send(event)...)...)
	}
	t.let(len(runs))
	t.endAs("Completed", runs...)
	require.Equal(t, []any{"first", 200.0, 100.0, 0.0, -200.0}, t.keys(t.called("work", len(runs))))
}

// singletonSkips has a second event of a key start nothing while the first
// one's run lasts, and a third one start a run afterwards.
func singletonSkips(t *trial) {
	a, b := t.own("a"), t.own("b")
	first := t.held(1, t.flowKeyed("single-skip", a)...)
	ids := t.send(t.flowKeyed("single-skip", a, b)...)
	other := t.onlyRun(ids[1])
	t.called("work", 2)
	t.startedNothing(ids[0])
	t.let(2)
	t.endAs("Completed", first[0], other)

	next := t.runsOf(t.send(t.flowKeyed("single-skip", a)...)...)
	t.let(1)
	t.endAs("Completed", next...)
	require.Equal(t, []any{a, b, a}, t.keys(t.called("work", 3)))
}

// singletonCancels has each event of a key cancel the run before, but none of
// another key.
func singletonCancels(t *trial) {
	a, b := t.own("a"), t.own("b")
	runs := t.held(2, t.flowKeyed("single-cancel", a, b)...)
	second := t.runsOf(t.send(t.flowKeyed("single-cancel", a)...)...)
	t.endAs("Cancelled", runs[0])
	t.running(runs[1])
	t.called("work", 3)
	t.let(3)
	t.endAs("Completed", runs[1], second[0])
	t.endAs("Cancelled", runs[0])
}

// singletonOff shows that a key of false is no singleton, while events without
// the key's field exclude each other.
func singletonOff(t *trial) {
	off := t.held(2, t.flowKeyed("single-skip", false, false)...)
	shared := t.send(t.flow("single-skip", nil), t.flow("single-skip", nil), t.flowKeyed("single-skip", t.own("last"))[0])
	runs := append(off, t.runsOf(shared[0], shared[2])...)
	t.called("work", 4)
	t.startedNothing(shared[1])
	t.let(4)
	t.endAs("Completed", runs...)
}

// singletonInvoked has a function invoke a singleton that runs: the caller
// gets an error. When the run was cancelled another one can start.
func singletonInvoked(t *trial) {
	lasting := t.runsOf(t.send(t.flow("single-invoked", nil))...)
	t.called("started", 1)
	caller := t.start("/invoke", map[string]any{"app": t.sdk + "-flow", "fn": "single-invoked"})
	t.complete(caller, `{"error":"invoked function is skipped: Singleton"}`)
	t.running(lasting[0])
	require.NoError(t, t.client.Cancel(t.ctx, lasting[0]))
	t.endAs("Cancelled", lasting...)

	next := t.runsOf(t.send(t.flow("single-invoked", nil))...)
	t.called("started", 2)
	require.NoError(t, t.client.Cancel(t.ctx, next[0]))
	t.endAs("Cancelled", next...)
}
