package partition

import (
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

func singleton(mode, key string) function.Function {
	return limited("fn", "e", func(fn *function.Function) { fn.Singleton = &function.Singleton{Mode: mode, Key: key} })
}

// Scenario 2 of flow-control §32: one run at a time, the others are recorded as
// skipped; so also after a restart.
func TestSingletonSkip(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(singleton(function.SingletonSkip, ""))
	s.numbered("e", ``, 1, 2)
	s.decided("success:1 skipped:1")
	run := s.only("fn")
	skips := s.skips()
	require.Len(t, skips, 1)
	require.Equal(t, state.SkipSingleton, skips[0].Reason)
	require.Equal(t, run.ID, skips[0].Existing)
	require.Equal(t, "fn", skips[0].Slug)
	require.Equal(t, "e", skips[0].Trigger)
	require.Len(t, skips[0].EventIDs, 1)
	require.NotEqual(t, run.ID, skips[0].RunID)

	s.reload()
	s.numbered("e", ``, 3)
	s.decided("success:1 skipped:2")
	s.restart()
	s.numbered("e", ``, 4)
	s.decided("skipped:1")
	s.commit(complete(s.call(), `1`))
	s.ended(run.ID)
	s.numbered("e", ``, 5)
	s.decided("success:1 skipped:1")
}

// The texts of keys: a missing field is a value that all share, an explicit
// false is none.
func TestSingletonKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(singleton(function.SingletonSkip, "event.data.c"))
	s.numbered("e", `,"c":"x"`, 1, 2)
	s.numbered("e", `,"c":"y"`, 3)
	s.numbered("e", ``, 4, 5)
	s.numbered("e", `,"c":false`, 6, 7)
	s.decided("success:5 skipped:2")
	require.ElementsMatch(t, []string{"1", "3", "4", "6", "7"}, s.numbers("fn"))
}

// Scenario 3 of flow-control §32.
func TestSingletonCancel(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(singleton(function.SingletonCancel, "event.data.c"))
	s.numbered("e", `,"c":"x"`, 1)
	first := s.only("fn")
	require.Equal(t, first.ID, s.call().RunID)
	s.reload()
	s.numbered("e", `,"c":"y"`, 2)
	s.numbered("e", `,"c":"x"`, 3)
	s.decided("success:3")
	require.Equal(t, state.Cancelled, s.ended(first.ID).status)
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventCancelled) == 1 })
	s.numbered("e", `,"c":"x"`, 4)
	s.decided("success:4")
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventCancelled) == 2 })
	require.Equal(t, 2, s.node.Stats().Runs)
	require.Empty(t, s.skips())
}

// A start that makes no run cancels none.
func TestSingletonCancelWhilePaused(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(singleton(function.SingletonCancel, ""))
	s.numbered("e", ``, 1)
	s.decided("success:1")
	s.pause("fn", true)
	s.numbered("e", ``, 2)
	s.decided("success:1 skipped:1")
	require.Equal(t, state.SkipPaused, s.skips()[0].Reason)
	require.Zero(t, s.skips()[0].Existing)
	require.Equal(t, 1, s.node.Stats().Runs)
}

// A caller whose run is skipped does not wait in vain.
func TestSkippedInvoke(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(on("caller", "begin"), limited("callee", "never", func(fn *function.Function) {
		fn.Singleton = &function.Singleton{Mode: function.SingletonSkip}
	}))
	invoking(s, "callee")
	require.Equal(t, "callee", s.load(s.call().RunID).Slug)
	second := invoking(s, "callee")
	require.Equal(t, `{"error":{"message":"invoked function is skipped: Singleton","name":"Error"}}`, s.memo(second, "w"))
}
