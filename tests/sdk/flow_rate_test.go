package sdk_test

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"
)

// rateScenarios limit how many runs start in a time: throttles delay, rate
// limits drop.
var rateScenarios = []scenario{
	{name: "throttle with burst", whole: throttleBurst},
	{name: "throttle in steps", whole: throttleSteady},
	{name: "throttle by key", whole: throttleByKey},
	{name: "rate limit by key", whole: rateByKey},
	{name: "rate limit without the key's field", whole: rateWithoutField},
	{name: "rate limit of 5 is one at a time", whole: rateSpread},
	{name: "rate limit of 10 is two at once", whole: rateBurst},
	{name: "invoke a rate limited function", whole: rateInvoked},
	{name: "idempotency by key", whole: idempotentByKey},
}

// throttleBurst has limit + burst runs start at once, and the others wait.
func throttleBurst(t *trial) {
	runs := t.runsOf(t.send(t.flowNumbered("throttle-burst", 5, nil)...)...)
	calls := t.called("plain", 3)
	t.probe()
	require.Len(t, t.called("plain", 3), 3, "the next one is due after 5 minutes")
	var waiting []string
	for _, id := range runs {
		if !slices.ContainsFunc(calls, ranIn(id)) {
			waiting = append(waiting, id)
			t.waitsFor("throttle by event.data.token", id)
			require.NoError(t, t.client.Cancel(t.ctx, id))
			continue
		}
		t.endAs("Completed", id)
	}
	require.Len(t, waiting, 2)
	t.endAs("Cancelled", waiting...)
}

// throttleSteady has three runs start, each two seconds after the one before.
func throttleSteady(t *trial) {
	sent := time.Now()
	runs := t.runsOf(t.send(t.flowNumbered("throttle-steady", 3, nil)...)...)
	t.endAs("Completed", runs...)
	calls := t.called("plain", 3)
	require.Len(t, calls, 3)
	t.notBefore(calls[1], sent, 2*time.Second)
	t.notBefore(calls[2], sent, 4*time.Second)
}

func throttleByKey(t *trial) {
	first := t.runsOf(t.send(t.flowKeyed("throttle-keyed", t.own("a"))...)...)[0]
	t.endAs("Completed", first)
	rest := t.runsOf(t.send(t.flowKeyed("throttle-keyed", t.own("a"), t.own("b"))...)...)
	t.endAs("Completed", rest[1])
	t.running(rest[0])
	require.NoError(t, t.client.Cancel(t.ctx, rest[0]))
	t.endAs("Cancelled", rest[0])
	require.Len(t, t.called("plain", 2), 2)
}

// rateByKey lets one of each key start. Events of one name are looked at in
// order, so the last one's run tells that the others were dealt with.
func rateByKey(t *trial) {
	a, b, c := t.own("a"), t.own("b"), t.own("c")
	ids := t.send(t.flowKeyed("rate", a, a, b, a, c)...)
	t.endAs("Completed", t.runsOf(ids[0], ids[2], ids[4])...)
	t.startedNothing(ids[1], ids[3])
}

// rateWithoutField shows that events without the key's field share one limit,
// and that an explicit false switches the limit off.
func rateWithoutField(t *trial) {
	ids := t.send(append(t.flowNumbered("rate-shared", 2, nil), t.flowKeyed("rate-shared", false, false)...)...)
	t.endAs("Completed", t.runsOf(ids[0], ids[2], ids[3])...)
	t.startedNothing(ids[1])
}

// rateSpread shows that 5 runs in 20 s is one in 4 s.
func rateSpread(t *trial) {
	sent := time.Now()
	ids := t.send(t.flowNumbered("rate-spread", 2, nil)...)
	t.endAs("Completed", t.onlyRun(ids[0]))
	t.probe()
	t.startedNothing(ids[1])
	calls := t.until("plain", 2, func() { t.send(t.flow("rate-spread", nil)) })
	t.notBefore(calls[1], sent, 4*time.Second)
}

// rateBurst shows that the burst is a tenth of the limit.
func rateBurst(t *trial) {
	other := map[string]any{"token": t.own("last")}
	ids := t.send(append(t.flowNumbered("rate-burst", 4, nil), t.flow("rate-burst", other))...)
	t.endAs("Completed", t.runsOf(ids[0], ids[1], ids[4])...)
	t.startedNothing(ids[2], ids[3])
}

func rateInvoked(t *trial) {
	target := map[string]any{"app": t.sdk + "-flow", "fn": "rate-invoked", "n": 1}
	t.complete(t.start("/invoke", target), `{"result":{"ns":[1]}}`)
	t.complete(t.start("/invoke", target), `{"error":"invoked function is rate limited"}`)
}

func idempotentByKey(t *trial) {
	a, b := t.own("a"), t.own("b")
	ids := t.send(t.flowKeyed("idempotent", a, a, b)...)
	t.endAs("Completed", t.runsOf(ids[0], ids[2])...)
	again := t.send(t.flowKeyed("idempotent", b, a, t.own("c"))...)
	t.endAs("Completed", t.onlyRun(again[2]))
	t.startedNothing(ids[1], again[0], again[1])
}
