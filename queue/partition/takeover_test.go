package partition

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// takeOver hands things over and requires what became of them.
func takeOver(t *testing.T, n *Node, want state.TakeResult, all ...state.Moved) []state.TakeOutcome {
	t.Helper()
	outcomes, err := n.TakeOver(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, outcomes, len(all))
	for i, o := range outcomes {
		require.Equal(t, want, o.Result, "%d: %s", i, o.Reason)
	}
	return outcomes
}

// left is a run as another engine left it.
func left(run state.Run, watches ...state.Watch) state.Moved {
	return state.Moved{Fact: &state.RunPut{Run: run}, Watches: watches, Function: run.FunctionID}
}

// waiting is a run in whose step "w" something is waited for.
func waiting(id ulid.ULID, slug string, kind state.WaitKind, name string) state.Run {
	run := asleep(id, slug, time.Now().Add(time.Hour))
	run.Jobs[0].ID, run.Jobs[0].Kind, run.Jobs[0].Step = function.PauseTimeoutJob(run.Key(), "w"), state.JobPause, "w"
	run.Waits = []state.Wait{{Kind: kind, Step: "w", Name: name}}
	return run
}

func watchFor(step, event, expression string) state.Watch {
	return state.Watch{Step: step, Event: event, If: expression, Expires: time.Now().Add(time.Hour).UnixMilli()}
}

func tightly(slug string, limit int) function.Function {
	fn := on(slug, slug)
	fn.Concurrency = &function.Concurrency{Steps: []function.StepLimit{{Limit: limit, Scope: function.ScopeFunction}}}
	return fn
}

// Of two runs that wait for one signal, the one that has lost it keeps waiting, in
// whatever order they come.
func TestTakenSignalIsAnothers(t *testing.T) {
	t.Parallel()
	for name, lostFirst := range map[string]bool{"before it": true, "after it": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 4)
			s.register(on("free", "free"))
			lost := left(waiting(idNaming(1), "free", state.WaitSignal, "sig"))
			holds := left(waiting(idNaming(2), "free", state.WaitSignal, "sig"), state.Watch{Step: "w"})
			both := []state.Moved{holds, lost}
			if lostFirst {
				slices.Reverse(both)
			}
			takeOver(t, s.node, state.Taken, both...)
			s.passed()
			found, err := s.node.Find(t.Context(), []state.Moved{lost, holds})
			require.NoError(t, err)
			require.Empty(t, found[0].Watches)
			require.Len(t, found[1].Watches, 1)
			got, err := s.node.Signal(t.Context(), "sig", nil)
			require.NoError(t, err)
			require.Equal(t, holds.Fact.(*state.RunPut).Run.ID, got)
			require.Equal(t, 2, s.node.Stats().Runs)
		})
	}
}

// What waited for an event or a signal goes on by it, in whatever partition the run
// is, and not by events of before.
func TestTakenRunsGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, 4)
	s.register(on("free", "free"), tightly("tight", 100))
	s.send("go", `{"n":1}`)
	s.passed()
	var all []state.Moved
	kinds := map[ulid.ULID]state.WaitKind{}
	for i := range 24 {
		id, slug := idNaming(i*37), []string{"free", "tight"}[i%2]
		kinds[id] = []state.WaitKind{state.WaitEvent, state.WaitSignal}[i/2%2]
		name := map[state.WaitKind]string{state.WaitEvent: "go", state.WaitSignal: "sig " + strconv.Itoa(i)}[kinds[id]]
		m := left(waiting(id, slug, kinds[id], name))
		if kinds[id] == state.WaitEvent {
			m.Watches = []state.Watch{watchFor("w", name, `async.data.n == 1`)}
		} else {
			m.Watches = []state.Watch{{Step: "w"}}
		}
		all = append(all, m)
	}
	takeOver(t, s.node, state.Taken, all...)
	takeOver(t, s.node, state.TakenHad, all...)
	require.Equal(t, len(all), s.node.Stats().Runs)
	s.passed()
	require.Zero(t, s.node.Stats().Ready, "no event of before counts")
	homes := map[int]bool{}
	for _, m := range all {
		run := m.Fact.(*state.RunPut).Run
		if run.Slug == "tight" {
			homes[s.node.partitionOfRun(run.ID)] = true
		}
	}
	require.Len(t, homes, 1, "runs of a function with limits are together")

	s.send("go", `{"n":2}`)
	s.send("go", `{"n":1}`)
	for i, m := range all {
		if run := m.Fact.(*state.RunPut).Run; kinds[run.ID] == state.WaitSignal {
			got, err := s.node.Signal(t.Context(), "sig "+strconv.Itoa(i), nil)
			require.NoError(t, err)
			require.Equal(t, run.ID, got)
		}
	}
	for range all {
		lease := s.call()
		require.Contains(t, kinds, lease.RunID)
		s.commit(complete(lease, `1`))
		require.Equal(t, state.Completed, s.ended(lease.RunID).status)
		delete(kinds, lease.RunID)
	}
	s.delivered()
	require.Zero(t, s.node.homes.count.Load())
	takeOver(t, s.node, state.TakenEnded, all...)
	require.Zero(t, s.node.Stats().Runs)
	require.Zero(t, s.node.homes.count.Load(), "no trace of what has ended")
	for p := range s.bus.Partitions() {
		s.in(p, func(o *Owner) {
			for _, m := range all {
				_, placed := o.index.Placed(m.Fact.(*state.RunPut).Run.ID)
				require.False(t, placed)
			}
		})
	}
}

