package partition

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

func batching(cfg function.EventBatch) function.Function {
	return limited("fn", "e", func(fn *function.Function) { fn.EventBatch = &cfg })
}

func TestFullBatch(t *testing.T) {
	t.Parallel()
	start := &state.Start{FunctionID: uuid.New(), Events: raws(`{"a":1}`), EventIDs: []ulid.ULID{ulid.Make()}}
	b := newBatch(state.GateKey{1}, ulid.Make(), start, 5)
	require.Equal(t, 7, b.Size)
	require.Equal(t, b.ID, b.Start.BatchID)
	require.Equal(t, function.IdempotencyKey(start.FunctionID, start.FunctionID.String()+"-"+b.ID.String()), b.Start.Idempotency)
	require.False(t, full(&b, 2))
	require.True(t, full(&b, 1))
	b.Size = maxBatchBytes
	require.True(t, full(&b, 2))
	b.Size--
	require.False(t, full(&b, 2))
}

// Scenario 8 of flow-control §32: full at once, or what there is when the time
// is over; in order, as one run, also when owners change meanwhile.
func TestBatch(t *testing.T) {
	t.Parallel()
	for name, crash := range reloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(batching(function.EventBatch{MaxSize: 3, Timeout: "1h"}))
			s.numbered("e", ``, 1, 2)
			s.decided("batched:2")
			crash(s)
			s.passed()
			require.Empty(t, s.runs("fn"))
			s.numbered("e", ``, 3, 4)
			run := s.only("fn")
			require.Equal(t, []string{"1 2 3"}, s.numbers("fn"))
			require.Len(t, run.EventIDs, 3)
			require.NotZero(t, run.Flow.BatchID)
			require.Equal(t, function.IdempotencyKey(run.FunctionID, run.FunctionID.String()+"-"+run.Flow.BatchID.String()), run.Idempotency)
			crash(s)
			s.advance(59 * time.Minute)
			s.passed()
			require.Len(t, s.runs("fn"), 1)
			s.advance(time.Minute)
			s.eventually(func() bool { return len(s.runs("fn")) == 2 })
			require.Equal(t, []string{"1 2 3", "4"}, s.numbers("fn"))
			crash(s)
			s.advance(2 * time.Hour)
			s.passed()
			require.Len(t, s.runs("fn"), 2)
			require.Len(t, s.load(s.call().RunID).Events, 3)
		})
	}
}

// Each value of the key has its batch; an event without it shares one.
func TestBatchByKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(batching(function.EventBatch{MaxSize: 2, Timeout: "1h", Key: "event.data.c"}))
	s.numbered("e", `,"c":"x"`, 1)
	s.numbered("e", `,"c":"y"`, 2)
	s.numbered("e", ``, 3)
	s.numbered("e", `,"c":"x"`, 4)
	s.numbered("e", `,"c":false`, 5)
	s.decided("success:2 batched:5")
	require.ElementsMatch(t, []string{"1 4", "3 5"}, s.numbers("fn"))
}

// What does not fit the condition is a run of its own, through all gates.
func TestBatchIf(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{`event.data.batch`, `event.data.batch == true || event.data.name`} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 1)
			fn := batching(function.EventBatch{MaxSize: 2, Timeout: "1h", If: condition})
			fn.RateLimit = &function.RateLimit{Limit: 1, Period: "1h"}
			s.register(fn)
			s.numbered("e", `,"name":"a"`, 1, 2)
			s.numbered("e", `,"batch":true`, 3, 4)
			s.decided("success:2 rate_limited:1 batched:2")
			require.ElementsMatch(t, []string{"1", "3 4"}, s.numbers("fn"), "rate limits do not count batches")
		})
	}
}

// The keys of the run are those of the first event.
func TestBatchFlow(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	fn := batching(function.EventBatch{MaxSize: 2, Timeout: "1h"})
	fn.Throttle = &function.Throttle{Limit: 1, Period: "1h", Key: "event.data.c"}
	s.register(fn)
	s.numbered("e", `,"c":"x"`, 1)
	s.numbered("e", `,"c":"y"`, 2)
	run := s.only("fn")
	require.Equal(t, []state.FlowKey{{Expr: function.Hash("event.data.c"), Value: function.Hash("x")}}, run.Flow.Keys)
}

// A request that is repeated adds nothing; an id that the sender chose does
// not count.
func TestBatchAndIdempotency(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(batching(function.EventBatch{MaxSize: 3, Timeout: "1h"}))
	seeded := newEvent("e", `{"n":1}`)
	seeded.Seeded = true
	again := *seeded
	s.publish(seeded, &again)
	for n := range 2 {
		e := newEvent("e", fmt.Sprintf(`{"n":%d}`, n+2))
		e.ID = "mine"
		s.publish(e)
	}
	s.decided("success:1 batched:4")
	require.Equal(t, []string{"1 2 3"}, s.numbers("fn"))
}

