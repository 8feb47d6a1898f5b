package partition

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/queue/gate"
	"jetstep/state"
)

// atOnce is concurrency as an SDK sends it.
func atOnce(concurrency string) func(*function.Function) {
	return func(fn *function.Function) {
		fn.Concurrency = new(function.Concurrency)
		if err := json.Unmarshal([]byte(concurrency), fn.Concurrency); err != nil {
			panic(err)
		}
	}
}

// waits waits until so many jobs wait for limits, and none for a worker.
func (s *site) waits(held int) {
	s.t.Helper()
	s.eventually(func() bool {
		stats := s.node.Stats()
		return stats.Held == held && stats.Ready == 0
	}, "%d jobs should be held", held)
}

// run is that of the event with that number: the ids of runs of one millisecond
// have no order.
func (s *site) run(slug string, n int) ulid.ULID {
	s.t.Helper()
	var id ulid.ULID
	s.eventually(func() bool {
		numbers := s.numbers(slug)
		for i, run := range s.runs(slug) {
			if i < len(numbers) && numbers[i] == fmt.Sprint(n) {
				id = run.ID
			}
		}
		return id != ulid.ULID{}
	})
	return id
}

// retry makes a job due again at once.
func retry(lease queue.Lease) *state.Transition {
	return &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation,
		Then: state.JobRetry, RetryAt: time.Now().UnixMilli(),
	}
}

// napping makes a run sleep until it is woken by the clock.
func napping(lease queue.Lease, due time.Time) *state.Transition {
	return &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, StartedAt: time.Now().UnixMilli(),
		Jobs: []state.Job{{ID: "nap", Kind: state.JobSleep, Due: due.UnixMilli(), MaxAttempts: 5, Step: "z"}},
	}
}

// woken is the end of a sleep, after which the function is called again.
func woken(lease queue.Lease) *state.Transition {
	return &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind,
		Saves: []state.Save{{Step: "z", Memo: json.RawMessage(`null`)}},
		Discoveries: []state.Discovery{{Always: true, Job: state.Job{
			ID: "after", Kind: state.JobEdge, Due: time.Now().UnixMilli(), MaxAttempts: 5, Outgoing: "z",
		}}},
	}
}

func TestStepConcurrency(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(limited("fn", "begin", atOnce(`2`)), on("free", "other"))
	s.numbered("begin", "", 1, 2, 3, 4, 5)
	first, second := s.call(), s.call()
	s.waits(3)
	require.Equal(t, []gate.Waiting{{Function: first.FunctionID, Limit: "concurrency", Jobs: 3}}, s.node.Waiting())
	_, held := s.node.Held(s.t.Context(), first.RunID)
	require.False(t, held)
	reason, held := s.node.Held(s.t.Context(), s.run("fn", 5))
	require.True(t, held)
	require.Equal(t, "concurrency", reason)
	require.Equal(t, 5, s.node.Stats().Depth())

	s.send("other", `{}`)
	require.Equal(t, "free", s.load(s.call().RunID).Slug, "others do not wait")

	s.commit(complete(first, `1`))
	third := s.call()
	s.waits(2)
	s.node.Release(second)
	again := s.call()
	s.waits(2)
	for _, lease := range []queue.Lease{third, again} {
		s.commit(complete(lease, `1`))
		s.call()
	}
	s.waits(0)
}

// A limit by key counts each value, and those without one together.
func TestStepConcurrencyByKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(limited("fn", "begin", atOnce(`[{"limit":1,"key":"event.data.k"}]`)))
	s.numbered("begin", `,"k":"a"`, 1, 2)
	s.numbered("begin", `,"k":"b"`, 3)
	s.numbered("begin", ``, 4, 5)
	s.numbered("begin", `,"k":false`, 6)
	a, b, none := s.call(), s.call(), s.call()
	s.waits(3)
	require.ElementsMatch(t, []ulid.ULID{s.run("fn", 1), s.run("fn", 3), s.run("fn", 4)}, []ulid.ULID{a.RunID, b.RunID, none.RunID})
	for _, lease := range []queue.Lease{a, b, none} {
		s.commit(complete(lease, `1`))
	}
	s.call()
	s.call()
	s.waits(1)
}

// Functions that share a limit of the environment are decided in one place.
func TestConcurrencyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	shared := atOnce(`[{"limit":1,"key":"event.data.k","scope":"env"}]`)
	s.register(limited("one", "begin", shared), limited("two", "begin", shared))
	s.send("begin", `{"k":1}`)
	lease := s.call()
	s.waits(1)
	s.commit(complete(lease, `1`))
	require.NotEqual(t, lease.FunctionID, s.call().FunctionID)
}