// An event that cancels does so after the take-over, and the parent of an
// invoked run gets the answer, wherever the two are.
func TestTakenRunsAreCancelledAndAnswered(t *testing.T) {
	t.Parallel()
	s := newSite(t, 4)
	s.register(tightly("parent", 10), tightly("child", 10), on("free", "free"))
	parent := waiting(idNaming(1), "parent", state.WaitInvoke, "child")
	child := asleep(idNaming(2), "child", time.Now())
	child.Correlations = []string{function.CorrelationID(parent.ID.String(), "w")}
	doomed := asleep(idNaming(3), "free", time.Now().Add(time.Hour))
	doomed.Cancels = []string{"other", "stop"}
	takeOver(t, s.node, state.Taken, left(parent), left(child), left(doomed, watchFor("", "other", "false"), watchFor("", "stop", `async.data.id == 7`)))

	lease := s.call()
	require.Equal(t, child.ID, lease.RunID)
	s.commit(complete(lease, `"out"`))
	lease = s.call()
	require.Equal(t, parent.ID, lease.RunID)
	require.Equal(t, `{"data":"out"}`, s.memo(&parent, "w"))
	s.commit(complete(lease, `1`))

	s.send("other", `{"id":7}`)
	s.send("stop", `{"id":7}`)
	require.Equal(t, state.Cancelled, s.ended(doomed.ID).status)
	s.delivered()
	require.Zero(t, s.node.Stats().Watches, "nobody looks out for it any more")
}

// Limits count taken runs from the first moment on.
func TestTakenRunsAreCounted(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	runs := on("runs", "runs")
	runs.Concurrency = &function.Concurrency{Runs: []function.RunLimit{{Limit: 1, Scope: "fn"}}}
	single := on("single", "single")
	single.Singleton = &function.Singleton{Key: "event.data.n"}
	s.register(tightly("tight", 1), runs, single)
	var all []state.Moved
	for i := range 5 {
		all = append(all, left(asleep(idNaming(i), "tight", time.Now())))
	}
	begun := asleep(idNaming(9), "runs", time.Now().Add(time.Hour))
	holder := asleep(idNaming(8), "single", time.Now().Add(time.Hour))
	key := state.NewValueKey(state.OfSingleton, holder.FunctionID, "", function.Hash("1"))
	holder.Flow = &state.Flow{Singleton: &key}
	takeOver(t, s.node, state.Taken, append(all, left(begun), left(holder))...)

	lease := s.call()
	require.Equal(t, fnID("tight"), lease.FunctionID)
	require.Equal(t, 4, s.node.Stats().Held, "one at a time")
	require.Zero(t, s.node.Stats().Ready)
	s.commit(complete(lease, `1`))

	s.send("runs", `{}`)
	s.send("single", `{"n":1}`)
	s.eventually(func() bool { return s.rec.count(s.rec.decided, StartSkipped) == 1 }, "the singleton is taken")
	s.eventually(func() bool { return s.node.Stats().Held == 4 }, "a run is in progress: the new one waits with three others")
}

