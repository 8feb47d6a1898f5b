package partition

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue/gcra"
	"jetstep/state"
)

func TestChargeRate(t *testing.T) {
	t.Parallel()
	limit := gcra.RateLimit(1, time.Minute)
	const now = 1_700_000_000_000
	first, ok := chargeRate(limit, state.GateKey{1}, now, 0)
	require.True(t, ok)
	require.Equal(t, state.GateKey{1}, first.Key)
	require.Equal(t, float64(now+60_000)*nanoseconds, first.TAT)
	require.Equal(t, int64(now+60_000), first.Expires)
	_, ok = chargeRate(limit, state.GateKey{1}, now+59_999, first.TAT)
	require.False(t, ok)
	_, ok = chargeRate(limit, state.GateKey{1}, now+60_000, first.TAT)
	require.True(t, ok, "just when the first charge expires")

	// A limit that was relaxed: it counts as used up, which is recorded once.
	relaxed := gcra.RateLimit(1, time.Second)
	again, ok := chargeRate(relaxed, state.GateKey{1}, now, first.TAT)
	require.False(t, ok)
	require.Equal(t, float64(now+1000)*nanoseconds, again.TAT)
	require.Equal(t, int64(now+1000), again.Expires)
	none, ok := chargeRate(relaxed, state.GateKey{1}, now+999, again.TAT)
	require.False(t, ok)
	require.Nil(t, none)
	_, ok = chargeRate(relaxed, state.GateKey{1}, now+1000, again.TAT)
	require.True(t, ok)
}

// What was charged when a limit was for days does not stop events for days
// after it was relaxed.
func TestRateLimitThatIsRelaxed(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	per := func(period string) {
		s.register(limited("fn", "e", func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: 1, Period: period} }))
	}
	per("24h")
	s.numbered("e", ``, 1, 2)
	s.decided("success:1 rate_limited:1")
	per("1h")
	s.numbered("e", ``, 3)
	s.decided("success:1 rate_limited:2")
	s.reload()
	s.advance(time.Hour)
	s.numbered("e", ``, 4, 5)
	s.decided("success:2 rate_limited:3")
}

// Scenario 4 of flow-control §32, but that events without the field share one
// value; an explicit false is not limited.
func TestRateLimitByKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(limited("fn", "e", func(fn *function.Function) {
		fn.RateLimit = &function.RateLimit{Limit: 1, Period: "1h", Key: "event.data.c"}
	}))
	s.numbered("e", `,"c":"x"`, 1, 2)
	s.numbered("e", `,"c":"y"`, 3)
	s.numbered("e", ``, 4, 5)
	s.numbered("e", `,"c":false`, 6, 7)
	s.decided("success:5 rate_limited:2")
	require.ElementsMatch(t, []string{"1", "3", "4", "6", "7"}, s.numbers("fn"))
	require.Empty(t, s.skips(), "a limited event leaves nothing")

	s.reload()
	s.numbered("e", `,"c":"x"`, 8)
	s.decided("success:5 rate_limited:3")
	s.advance(time.Hour)
	s.numbered("e", `,"c":"x"`, 9, 10)
	s.decided("success:6 rate_limited:4")
	s.restart()
	s.numbered("e", `,"c":"x"`, 11)
	s.decided("rate_limited:1")
}

// flow-control §10: ten a minute lets two through at once, then one in six
// seconds.
func TestRateLimitHasATenthOfItsLimitAsBurst(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(limited("fn", "e", func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: 10, Period: "10h"} }))
	s.numbered("e", ``, 1, 2, 3)
	s.decided("success:2 rate_limited:1")
	s.advance(time.Hour)
	s.numbered("e", ``, 4, 5)
	s.decided("success:3 rate_limited:2")
}

// A repeated event is not charged; the limits are those of the present
// configuration.
func TestRateLimitAndRepeatedEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	limit := func(n uint) {
		s.register(limited("fn", "e", func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: n, Period: "1h"} }))
	}
	limit(10)
	for range 3 {
		e := newEvent("e", `{"n":1}`)
		e.ID = "mine"
		s.publish(e)
	}
	s.decided("success:1 idempotency:2")
	limit(1)
	s.numbered("e", ``, 2)
	s.decided("success:1 rate_limited:1 idempotency:2")
	limit(10)
	s.numbered("e", ``, 3)
	s.decided("success:2 rate_limited:1 idempotency:2")
}

// flow-control §20: the caller gets to know.
func TestRateLimitedInvoke(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(on("caller", "begin"), limited("callee", "never", func(fn *function.Function) {
		fn.RateLimit = &function.RateLimit{Limit: 1, Period: "1h"}
	}))
	first := invoking(s, "callee")
	require.Equal(t, "callee", s.load(s.call().RunID).Slug)
	second := invoking(s, "callee")
	require.Equal(t, `{"error":{"message":"invoked function is rate limited","name":"Error"}}`, s.memo(second, "w"))
	_, answered := s.load(first.ID).Memo("w")
	require.False(t, answered)
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventFinished) == 1 })
	require.Contains(t, string(s.rec.bodies(state.EventFinished)[0]),
		`"correlation_id":"`+second.ID.String()+`.w","error":{"message":"invoked function is rate limited","name":"Error"}`)
}
