package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

func TestNextDebounce(t *testing.T) {
	t.Parallel()
	const second = time.Second
	id := ulid.Make()
	waiting := &state.Debounce{ID: id, Due: 5_000, TS: 900}
	bounded := &state.Debounce{ID: id, Due: 5_000, Until: 6_000, TS: 900}
	for name, c := range map[string]struct {
		waiting       *state.Debounce
		now, ts       int64
		period, limit time.Duration
		want          state.Debounce
		dropped       bool
	}{
		"first":                     {nil, 1_000, 900, 4 * second, 0, state.Debounce{Due: 5_000, TS: 900}, false},
		"first, limited":            {nil, 1_000, 900, 4 * second, 10 * second, state.Debounce{Due: 5_000, Until: 11_000, TS: 900}, false},
		"first, limit below period": {nil, 1_000, 900, 4 * second, 3 * second, state.Debounce{Due: 4_000, Until: 4_000, TS: 900}, false},
		"later":                     {waiting, 4_999, 901, 4 * second, 0, state.Debounce{ID: id, Due: 8_999, TS: 901}, false},
		"of the same time":          {waiting, 2_000, 900, 4 * second, 0, state.Debounce{ID: id, Due: 6_000, TS: 900}, false},
		"older":                     {waiting, 2_000, 899, 4 * second, 0, state.Debounce{}, true},
		"not beyond the limit":      {bounded, 2_500, 901, 4 * second, 9 * second, state.Debounce{ID: id, Due: 6_000, Until: 6_000, TS: 901}, false},
		"a limit that is new":       {waiting, 2_500, 901, 4 * second, 9 * second, state.Debounce{ID: id, Due: 6_500, TS: 901}, false},
	} {
		got, replaces := nextDebounce(c.waiting, c.now, c.ts, c.period, c.limit)
		require.Equal(t, c.want, got, name)
		require.Equal(t, !c.dropped, replaces, name)
	}
}

func debounced(period, key, limit string) function.Function {
	return limited("fn", "e", func(fn *function.Function) {
		fn.Debounce = &function.Debounce{Period: period, Key: key, Timeout: limit}
	})
}

// Scenario 7 of flow-control §32: the last event by its own time starts one
// run, also when owners change meanwhile.
func TestDebounce(t *testing.T) {
	t.Parallel()
	for name, crash := range reloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(debounced("1h", "", ""))
			s.numbered("e", ``, 1, 2)
			late := newEvent("e", `{"n":3}`)
			late.TS -= 60_000
			s.publish(late)
			s.decided("debounced:3")
			s.advance(59 * time.Minute)
			s.passed()
			require.Empty(t, s.runs("fn"))
			crash(s)
			s.passed()
			require.Empty(t, s.runs("fn"))
			s.advance(time.Minute)
			run := s.only("fn")
			require.Equal(t, []string{"2"}, s.numbers("fn"))
			require.Equal(t, function.IdempotencyKey(run.FunctionID, run.EventIDs[0].String()), run.Idempotency)
			crash(s)
			s.advance(2 * time.Hour)
			s.passed()
			require.Len(t, s.runs("fn"), 1, "it fires once")
			require.Equal(t, run.ID, s.call().RunID)
			for p := range s.bus.Partitions() {
				s.in(p, func(o *Owner) {
					_, _, any := o.deadlines.next()
					require.False(t, any)
					for range o.index.Debounces() {
						t.Error("a debounce is left")
					}
				})
			}
		})
	}
}

// The run is due exactly one period after the last event.
func TestDebounceIsExact(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(debounced("1h", "event.data.c", "90m"))
	s.numbered("e", `,"c":"a"`, 1)
	s.numbered("e", `,"c":"b"`, 2)
	s.numbered("e", ``, 3)
	s.decided("debounced:3")
	s.in(0, func(o *Owner) {
		n := 0
		for d := range o.index.Debounces() {
			n++
			require.Equal(t, int64(90*60_000), d.Until-(d.Due-60*60_000))
			require.Equal(t, d.Due, o.deadlines.at[d.Key].due)
		}
		require.Equal(t, 3, n)
	})
	s.advance(50 * time.Minute)
	s.numbered("e", `,"c":"a"`, 4) // puts it off to 90 minutes, not to 110
	s.decided("debounced:4")
	s.advance(11 * time.Minute)
	s.decided("success:2 debounced:4")
	require.ElementsMatch(t, []string{"2", "3"}, s.numbers("fn"))
	s.advance(30 * time.Minute)
	s.decided("success:3 debounced:4")
}

