package state

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

var testRun = ulid.MustParse("01M8AET0YF1VEAYWNXD1BS5P14")

func indexWith(ops ...Op) *Index {
	x := NewIndex()
	for _, op := range ops {
		x.ApplyOp(op, 1000)
	}
	return x
}

func TestRunChangedRules(t *testing.T) {
	t.Parallel()
	start := Run{ID: testRun, Version: Undecided, Size: 10, Jobs: []Job{{ID: "j", Due: 1}}}
	cases := map[string]struct {
		changes []*RunChanged
		check   func(t *testing.T, r *Run)
	}{
		"the first start counts": {[]*RunChanged{{StartedAt: 5}, {StartedAt: 9}, {}}, func(t *testing.T, r *Run) {
			require.EqualValues(t, 5, r.StartedAt)
		}},
		"flags": {[]*RunChanged{{Version: pointer(2), ForcePlan: pointer(true), HasAI: true}, {ForcePlan: pointer(false)}}, func(t *testing.T, r *Run) {
			require.Equal(t, 2, r.Version)
			require.False(t, r.ForcePlan)
			require.True(t, r.HasAI)
		}},
		"the first memo stays": {[]*RunChanged{{Steps: []Step{{"a", raw(`1`)}}}, {Steps: []Step{{"a", raw(`22`)}, {"b", raw(`333`)}}}}, func(t *testing.T, r *Run) {
			require.Equal(t, []Step{{"a", raw(`1`)}, {"b", raw(`333`)}}, r.Steps)
			require.Equal(t, 10+1+3, r.Size)
			memo, ok := r.Memo("a")
			require.True(t, ok)
			require.Equal(t, raw(`1`), memo)
			_, ok = r.Memo("c")
			require.False(t, ok)
			require.Equal(t, 1, r.StackIndex("b"))
			require.Equal(t, -1, r.StackIndex("c"))
		}},
		"finished steps leave the pending ones": {[]*RunChanged{{Pending: []string{"a", "b", "b"}}, {Pending: []string{"b", "c"}, Steps: []Step{{"a", nil}}}}, func(t *testing.T, r *Run) {
			require.Equal(t, []string{"b", "c"}, r.Pending)
			require.True(t, r.IsPending("b"))
			require.False(t, r.IsPending("a"))
		}},
		"a finished step is not pending again": {[]*RunChanged{{Steps: []Step{{"a", nil}}}, {Pending: []string{"a"}}}, func(t *testing.T, r *Run) {
			require.Empty(t, r.Pending)
		}},
		"jobs": {[]*RunChanged{{JobsPut: []Job{{ID: "k"}, {ID: "j", Due: 7}}}, {JobsDone: []string{"k", "unknown"}}}, func(t *testing.T, r *Run) {
			require.Equal(t, []Job{{ID: "j", Due: 7}}, r.Jobs)
			job, ok := r.Job("j")
			require.True(t, ok)
			require.EqualValues(t, 7, job.Due)
		}},
		"a job done and put is new": {[]*RunChanged{{JobsDone: []string{"j"}, JobsPut: []Job{{ID: "j", Due: 9}}}}, func(t *testing.T, r *Run) {
			require.Equal(t, []Job{{ID: "j", Due: 9}}, r.Jobs)
		}},
		"no job": {[]*RunChanged{{JobsDone: []string{"j"}}}, func(t *testing.T, r *Run) {
			require.Nil(t, r.Jobs)
			_, ok := r.Job("j")
			require.False(t, ok)
		}},
		"waits": {[]*RunChanged{{WaitsPut: []Wait{{Step: "w", Name: "x"}}}, {WaitsPut: []Wait{{Step: "w", Name: "y"}, {Step: "v"}}}, {WaitsDone: []string{"v"}}}, func(t *testing.T, r *Run) {
			require.Equal(t, []Wait{{Step: "w", Name: "x"}}, r.Waits)
			w, ok := r.Wait("w")
			require.True(t, ok)
			require.Equal(t, "x", w.Name)
			_, ok = r.Wait("v")
			require.False(t, ok)
		}},
		"defers": {[]*RunChanged{{DefersPut: []Defer{{ID: "d", Status: DeferAfterRun}, {ID: "e"}}}, {DefersPut: []Defer{{ID: "d", Status: DeferAborted}}}}, func(t *testing.T, r *Run) {
			require.Equal(t, []Defer{{ID: "d", Status: DeferAborted}, {ID: "e"}}, r.Defers)
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := indexWith(&RunPut{start})
			for _, o := range c.changes {
				o.RunID = testRun
				x.ApplyOp(o, 1000)
			}
			r, ok := x.Run(testRun)
			require.True(t, ok)
			c.check(t, r)
			requireConsistent(t, x)
		})
	}
}

