package partition

import (
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

// New runs of a paused function are skipped; those that there are go on.
func TestPausedFunction(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "e"), on("other", "e"))
	s.numbered("e", ``, 1)
	s.decided("success:2")
	s.pause("fn", true)
	s.numbered("e", ``, 2)
	s.decided("success:3 skipped:1")
	skips := s.skips()
	require.Len(t, skips, 1)
	require.Equal(t, state.SkipPaused, skips[0].Reason)
	require.Equal(t, "fn", skips[0].Slug)
	s.restart()
	require.Equal(t, skips[0].RunID, s.skips()[0].RunID, "it is in the log")
	run := s.runs("fn")[0]
	s.commit(complete(s.calls("fn"), `1`))
	require.Equal(t, state.Completed, s.ended(run.ID).status)
	s.pause("fn", false)
	s.numbered("e", ``, 3)
	s.decided("success:2")
}

// A skipped start has its key, as in the original.
func TestSkippedStartClaimsItsKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "e"))
	s.pause("fn", true)
	for range 2 {
		e := newEvent("e", `{"n":1}`)
		e.ID = "mine"
		s.publish(e)
	}
	s.decided("skipped:1 idempotency:1")
}

// A function that is archived between match and start.
func TestDrainedFunction(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("caller", "begin"), limited("fn", "e", func(fn *function.Function) {
		fn.EventBatch = &function.EventBatch{MaxSize: 2, Timeout: "1h"}
	}))
	caller := invoking(s, "nobody")
	s.eventually(func() bool { _, answered := s.load(caller.ID).Memo("w"); return answered })
	start := &state.Start{RunID: testRunID(1), FunctionID: function.FunctionID("fn", "fn"), Events: raws(`{}`), Trigger: "e"}
	s.archive()
	s.in(0, func(o *Owner) {
		tx := o.begin()
		tx.handleStart(start)
		tx.commit(nil)
	})
	s.eventually(func() bool { return len(s.skips()) == 1 })
	require.Equal(t, state.SkipDrained, s.skips()[0].Reason)
	require.Equal(t, start.RunID, s.skips()[0].RunID)
	require.Empty(t, s.runs("fn"))
}

// What flow control has to know of runs.
func TestFlowOfRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	keys := []state.FlowKey{{Expr: function.Hash("event.data.c"), Value: function.Hash("x")}}
	for name, c := range map[string]struct {
		change func(*function.Function)
		want   *state.Flow
	}{
		"none":       {func(*function.Function) {}, nil},
		"rate limit": {func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: 10, Period: "1h"} }, nil},
		"timeouts":   {func(fn *function.Function) { fn.Timeouts = &function.Timeouts{Start: "1h"} }, nil},
		"priority":   {func(fn *function.Function) { fn.Priority = &function.Priority{Run: "event.data.p"} }, &state.Flow{Priority: 120}},
		"no priority": {func(fn *function.Function) { fn.Priority = &function.Priority{Run: "event.data.nope" + "("} },
			&state.Flow{}},
		"throttle": {func(fn *function.Function) {
			fn.Throttle = &function.Throttle{Limit: 1, Period: "1h", Key: "event.data.c"}
		}, &state.Flow{Keys: keys}},
		"step limit": {func(fn *function.Function) {
			fn.Concurrency = &function.Concurrency{Steps: []function.StepLimit{{Limit: 1}, {Limit: 2, Key: "event.data.c", Hash: keys[0].Expr}}}
		}, &state.Flow{Keys: keys}},
		"run limit": {func(fn *function.Function) {
			fn.Concurrency = &function.Concurrency{Runs: []function.RunLimit{{Limit: 1, Key: "event.data.nope", ID: "id"}}}
		}, &state.Flow{Keys: []state.FlowKey{{Expr: "id", Value: function.Hash("false")}}}},
	} {
		fn := on("fn", "e")
		c.change(&fn)
		s.in(0, func(o *Owner) {
			tx := o.begin()
			start := &state.Start{Events: raws(`{"data":{"c":"x","p":120}}`)}
			require.Equal(t, c.want, tx.flow(&starting{Start: start, fn: &fn, in: function.Inputs{Event: start.Events[0]}}), name)
			require.Empty(t, tx.ops)
		})
	}
}