// Calls that were lost with their process hold no slots.
func TestConcurrencyAfterARestart(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*site, queue.Lease){
		"restart": func(s *site, _ queue.Lease) { s.restart() },
		"reload": func(s *site, old queue.Lease) {
			s.replaceOwner(0)
			s.node.Release(old) // late
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 1)
			s.register(limited("fn", "begin", atOnce(`2`)))
			s.numbered("begin", "", 1, 2, 3, 4, 5)
			old := s.call()
			s.call()
			s.waits(3)
			again(s, old)
			first := s.call()
			s.call()
			s.waits(3)
			s.commit(complete(first, `1`))
			s.call()
			s.waits(2)
		})
	}
}

// A call of a cancelled run goes on, and so it counts until it ends.
func TestCancelledCallsKeepTheirSlot(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(limited("fn", "begin", atOnce(`1`)))
	s.numbered("begin", "", 1, 2, 3)
	lease := s.call()
	s.waits(2)
	require.NoError(t, s.node.Cancel(t.Context(), s.run("fn", 2)))
	s.waits(1)
	require.NoError(t, s.node.Cancel(t.Context(), lease.RunID))
	s.ended(lease.RunID)
	s.waits(1)
	require.Equal(t, 1, s.node.Stats().Leased)
	require.ErrorIs(t, s.node.Commit(t.Context(), complete(lease, `1`)), state.ErrRunNotFound)
	s.waits(1)
	s.node.Release(lease)
	require.Equal(t, s.run("fn", 3), s.call().RunID)
	require.Equal(t, 1, s.node.Stats().Leased)
}

// A run that is cancelled after its job was admitted, and before a worker took
// it, frees its slot.
func TestCancelledBeforeTheCall(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(limited("fn", "begin", atOnce(`1`)))
	s.numbered("begin", "", 1, 2)
	s.eventually(func() bool { return s.node.Stats().Ready == 1 && s.node.Stats().Held == 1 })
	require.NoError(t, s.node.Cancel(t.Context(), s.run("fn", 1)))
	require.Equal(t, s.run("fn", 2), s.call().RunID)
	s.waits(0)
}

// What a run does next comes before the start of a younger one; a retry that is
// due later leaves its slot to others.
func TestRetriesAndStepsWithinALimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(limited("fn", "begin", atOnce(`1`)))
	s.numbered("begin", "", 1, 2)
	lease := s.call()
	s.waits(1)
	s.commit(retry(lease))
	again := s.call()
	require.Equal(t, lease.RunID, again.RunID)
	require.Equal(t, 1, again.Job.Generation)
	parallel := complete(again, ``)
	parallel.Finish = nil
	parallel.Pending = []string{"a", "b", "c"}
	for _, step := range parallel.Pending {
		parallel.Jobs = append(parallel.Jobs, state.Job{ID: step, Kind: state.JobEdge, Due: time.Now().UnixMilli(), MaxAttempts: 5, Step: step})
	}
	s.commit(parallel)
	for i, step := range parallel.Pending {
		one := s.call()
		require.Equal(t, step, one.Job.ID, "in order, and before the younger run")
		s.waits(3 - i)
		later := retry(one)
		later.RetryAt = time.Now().Add(time.Hour).UnixMilli()
		s.commit(later)
	}
	require.NotEqual(t, lease.RunID, s.call().RunID)
}

// A sleeping run executes nothing, and is in progress.
func TestSleepingRunsAndLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		concurrency string
		goesOn      bool // the second run, while the first one sleeps
	}{{`1`, true}, {`{"fn":[{"limit":1}]}`, false}} {
		t.Run(c.concurrency, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 1)
			s.register(limited("fn", "begin", atOnce(c.concurrency)))
			s.numbered("begin", "", 1, 2)
			first := s.call()
			s.waits(1)
			s.commit(napping(first, time.Now().Add(time.Hour)))
			if c.goesOn {
				require.NotEqual(t, first.RunID, s.call().RunID)
				return
			}
			s.settled()
			s.waits(1)
			reason, _ := s.node.Held(s.t.Context(), s.run("fn", 2))
			require.Equal(t, "runs", reason)
			s.restart()
			s.waits(1)
			s.replaceOwner(0)
			s.waits(1)
			s.advance(time.Hour)
			s.commit(woken(s.lease(queue.LaneWake)))
			second := s.call()
			require.Equal(t, first.RunID, second.RunID, "its other calls need no place")
			s.commit(complete(second, `1`))
			require.NotEqual(t, first.RunID, s.call().RunID)
		})
	}
}