func TestFactsAboutAnUnknownRunChangeNothing(t *testing.T) {
	t.Parallel()
	x := indexWith(
		&RunChanged{RunID: testRun, Steps: []Step{{"a", raw(`1`)}}, JobsPut: []Job{{ID: "j"}}},
		&RunFinished{RunID: testRun, Status: Completed, Output: nil},
	)
	x.Freeze(testRun)
	requireSame(t, NewIndex(), x, 1000, "nothing was there")
	_, ok := x.Run(testRun)
	require.False(t, ok)
	_, ok = x.View(testRun)
	require.False(t, ok)
}

func TestFrozenRuns(t *testing.T) {
	t.Parallel()
	x := indexWith(&RunPut{Run{ID: testRun, Version: Undecided, Size: 4, Events: raws(`{"a"}`)}})
	before, ok := x.View(testRun)
	require.True(t, ok)
	x.Freeze(testRun)
	x.Freeze(testRun)
	require.Equal(t, 1, x.RunCount())
	require.Equal(t, 4, x.Size())
	require.Len(t, slices.Collect(x.Runs()), 1)
	view, ok := x.View(testRun)
	require.True(t, ok)
	require.Equal(t, before, view)
	x.ApplyOp(&RunChanged{RunID: testRun, Steps: []Step{{"a", raw(`null`)}}}, 1)
	require.Equal(t, 8, x.Size())
	x.Freeze(testRun)
	x.ApplyOp(&RunPut{Run{ID: testRun, Size: 3}}, 1)
	require.Equal(t, 3, x.Size(), "a run that is put anew replaces the frozen one")
	x.Freeze(testRun)
	x.ApplyOp(&RunFinished{RunID: testRun}, 1)
	require.Zero(t, x.RunCount())
	require.Zero(t, x.Size())
}

func TestMarksOnlyGrowUnlessReset(t *testing.T) {
	t.Parallel()
	x := indexWith(
		&Marks{Events: 5, Commands: 7, Received: []Mark{{1, 3}, {EventsOf(1), 4}}},
		&Marks{Events: 4, Received: []Mark{{1, 2}}},
	)
	require.EqualValues(t, 5, x.Events())
	require.EqualValues(t, 7, x.Commands())
	require.EqualValues(t, 3, x.Received(1))
	require.EqualValues(t, 4, x.Received(EventsOf(1)))
	require.Zero(t, x.Received(2))
	x.ApplyOp(&Marks{Events: 2, Commands: 1, Reset: true}, 0)
	require.EqualValues(t, 2, x.Events())
	require.EqualValues(t, 1, x.Commands())
	require.EqualValues(t, 3, x.Received(1))
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	x := NewIndex()
	require.Nil(t, x.Outbox(3))
	require.EqualValues(t, 1, x.NextSend(3))
	for n := uint64(1); n <= 4; n++ {
		require.Equal(t, n, x.NextSend(3))
		x.ApplyOp(&Sent{To: 3, N: n, Message: Message{Kind: MessageEvent}}, 0)
	}
	numbers := func() (list []uint64) {
		for _, s := range x.Outbox(3).Waiting {
			list = append(list, s.N)
		}
		return list
	}
	require.Equal(t, []uint64{1, 2, 3, 4}, numbers())
	x.ApplyOp(&Confirmed{3, 2}, 0)
	x.ApplyOp(&Confirmed{3, 1}, 0)
	x.ApplyOp(&Sent{To: 3, N: 2}, 0) // carried forward after it was confirmed
	x.ApplyOp(&Sent{To: 3, N: 3}, 0) // and one that waits
	require.Equal(t, []uint64{3, 4}, numbers())
	require.Equal(t, MessageEvent, x.Outbox(3).Waiting[0].Message.Kind)
	x.ApplyOp(&Confirmed{3, 4}, 0)
	require.Nil(t, x.Outbox(3).Waiting)
	require.EqualValues(t, 5, x.NextSend(3))
	requireConsistent(t, x)

	// What follows the beginning of a walk comes before what the walk carries.
	y := indexWith(&Sent{To: 3, N: 6}, &Sent{To: 3, N: 4}, &Sent{To: 3, N: 5}, &Confirmed{3, 3})
	require.Equal(t, []uint64{4, 5, 6}, []uint64{y.Outbox(3).Waiting[0].N, y.Outbox(3).Waiting[1].N, y.Outbox(3).Waiting[2].N})
	requireConsistent(t, y)
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	for p := range 256 {
		require.False(t, IsEvents(p))
		require.True(t, IsEvents(EventsOf(p)))
	}
	require.NotEqual(t, EventsOf(0), EventsOf(1))
}