// The same is true in a process that owns nothing, and of one that is at rest.
func TestTakingOverElsewhere(t *testing.T) {
	t.Parallel()
	s, n := elsewhere(t)
	s.register(tightly("tight", 1), on("free", "free"))
	tight, free := waiting(idNaming(0), "tight", state.WaitEvent, "go"), waiting(idNaming(1), "free", state.WaitEvent, "go")
	other := waiting(idNaming(1), "tight", state.WaitEvent, "go")
	all := []state.Moved{left(tight, watchFor("w", "go", "")), left(free, watchFor("w", "go", "")), left(other, watchFor("w", "go", ""))}
	takeOver(t, n, state.Taken, all...)
	found, err := n.Find(t.Context(), all)
	require.NoError(t, err)
	for i, want := range all {
		got := found[i].Fact.(*state.RunPut).Run
		require.Equal(t, want.Fact.(*state.RunPut).Run.Events, got.Events)
		require.Len(t, found[i].Watches, 1)
		require.Equal(t, want.Watches[0].Expires, found[i].Watches[0].Expires)
	}
	s.send("go", `{}`)
	require.Contains(t, []ulid.ULID{tight.ID, free.ID, other.ID}, s.call().RunID)
	_, err = n.Find(t.Context(), []state.Moved{left(asleep(ulid.Make(), "free", time.Now()))})
	require.NoError(t, err)
	require.ErrorIs(t, n.Walk(t.Context(), "", nil), ErrNotOwner)
}

// What start gates remember is taken over, once.
func TestTakenGates(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	debounced, batched, rated := on("debounced", "debounced"), on("batched", "batched"), on("rated", "rated")
	debounced.Debounce = &function.Debounce{Period: "1h"}
	batched.EventBatch = &function.EventBatch{MaxSize: 2, Timeout: "1h"}
	rated.RateLimit = &function.RateLimit{Limit: 1, Period: "1h", Key: "event.data.n"}
	s.register(debounced, batched, rated, on("free", "free"))
	event := func(name string) state.Start {
		e := json.RawMessage(`{"data":{"n":1},"id":"x","name":"` + name + `","ts":5,"user":{}}`)
		return state.Start{FunctionID: fnID(name), Events: []json.RawMessage{e}, EventIDs: []ulid.ULID{ulid.Make()}}
	}
	soon := time.Now().Add(time.Hour).UnixMilli()
	key, ok := state.ClaimKey(function.IdempotencyKey(fnID("free"), "mine"))
	require.True(t, ok)
	tat := float64(soon) * nanoseconds
	all := []state.Moved{
		{Fact: &state.DebouncePut{Debounce: state.Debounce{ID: ulid.Make(), Due: soon, Start: event("debounced")}}},
		{Fact: &state.BatchPut{Batch: state.Batch{ID: ulid.Make(), Due: soon, Start: event("batched")}}},
		{Fact: &state.BatchPut{Batch: state.Batch{ID: ulid.Make(), Due: soon, Start: event("batched")}}, Apart: true},
		{Fact: &state.KeyClaimed{Key: key, RunID: ulid.Make(), Expires: soon}},
		{Fact: &state.RateCharged{
			Key: state.NewValueKey(state.OfRateLimit, fnID("rated"), function.Hash("event.data.n"), function.Hash("1")), TAT: tat, Expires: soon,
		}, Function: fnID("rated")},
		{Fact: &state.CronTicked{FunctionID: fnID("free"), Expr: "* * * * *", At: soon}},
	}
	takeOver(t, s.node, state.Taken, all...)
	takeOver(t, s.node, state.TakenHad, all...)
	found, err := s.node.Find(t.Context(), all)
	require.NoError(t, err)
	for i := range found {
		require.NotNil(t, found[i].Fact, "%d", i)
		require.IsType(t, all[i].Fact, found[i].Fact)
		require.Equal(t, all[i].Apart, found[i].Apart)
	}

	e := newEvent("free", `{}`)
	e.ID = "mine"
	s.publish(e)
	s.send("rated", `{"n":1}`)
	s.send("batched", `{"n":1}`)
	s.eventually(func() bool { return s.rec.count(s.rec.decided, StartIdempotency) == 1 })
	s.eventually(func() bool { return s.rec.count(s.rec.decided, StartRateLimited) == 1 })
	lease := s.call()
	require.Equal(t, fnID("batched"), lease.FunctionID)
	require.Len(t, s.load(lease.RunID).Events, 2, "the batch is full")
	s.send("debounced", `{"n":1}`)
	s.advance(2 * time.Hour)
	ends := map[uuid.UUID]int{}
	for range 2 {
		lease := s.call()
		ends[lease.FunctionID]++
		require.Len(t, s.load(lease.RunID).Events, 1)
	}
	require.Equal(t, map[uuid.UUID]int{fnID("batched"): 1, fnID("debounced"): 1}, ends)
	takeOver(t, s.node, state.TakenEnded, all[:3]...)
}