// A throttle delays starts, is charged once for each, and is remembered.
func TestThrottledStarts(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(limited("fn", "begin", func(fn *function.Function) {
		fn.Throttle = &function.Throttle{Limit: 1, Period: "1h", Key: "event.data.k"}
	}))
	s.numbered("begin", `,"k":1`, 1, 2, 3)
	first := s.call()
	s.waits(2)
	require.True(t, s.load(first.RunID).Flow.Admitted)
	reason, _ := s.node.Held(s.t.Context(), s.run("fn", 2))
	require.Equal(t, "throttle by event.data.k", reason)
	s.numbered("begin", `,"k":2`, 4)
	other := s.call()
	s.commit(complete(other, `1`))
	s.commit(retry(first))
	s.commit(complete(s.call(), `1`))
	s.waits(2)
	s.restart()
	s.waits(2)
	s.advance(59 * time.Minute)
	s.settled()
	s.waits(2)
	s.advance(time.Minute)
	second := s.call()
	s.waits(1)
	s.replaceOwner(0)
	require.Equal(t, second.Job, s.call().Job, "it is not charged again")
	s.waits(1)
	require.Len(t, facts[*state.RateCharged](s, 0), 3)
	require.Len(t, facts[*state.RunAdmitted](s, 0), 3)
	s.advance(time.Hour)
	require.NotEqual(t, second.RunID, s.call().RunID)
}

// What was charged when a throttle was for days does not delay runs for days
// after it was relaxed.
func TestThrottleThatIsRelaxed(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	per := func(period string) {
		s.register(limited("fn", "begin", func(fn *function.Function) { fn.Throttle = &function.Throttle{Limit: 1, Period: period} }))
	}
	per("24h")
	s.numbered("begin", "", 1, 2, 3)
	s.call()
	s.waits(2)
	per("1h")
	s.in(0, func(o *Owner) { o.refreshLimits() })
	s.advance(59 * time.Minute)
	s.settled()
	s.waits(2)
	s.advance(time.Minute)
	s.call()
	s.waits(1)
	s.replaceOwner(0)
	s.advance(time.Hour)
	for range 3 {
		s.call()
	}
}

// A higher limit is in force as soon as it is registered; a limit that is new
// counts what is being executed.
func TestLimitsThatChange(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(limited("fn", "begin", atOnce(`1`)), on("free", "other"))
	s.numbered("begin", "", 1, 2, 3, 4)
	s.numbered("other", "", 5, 6, 7)
	s.calls("fn")
	s.eventually(func() bool { return s.node.Stats().Held == 3 })
	s.register(limited("fn", "begin", atOnce(`3`)), on("free", "other"))
	s.calls("fn")
	s.calls("fn")
	s.eventually(func() bool { return s.node.Stats().Held == 1 })
	s.run("free", 7)

	// Those of the other function are leased by now, or wait for a worker.
	s.register(limited("fn", "begin", atOnce(`3`)), limited("free", "other", atOnce(`1`)))
	s.numbered("other", "", 8)
	s.eventually(func() bool { _, held := s.node.Held(s.t.Context(), s.run("free", 8)); return held })
	s.register(on("fn", "begin"), on("free", "other"))
	s.eventually(func() bool { return s.node.Stats().Held == 0 })
}

// A job that came into the line of workers before its function had limits does
// not pass them.
func TestJobsThatWereReadyBeforeTheLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	s.numbered("begin", "", 1, 2, 3)
	s.eventually(func() bool { return s.node.Stats().Ready == 3 })
	s.register(limited("fn", "begin", atOnce(`1`)))
	lease := s.call()
	other := make(chan queue.Lease)
	go func() {
		if lease, err := s.node.Lease(t.Context(), queue.LaneCall); err == nil {
			other <- lease
		}
	}()
	s.waits(2)
	s.commit(complete(lease, `1`))
	require.NotEqual(t, lease.RunID, (<-other).RunID)
	s.waits(1)
}

// Owners with nothing else to do look at a registration when it is made.
func TestRegistrationsAreLookedAtAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	n := NewNode(Config{Bus: s.bus, Name: "other", History: newRecorder()}) // which waits for the partition
	n.Start(t.Context())
	defer n.Close()
	asleep := &Owner{wake: make(chan struct{}, 1)}
	n.owners[0].Store(asleep)
	s.register(on("fn", "e"))
	require.Len(t, asleep.wake, 1)
}