// A batch that was due is closed by the event that comes after, even if nobody
// had looked yet.
func TestBatchThatWasDue(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(batching(function.EventBatch{MaxSize: 3, Timeout: "1h"}))
	s.numbered("e", ``, 1)
	s.decided("batched:1")
	s.in(0, func(o *Owner) {
		s.ahead.Add(int64(time.Hour)) // no tick gets in between
		tx := o.begin()
		tx.handleStart(&state.Start{
			RunID: ulid.Make(), FunctionID: function.FunctionID("fn", "fn"), Events: raws(`{"data":{"n":2}}`), EventIDs: []ulid.ULID{ulid.Make()}, Trigger: "e",
		})
		tx.commit(nil)
	})
	s.decided("success:1 batched:2")
	require.Equal(t, []string{"1"}, s.numbers("fn"))
}

// All that invoke a batch get its result.
func TestBatchOfInvokes(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	callee := limited("callee", "e", func(fn *function.Function) { fn.EventBatch = &function.EventBatch{MaxSize: 3, Timeout: "1h"} })
	s.register(on("caller", "begin"), callee)
	s.numbered("e", ``, 1)
	s.decided("batched:1")
	first := invoking(s, "callee")
	s.decided("success:1 batched:2")
	s.reload()
	second := invoking(s, "callee")
	lease := s.calls("callee")
	require.Equal(t, []string{"", first.ID.String() + ".w", second.ID.String() + ".w"}, s.load(lease.RunID).Correlations)
	s.commit(complete(lease, `"result"`))
	require.Equal(t, `{"data":"result"}`, s.memo(first, "w"))
	require.Equal(t, `{"data":"result"}`, s.memo(second, "w"))
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventFinished) == 3 })
}

// 10 MiB of events are full, and fit into the log in pieces.
func TestBatchOfManyBytes(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(batching(function.EventBatch{MaxSize: 1000, Timeout: "1h"}))
	text := strings.Repeat("x", 600<<10)
	const events = maxBatchBytes/(600<<10) + 1
	for n := range events - 1 {
		s.numbered("e", fmt.Sprintf(`,"text":%q`, text), n)
	}
	s.decided(fmt.Sprintf("batched:%d", events-1))
	s.replaceOwner(0)
	s.numbered("e", fmt.Sprintf(`,"text":%q`, text), events-1)
	run := s.only("fn")
	require.Len(t, run.Events, events)
	s.replaceOwner(0)
	require.Len(t, s.load(run.ID).Events, events)
	lease := s.call()
	s.commit(complete(lease, `1`))
	require.Equal(t, state.Completed, s.ended(run.ID).status)
}

// Whatever became of the function meanwhile, nothing is lost silently.
func TestBatchOfAChangedFunction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*site)
		runs   int
		skip   state.SkipReason
	}{
		"batches no more": {func(s *site) { s.register(on("fn", "e")) }, 1, 0},
		"debounces now":   {func(s *site) { s.register(debounced("1h", "", "")) }, 1, 0},
		"paused":          {func(s *site) { s.pause("fn", true) }, 0, state.SkipPaused},
		"archived":        {func(s *site) { s.archive() }, 0, state.SkipDrained},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(batching(function.EventBatch{MaxSize: 3, Timeout: "1h"}))
			s.numbered("e", ``, 1, 2)
			s.decided("batched:2")
			c.change(s)
			s.advance(time.Hour)
			s.eventually(func() bool { return len(s.skips())+len(s.runs("fn")) == 1 })
			require.Len(t, s.runs("fn"), c.runs)
			for _, run := range s.runs("fn") {
				require.Len(t, run.Events, 2)
			}
			for _, skipped := range s.skips() {
				require.Equal(t, c.skip, skipped.Reason)
				require.Len(t, skipped.EventIDs, 2)
				require.NotZero(t, skipped.BatchID)
			}
		})
	}
}

// A smaller size counts from the next event on.
func TestBatchThatIsMadeSmaller(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(batching(function.EventBatch{MaxSize: 10, Timeout: "1h"}))
	s.numbered("e", ``, 1, 2, 3)
	s.decided("batched:3")
	s.register(batching(function.EventBatch{MaxSize: 2, Timeout: "1h"}))
	s.numbered("e", ``, 4)
	s.decided("success:1 batched:4")
	require.Equal(t, []string{"1 2 3 4"}, s.numbers("fn"))
}