func TestClaims(t *testing.T) {
	t.Parallel()
	key, other := [16]byte{1}, [16]byte{2}
	first, second := ulid.ULID{1}, ulid.ULID{2}
	x := NewIndex()
	x.ApplyOp(&KeyClaimed{key, first, 2000}, 1000)
	run, taken := x.Claimed(key, 1999)
	require.True(t, taken)
	require.Equal(t, first, run)
	_, taken = x.Claimed(key, 2000)
	require.False(t, taken, "it excludes until, not at, its end")
	_, taken = x.Claimed(other, 1000)
	require.False(t, taken)

	x.ApplyOp(&KeyClaimed{key, second, 5000}, 2500)
	x.ApplyOp(&KeyClaimed{key, first, 2000}, 2500) // carried, and older
	run, taken = x.Claimed(key, 3000)
	require.True(t, taken)
	require.Equal(t, second, run)

	x.ApplyOp(&KeyClaimed{other, first, 9000}, 6000)
	require.Len(t, x.claims.entries, 1, "ended claims are dropped")
	require.Len(t, x.claims.ends, 1)
}

func TestWatchesSignalsAndCrons(t *testing.T) {
	t.Parallel()
	fn := uuid.UUID{1}
	x := indexWith(
		&WatchPut{Watch{ID: "a", Event: "e", Since: 1}}, &WatchPut{Watch{ID: "a", Event: "e", Since: 2}}, &WatchPut{Watch{ID: "b", Event: "e"}},
		&WatchRemoved{"b", "e"}, &WatchRemoved{"unknown", "e"},
		&SignalPut{"s", testRun, "w"}, &SignalPut{"s", testRun, "v"}, &SignalPut{"gone", testRun, "w"}, &SignalRemoved{"gone"},
		&CronTicked{fn, "x", 5}, &CronTicked{fn, "x", 4}, &Owned{"n"},
	)
	require.Len(t, slices.Collect(x.Watches()), 1)
	w, ok := x.Watch("a")
	require.True(t, ok)
	require.EqualValues(t, 2, w.Since)
	_, ok = x.Watch("b")
	require.False(t, ok)
	s, ok := x.Signal("s")
	require.True(t, ok)
	require.Equal(t, "v", s.Step)
	_, ok = x.Signal("gone")
	require.False(t, ok)
	at, ok := x.Cron(CronKey{fn, "x"})
	require.True(t, ok)
	require.EqualValues(t, 5, at)
	_, ok = x.Cron(CronKey{fn, "y"})
	require.False(t, ok)
}

// Iterations can be left early.
func TestIterationsStop(t *testing.T) {
	t.Parallel()
	x := indexWith(
		&RunPut{Run{ID: ulid.ULID{1}}}, &RunPut{Run{ID: ulid.ULID{2}}}, &RunPut{Run{ID: ulid.ULID{3}}}, &RunPut{Run{ID: ulid.ULID{4}}},
		&WatchPut{Watch{ID: "a"}}, &WatchPut{Watch{ID: "b"}}, &Sent{To: 1, N: 1}, &Sent{To: 2, N: 1},
	)
	x.Freeze(ulid.ULID{1})
	x.Freeze(ulid.ULID{2})
	for limit := 1; limit <= 3; limit++ {
		n := 0
		for range x.Runs() {
			if n++; n == limit {
				break
			}
		}
		require.Equal(t, limit, n)
		n = 0
		for range x.RunIDs() {
			if n++; n == limit {
				break
			}
		}
		require.Equal(t, limit, n)
	}
	require.ElementsMatch(t, []ulid.ULID{{1}, {2}, {3}, {4}}, slices.Collect(x.RunIDs()))
	n := 0
	for range x.Watches() {
		n++
		break
	}
	for range x.Outboxes() {
		n++
		break
	}
	require.Equal(t, 2, n)
}

