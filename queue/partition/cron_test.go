package partition

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

func cron(slug string, exprs ...string) function.Function {
	fn := function.Function{Slug: slug}
	for _, e := range exprs {
		fn.Triggers = append(fn.Triggers, function.Trigger{Cron: e})
	}
	return fn
}

// newCronSite is a site whose clock stands at a fixed distance from the next
// minute, so that no tick comes by itself while a test runs.
func newCronSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, 2)
	now := s.now()
	s.advance(now.Truncate(time.Minute).Add(time.Minute + time.Second).Sub(now))
	return s
}

// ticks are the scheduled times of a function's runs, ascending.
func ticks(s *site, slug string) []string {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	var times []string
	for _, run := range s.rec.scheduled {
		var event struct {
			ID, Name string
			Data     struct{ ScheduledAt, FireAt, Cron string }
			TS       int64
			User     json.RawMessage
		}
		if run.Slug != slug || json.Unmarshal(run.Events[0], &event) != nil {
			continue
		}
		at, err := time.Parse(time.RFC3339, event.ID)
		require.NoError(s.t, err)
		require.Equal(s.t, at.UnixMilli(), event.TS)
		require.Equal(s.t, event.ID, event.Data.ScheduledAt)
		require.Equal(s.t, event.ID, event.Data.FireAt)
		require.Equal(s.t, run.Cron, event.Data.Cron)
		require.Equal(s.t, state.EventScheduled, run.Trigger)
		require.Equal(s.t, state.EventScheduled, event.Name)
		require.Equal(s.t, `{}`, string(event.User))
		require.Equal(s.t, function.IdempotencyKey(run.FunctionID, event.ID), run.Idempotency)
		times = append(times, event.ID)
	}
	slices.Sort(times)
	return times
}

// minutes are the n minutes up to that time.
func minutes(upTo time.Time, n int) []string {
	var list []string
	for i := n - 1; i >= 0; i-- {
		list = append(list, upTo.Truncate(time.Minute).Add(-time.Duration(i)*time.Minute).UTC().Format(time.RFC3339))
	}
	return list
}

func awaitTicks(s *site, slug string, want []string) {
	s.t.Helper()
	s.eventually(func() bool { return len(ticks(s, slug)) >= len(want) }, "%v", want)
	s.passed()
	require.Equal(s.t, want, ticks(s, slug))
}

// scheduled waits until the owners know the schedule.
func (s *site) schedules(n int) {
	s.t.Helper()
	s.eventually(func() bool {
		known := 0
		for p := range s.bus.Partitions() {
			s.in(p, func(o *Owner) { known += len(o.crons.schedules) })
		}
		return known == n
	})
	s.settled()
}

// sdk-protocol §16.5.
func TestCronStartsRuns(t *testing.T) {
	t.Parallel()
	s := newCronSite(t)
	s.register(cron("every", "* * * * *"), cron("never", "0 0 1 1 *"), cron("unusable", "every tuesday"), on("observer", state.EventScheduled))
	s.schedules(2)
	require.Empty(t, ticks(s, "every"), "a new schedule does not make up for the past")
	s.advance(time.Minute)
	awaitTicks(s, "every", minutes(s.now(), 1))
	s.advance(3 * time.Minute)
	awaitTicks(s, "every", minutes(s.now(), 4))
	require.Empty(t, ticks(s, "never"))
	require.Equal(t, 4, s.rec.count(s.rec.events, state.EventScheduled), "each is an event for all, too")
	s.eventually(func() bool { return len(started(s)) == 8 })
	require.Equal(t, string(s.rec.bodies(state.EventScheduled)[0]),
		`{"data":{"cron":"* * * * *","fireAt":"`+ticks(s, "every")[0]+`","scheduledAt":"`+ticks(s, "every")[0]+`"},"id":"`+ticks(s, "every")[0]+`","name":"inngest/scheduled.timer","ts":`+tsOf(t, ticks(s, "every")[0])+`}`)
}