// An event that comes when the time was over begins another debounce, even if
// nobody had looked yet.
func TestDebounceThatWasDue(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(debounced("1h", "", ""))
	s.numbered("e", ``, 1)
	s.decided("debounced:1")
	s.in(0, func(o *Owner) {
		s.ahead.Add(int64(time.Hour)) // no tick gets in between
		fn := function.FunctionID("fn", "fn")
		tx := o.begin()
		id := ulid.Make()
		tx.handleStart(&state.Start{
			RunID: ulid.Make(), FunctionID: fn, Events: raws(`{"data":{"n":2},"ts":99999999999999}`), EventIDs: []ulid.ULID{id}, Trigger: "e",
		})
		tx.commit(nil)
	})
	s.decided("success:1 debounced:2")
	require.Equal(t, []string{"1"}, s.numbers("fn"))
}

// An id that the sender chose does not count, but the same request twice is
// one event.
func TestDebounceAndIdempotency(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(debounced("1h", "", ""))
	seeded := newEvent("e", `{"n":1}`)
	seeded.Seeded = true
	s.publish(seeded)
	s.decided("debounced:1")
	s.advance(time.Hour)
	s.decided("success:1 debounced:1")
	again := *seeded
	s.publish(&again)
	s.decided("success:1 debounced:1 idempotency:1")
	for n := range 2 {
		e := newEvent("e", fmt.Sprintf(`{"n":%d}`, n+2))
		e.ID = "mine"
		s.publish(e)
		s.decided(fmt.Sprintf("success:%d debounced:%d idempotency:1", n+1, n+2))
		s.advance(time.Hour)
		s.decided(fmt.Sprintf("success:%d debounced:%d idempotency:1", n+2, n+2))
	}
}

// A caller whose event gave way gets to know; the last one's gets the result.
func TestDebouncedInvoke(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(on("caller", "begin"), limited("callee", "never", func(fn *function.Function) {
		fn.Debounce = &function.Debounce{Period: "30m"}
	}))
	first := invoking(s, "callee")
	s.decided("success:1 debounced:1")
	last := invoking(s, "callee")
	require.Equal(t, `{"error":{"message":"`+state.InvokeDebounced+`","name":"Error"}}`, s.memo(first, "w"))
	require.Equal(t, first.ID, s.call().RunID)
	s.reload()
	s.advance(30 * time.Minute)
	lease := s.calls("callee")
	s.commit(complete(lease, `"result"`))
	require.Equal(t, `{"data":"result"}`, s.memo(last, "w"))
}

// Whatever became of the function meanwhile, nothing is lost silently.
func TestDebounceOfAChangedFunction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*site)
		runs   int
		skip   state.SkipReason
	}{
		"debounces no more": {func(s *site) { s.register(on("fn", "e")) }, 1, 0},
		"paused": {func(s *site) {
			s.pause("fn", true)
		}, 0, state.SkipPaused},
		"archived": {func(s *site) { s.archive() }, 0, state.SkipDrained},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(debounced("1h", "", ""))
			s.numbered("e", ``, 1)
			s.decided("debounced:1")
			c.change(s)
			s.advance(time.Hour)
			s.eventually(func() bool { return len(s.skips())+len(s.runs("fn")) == 1 })
			require.Len(t, s.runs("fn"), c.runs)
			for _, skipped := range s.skips() {
				require.Equal(t, c.skip, skipped.Reason)
			}
		})
	}
}

// The run is cancelled by events after it, not by those of the time in which
// it was put off.
func TestDebounceAndCancelOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	fn := debounced("1h", "", "")
	fn.Cancel = []function.Cancel{{Event: "stop"}}
	s.register(fn)
	s.numbered("e", ``, 1)
	s.decided("debounced:1")
	s.send("stop", `{}`)
	s.passed()
	s.advance(time.Hour)
	run := s.only("fn")
	s.delivered()
	require.Equal(t, run.ID, s.load(run.ID).ID, "still there")
	s.send("stop", `{}`)
	require.Equal(t, state.Cancelled, s.ended(run.ID).status)
}