// What has no place is refused, and says why.
func TestWhatCannotBeTakenOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	e := state.Start{FunctionID: fnID("unknown"), Events: raws(`{"name":"e"}`), EventIDs: []ulid.ULID{ulid.Make()}}
	for _, m := range []state.Moved{
		left(state.Run{ID: ulid.Make()}),
		{Fact: &state.DebouncePut{}}, {Fact: &state.BatchPut{}},
		{Fact: &state.DebouncePut{Debounce: state.Debounce{Start: e}}}, {Fact: &state.BatchPut{Batch: state.Batch{Start: e}}},
		{Fact: &state.Owned{}},
	} {
		outcome := takeOver(t, s.node, state.TakenNot, m)
		require.NotEmpty(t, outcome[0].Reason)
	}
	key, _ := state.ClaimKey("a-b")
	claim := &state.KeyClaimed{Key: key, RunID: ulid.Make(), Expires: time.Now().Add(time.Hour).UnixMilli()}
	takeOver(t, s.node, state.Taken, state.Moved{Fact: claim})
	other := *claim
	other.RunID = ulid.Make()
	takeOver(t, s.node, state.TakenOther, state.Moved{Fact: &other})
	require.Empty(t, takeOver(t, s.node, state.Taken))
}

// atRest begins the site's node anew, as one in which nothing happens by itself.
func (s *site) atRest() {
	s.t.Helper()
	s.stop()
	s.tune = func(n *Node) { n.atRest = true }
	s.start()
}

// walked is all that a walk shows, from a position on.
func (s *site) walked(after string) (all []state.Moved, positions []string) {
	s.t.Helper()
	require.NoError(s.t, s.node.Walk(s.t.Context(), after, func(page []state.Moved, after string) error {
		all, positions = append(all, page...), append(positions, after)
		return nil
	}))
	return all, positions
}

// What a partition at rest holds is shown, and is the same when it was taken over
// elsewhere, also when that had to be done twice. Nothing happens meanwhile.
func TestWalkAndTakeOverAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.populate(17)
	s.delivered()
	reason, err := s.node.Unsettled(t.Context())
	require.NoError(t, err)
	require.Empty(t, reason)
	s.atRest()
	was := s.images()
	all, _ := s.walked("")
	require.GreaterOrEqual(t, s.node.Kept(), len(all))

	to := newSite(t, 2)
	to.copyRegistry(s)
	to.atRest()
	_, err = to.node.TakeOver(t.Context(), all)
	require.NoError(t, err)
	images := to.images()
	_, err = to.node.TakeOver(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, images, to.images(), "twice is once")
	to.restart()
	again, _ := to.walked("")
	requireSameMoved(t, all, again)
	require.Equal(t, was, s.images(), "reading changes nothing")
}

// requireSameMoved compares the runs of two walks.
func requireSameMoved(t *testing.T, want, got []state.Moved) {
	t.Helper()
	runs := func(all []state.Moved) (runs []state.Moved) {
		for _, m := range all {
			if put, ok := m.Fact.(*state.RunPut); ok {
				slices.SortFunc(put.Run.Jobs, func(a, b state.Job) int { return cmp.Compare(a.ID, b.ID) })
				for i := range m.Watches {
					m.Watches[i].Since = 0
				}
				runs = append(runs, m)
			}
		}
		slices.SortFunc(runs, func(a, b state.Moved) int {
			return a.Fact.(*state.RunPut).Run.ID.Compare(b.Fact.(*state.RunPut).Run.ID)
		})
		return runs
	}
	w, g := runs(want), runs(got)
	require.Len(t, g, len(w))
	for i := range w {
		require.Equal(t, w[i], g[i])
	}
}