func tsOf(t *testing.T, text string) string {
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	b, err := json.Marshal(at.UnixMilli())
	require.NoError(t, err)
	return string(b)
}

// A time without an owner is made up for, if it was short; no tick comes
// twice, however often owners change.
func TestCronOverRestarts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		away time.Duration
		made int // ticks made up for
	}{
		"no time":      {0, 0},
		"some minutes": {5 * time.Minute, 5},
		"an hour":      {time.Hour, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCronSite(t)
			s.register(cron("every", "* * * * *"))
			s.schedules(1)
			s.advance(2 * time.Minute)
			before := minutes(s.now(), 2)
			awaitTicks(s, "every", before)
			s.settled()
			for range 2 {
				s.restart()
				s.schedules(1)
			}
			awaitTicks(s, "every", before)

			s.stop()
			s.ahead.Add(int64(c.away))
			s.start()
			s.schedules(1)
			after := append(before, minutes(s.now(), c.made)...)
			awaitTicks(s, "every", after)
			for p := range s.bus.Partitions() {
				s.replaceOwner(p)
			}
			s.schedules(1)
			awaitTicks(s, "every", after)
			s.advance(time.Minute)
			awaitTicks(s, "every", append(after, minutes(s.now(), 1)...))
		})
	}
}

// The registry changes while owners run.
func TestCronFollowsTheRegistry(t *testing.T) {
	t.Parallel()
	s := newCronSite(t)
	s.register(cron("every", "* * * * *"))
	s.schedules(1)
	s.advance(time.Minute)
	first := minutes(s.now(), 1)
	awaitTicks(s, "every", first)

	s.register(cron("other", "* * * * *"), cron("every", "* * * * *", "*/7 3 4 5 6"))
	s.schedules(3)
	s.advance(time.Minute)
	second := minutes(s.now(), 1)
	awaitTicks(s, "other", second)
	awaitTicks(s, "every", append(first, second...))

	s.register(cron("other", "* * * * *"))
	s.schedules(1)
	s.advance(5 * time.Minute)
	awaitTicks(s, "other", append(second, minutes(s.now(), 5)...))
	require.Equal(t, append(first, second...), ticks(s, "every"), "a removed schedule does not fire")

	s.register(cron("other", "* * * * *"), cron("every", "* * * * *"))
	s.schedules(2)
	s.advance(time.Minute)
	awaitTicks(s, "every", append(append(first, second...), minutes(s.now(), 1)...))
}

// A schedule with no tick left sleeps for ever.
func TestCronThatEnds(t *testing.T) {
	t.Parallel()
	s := newCronSite(t)
	s.register(cron("impossible", "0 0 30 2 *"))
	s.schedules(1)
	for p := range s.bus.Partitions() {
		s.in(p, func(o *Owner) {
			for _, schedule := range o.crons.schedules {
				require.Zero(t, schedule.next)
			}
		})
	}
	s.advance(time.Hour)
	s.passed()
	require.Empty(t, started(s))
	require.Equal(t, state.CronKey{FunctionID: function.FunctionID("impossible", "impossible"), Expr: "0 0 30 2 *"}, soleSchedule(s))
}

func soleSchedule(s *site) (key state.CronKey) {
	for p := range s.bus.Partitions() {
		s.in(p, func(o *Owner) {
			for k := range o.crons.schedules {
				key = k
			}
		})
	}
	return key
}

// The machine slept while the owner had the partition: what is made up for is no
// more than after a time without an owner.
func TestCronOfASuspendedProcess(t *testing.T) {
	t.Parallel()
	s := newCronSite(t)
	s.register(cron("every", "* * * * *"))
	s.schedules(1)
	s.advance(8 * time.Hour)
	awaitTicks(s, "every", minutes(s.now(), 10))
	s.advance(time.Minute)
	awaitTicks(s, "every", minutes(s.now(), 11))
}