// A walk hands out about as much as asked for, but always something.
func TestCarryIsCutIntoPieces(t *testing.T) {
	t.Parallel()
	x := NewIndex()
	for i := range 50 {
		x.ApplyOp(&RunPut{Run{ID: ulid.ULID{byte(i)}, Size: 1000, Events: []json.RawMessage{make([]byte, 1000)}}}, 1)
		x.ApplyOp(&Sent{To: 1, N: uint64(i + 1), Message: Message{Event: &SentEvent{Data: make([]byte, 2000)}}}, 1)
	}
	for _, limit := range []int{1, 5_000, 1 << 20} {
		walk := x.Carry()
		pieces, facts := 0, 0
		for ops := walk.Next(limit); len(ops) > 0; ops = walk.Next(limit) {
			pieces++
			facts += len(ops)
			var e Encoder
			e.Add(&Record{Ops: ops})
			require.Less(t, e.Len(), limit+5_000)
		}
		require.Equal(t, 1+50+50, facts)
		require.Nil(t, walk.Next(limit), "it stays over")
		require.Equal(t, map[int]int{1: 101, 5_000: pieces, 1 << 20: 1}[limit], pieces)
		require.Positive(t, pieces)
	}
}

func TestRunKey(t *testing.T) {
	t.Parallel()
	// sdk-protocol §4.5.
	run := Run{ID: testRun, FunctionID: uuid.MustParse("49de9300-2045-5162-8a78-87a6b3905bf5"), Idempotency: "29u4zs8yc85zd-1nx002hnquxl"}
	require.Equal(t, "49de9300-2045-5162-8a78-87a6b3905bf5:29u4zs8yc85zd-1nx002hnquxl", run.Key())
	run.Idempotency = ""
	require.Equal(t, "49de9300-2045-5162-8a78-87a6b3905bf5:01M8AET0YF1VEAYWNXD1BS5P14", run.Key())
}

func TestNames(t *testing.T) {
	t.Parallel()
	for status, name := range map[Status]string{Running: "Running", Completed: "Completed", Failed: "Failed", Cancelled: "Cancelled", Scheduled: "Scheduled", Skipped: "Skipped", 99: "Unknown"} {
		require.Equal(t, name, status.String())
	}
	for kind, name := range map[JobKind]string{JobStart: "start", JobEdge: "edge", JobEdgeError: "edge-error", JobSleep: "sleep", JobPause: "pause", 0: "unknown"} {
		require.Equal(t, name, kind.String())
	}
	require.Equal(t, testRun.String()+".w", WatchID(testRun, "w"))
	require.Equal(t, testRun.String()+"/cancel/2", CancelWatchID(testRun, 2))
}

func TestBrokenMemoryIsNotRead(t *testing.T) {
	t.Parallel()
	x := indexWith(&RunPut{Run{ID: testRun}})
	x.Freeze(testRun)
	x.cold[testRun] = "\x01"
	require.Panics(t, func() { x.Run(testRun) })
}

func TestSingletonEndsWithItsRun(t *testing.T) {
	t.Parallel()
	key := GateKey{1}
	first, second := ulid.ULID{1}, ulid.ULID{2}
	holds := func(id ulid.ULID) *RunPut { return &RunPut{Run{ID: id, Flow: &Flow{Singleton: &key}}} }
	x := indexWith(holds(first))
	id, ok := x.Singleton(key)
	require.True(t, ok)
	require.Equal(t, first, id)
	x.Freeze(first)
	x.ApplyOp(&RunFinished{RunID: first}, 1)
	_, ok = x.Singleton(key)
	require.False(t, ok)
	x.ApplyOp(holds(second), 1)
	x.ApplyOp(holds(second), 1) // carried forward
	x.ApplyOp(&RunFinished{RunID: first}, 1)
	id, _ = x.Singleton(key)
	require.Equal(t, second, id)
}