// copyRegistry registers what another site has.
func (s *site) copyRegistry(from *site) {
	s.t.Helper()
	for app := range from.bus.Registry().Catalog().All() {
		_, err := s.bus.Registry().Update(s.t.Context(), app.ID, func(*function.App) (*function.App, error) { return app, nil })
		require.NoError(s.t, err)
	}
}

// A walk goes on behind any of its positions.
func TestWalksGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "fn"))
	var all []state.Moved
	for i := range 20 {
		run := asleep(idNaming(i), "fn", time.Now().Add(time.Hour))
		run.Steps = []state.Step{{ID: "s", Memo: json.RawMessage(`"` + strings.Repeat("a", 60_000) + `"`)}}
		all = append(all, left(run))
	}
	s.atRest()
	takeOver(t, s.node, state.Taken, all...)
	_, positions := s.walked("")
	require.Greater(t, len(positions), 3)
	seen := map[ulid.ULID]bool{}
	position := ""
	for {
		stop := context.Canceled
		err := s.node.Walk(t.Context(), position, func(page []state.Moved, after string) error {
			for _, m := range page {
				if put, ok := m.Fact.(*state.RunPut); ok {
					require.False(t, seen[put.Run.ID], "shown twice")
					seen[put.Run.ID] = true
				}
			}
			position = after
			return stop
		})
		if err == nil {
			break
		}
		require.ErrorIs(t, err, stop)
	}
	require.Len(t, seen, len(all))
	for _, wrong := range []string{"x", "0 x", "-1"} {
		require.ErrorIs(t, s.node.Walk(t.Context(), wrong, nil), errPosition)
	}
}

// At rest nothing becomes due, and what is not done is named.
func TestAtRest(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "fn"))
	s.atRest()
	takeOver(t, s.node, state.Taken, left(asleep(idNaming(0), "fn", time.Now())))
	s.send("fn", `{}`)
	reason, err := s.node.Unsettled(t.Context())
	require.NoError(t, err)
	require.Contains(t, reason, "events to match")
	require.Zero(t, s.node.Stats().Ready)
	require.Zero(t, s.node.Stats().Timers)
	s.tune = nil
	s.restart()
	runs := map[queue.Lane]int{}
	for range 2 {
		s.call()
		runs[queue.LaneCall]++
	}
	require.Equal(t, 2, runs[queue.LaneCall], "both are called")
	_, n := elsewhere(t)
	reason, err = n.Unsettled(t.Context())
	require.NoError(t, err)
	require.Contains(t, reason, "not served")
}

// A process that dies in the middle of taking over leaves what can be completed.
func TestTakeOverIsCompletedAfterACrash(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(tightly("tight", 1))
	home := s.node.partitionOf(fnID("tight").String())
	run := waiting(idNaming(1-home), "tight", state.WaitEvent, "go")
	m := left(run, watchFor("w", "go", ""))
	// As far as it came: the partition that the id names knows where it will be.
	require.NoError(t, s.node.placeTaken(t.Context(), []state.Moved{m}, []int{home}))
	s.restart()
	_, err := s.node.Load(t.Context(), run.ID)
	require.ErrorIs(t, err, state.ErrRunNotFound)
	require.NoError(t, s.bus.SendCommand(t.Context(), 1-home, "run", "x", (&state.Command{
		From: state.Outside, Sent: state.Sent{Message: state.Message{Kind: state.MessageCancel, RunID: run.ID}},
	}).Marshal()))
	s.eventually(func() bool {
		reason, err := s.node.Unsettled(t.Context())
		return err == nil && reason == ""
	}, "a request for a run that is not there yet comes to nothing")
	takeOver(t, s.node, state.Taken, m)
	s.restart()
	takeOver(t, s.node, state.TakenHad, m)
	s.send("go", `{}`)
	require.Equal(t, run.ID, s.call().RunID)
}
