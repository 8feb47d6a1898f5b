package partition

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

// flow-control §7.3: the run is recorded at the tick and begins after the
// jitter, which the job's id decides.
func TestCronJitter(t *testing.T) {
	t.Parallel()
	s := newCronSite(t)
	s.register(function.Function{Slug: "fn", Triggers: []function.Trigger{{Cron: "* * * * *", Jitter: "40s"}}})
	s.schedules(1)
	s.advance(time.Minute)
	run := s.only("fn")
	tick := s.now().Truncate(time.Minute).UTC()
	jitter := function.CronJitter(function.CronJob(tick, "* * * * *", run.FunctionID, 1), 40*time.Second)
	require.Greater(t, jitter, time.Duration(0))
	fireAt := tick.Add(jitter)
	require.Equal(t, fireAt.UnixMilli(), run.Jobs[0].Due)
	require.Equal(t, uint64(fireAt.UnixMilli()), run.ID.Time())
	var event struct {
		ID   string
		TS   int64
		Data struct{ Cron, FireAt, ScheduledAt string }
	}
	require.NoError(t, json.Unmarshal(run.Events[0], &event))
	require.Equal(t, tick.Format(time.RFC3339), event.ID)
	require.Equal(t, fireAt.UnixMilli(), event.TS)
	require.Equal(t, fireAt.Format(time.RFC3339), event.Data.FireAt)
	require.Equal(t, tick.Format(time.RFC3339), event.Data.ScheduledAt)
	s.reload()
	s.advance(jitter)
	require.Equal(t, run.ID, s.call().RunID)

	// A shorter one counts from the next tick on.
	s.register(function.Function{Slug: "fn", Triggers: []function.Trigger{{Cron: "* * * * *"}}})
	s.advance(time.Minute - jitter)
	s.eventually(func() bool { return len(s.runs("fn")) == 2 })
	next := s.runs("fn")[1]
	require.Equal(t, uint64(tick.Add(time.Minute).UnixMilli()), next.ID.Time())
}

// flow-control §7.3: two schedules, same tick, one run.
func TestCronSchedulesOfTheSameTick(t *testing.T) {
	t.Parallel()
	for name, crash := range reloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCronSite(t)
			s.register(cron("fn", "* * * * *", "*/1 * * * *", "0-59 * * * *"))
			s.schedules(3)
			s.advance(time.Minute)
			s.decided("success:1 idempotency:2")
			s.commit(complete(s.call(), `1`))
			s.ended(s.only("fn").ID)
			crash(s)
			s.schedules(3)
			s.advance(time.Minute)
			s.eventually(func() bool { return len(s.runs("fn")) == 2 })
			s.passed()
			require.Equal(t, minutes(s.now(), 2), ticks(s, "fn"))
		})
	}
}

// What happens to a tick does not stall the next one.
func TestCronThroughTheGates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*function.Function)
		want   string
	}{
		"rate limit": {func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: 1, Period: "2m"} }, "success:2 rate_limited:2"},
		"singleton":  {func(fn *function.Function) { fn.Singleton = &function.Singleton{Mode: function.SingletonSkip} }, "success:1 skipped:3"},
		"debounce":   {func(fn *function.Function) { fn.Debounce = &function.Debounce{Period: "1h"} }, "debounced:4"},
		"batch":      {func(fn *function.Function) { fn.EventBatch = &function.EventBatch{MaxSize: 2, Timeout: "1h"} }, "success:4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCronSite(t)
			fn := cron("fn", "* * * * *")
			c.change(&fn)
			s.register(fn)
			s.schedules(1)
			for range 4 {
				s.advance(time.Minute)
				s.passed()
			}
			s.decided(c.want)
		})
	}
}

func TestCronOfAPausedFunction(t *testing.T) {
	t.Parallel()
	s := newCronSite(t)
	s.register(cron("fn", "* * * * *"))
	s.schedules(1)
	s.pause("fn", true)
	s.advance(2 * time.Minute)
	s.decided("skipped:2")
	for _, skipped := range s.skips() {
		require.Equal(t, state.SkipPaused, skipped.Reason)
		require.Equal(t, "* * * * *", skipped.Cron)
	}
	s.pause("fn", false)
	s.advance(time.Minute)
	s.decided("success:1 skipped:2")
}