func TestRatesAreTheLastOnes(t *testing.T) {
	t.Parallel()
	key := GateKey{1}
	x := indexWith(&RateCharged{key, 5000.5, 5001}, &RateCharged{key, 4000.5, 4001})
	tat, ok := x.Rate(key, 4000)
	require.True(t, ok)
	require.InDelta(t, 4000.5, tat, 0)
	_, ok = x.Rate(key, 4001)
	require.False(t, ok, "it no longer matters")
	for range 100 {
		x.ApplyOp(&RateCharged{key, tat + 1, 6001}, 1)
		tat++
	}
	require.Len(t, x.rates.ends, 1, "a key is on the heap once, however often it is charged")
	x.ApplyOp(&RateCharged{GateKey{2}, 9000, 9000}, 7000)
	require.Len(t, x.rates.entries, 1)
}

func TestBatchCollects(t *testing.T) {
	t.Parallel()
	key, id := GateKey{1}, ulid.ULID{9}
	start := Start{Events: []json.RawMessage{[]byte(`1`)}, EventIDs: []ulid.ULID{{1}}}
	x := indexWith(
		&BatchAppended{Key: key, ID: id, Event: []byte(`0`)}, // of a batch that is gone
		&BatchPut{Batch{Key: key, ID: id, Start: start, Size: 1}},
		&BatchAppended{Key: key, ID: id, After: 1, Event: []byte(`22`), EventID: ulid.ULID{2}, Correlation: "r.s"},
		&BatchAppended{Key: key, ID: id, After: 1, Event: []byte(`22`)},
		&BatchAppended{Key: key, ID: ulid.ULID{8}, After: 2, Event: []byte(`0`)},
		&BatchAppended{Key: key, ID: id, After: 2, Event: []byte(`3`), EventID: ulid.ULID{3}},
	)
	b, ok := x.Batch(key)
	require.True(t, ok)
	require.Equal(t, []json.RawMessage{[]byte(`1`), []byte(`22`), []byte(`3`)}, b.Start.Events)
	require.Equal(t, []ulid.ULID{{1}, {2}, {3}}, b.Start.EventIDs)
	require.Equal(t, []string{"", "r.s", ""}, b.Start.Correlations)
	require.Equal(t, 4, b.Size)
	require.Len(t, start.Events, 1, "what was put is not changed")
	x.ApplyOp(&BatchRemoved{key}, 1)
	_, ok = x.Batch(key)
	require.False(t, ok)
}

func TestRunAdmittedLeavesViewsAlone(t *testing.T) {
	t.Parallel()
	id := ulid.ULID{1}
	x := indexWith(&RunPut{Run{ID: id, Flow: &Flow{Priority: 3}}}, &RunPut{Run{ID: ulid.ULID{2}}})
	before, _ := x.View(id)
	x.ApplyOp(&RunAdmitted{id}, 1)
	x.ApplyOp(&RunAdmitted{ulid.ULID{2}}, 1)
	x.ApplyOp(&RunAdmitted{ulid.ULID{3}}, 1)
	after, _ := x.View(id)
	require.Equal(t, &Flow{Priority: 3}, before.Flow)
	require.Equal(t, &Flow{Priority: 3, Admitted: true}, after.Flow)
	other, _ := x.View(ulid.ULID{2})
	require.True(t, other.Flow.Admitted)
}

func TestGateKeys(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	keys := map[GateKey]bool{}
	for _, key := range []GateKey{
		NewGateKey("batch", a), NewGateKey("batch", b), NewGateKey("debounce", a), NewGateKey("batch", a, ""),
		NewGateKey("batch", a, "x"), NewGateKey("batch", a, "x", ""), NewGateKey("batch", a, "", "x"),
		NewGateKey("batch", a, "xy"), NewGateKey("batch", a, "x", "y"),
	} {
		require.False(t, keys[key])
		keys[key] = true
	}
	require.Equal(t, NewGateKey("batch", a, "x"), NewGateKey("batch", a, "x"))
}
