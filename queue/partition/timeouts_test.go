package partition

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

func TestDeadlineOfARun(t *testing.T) {
	t.Parallel()
	now, start := []state.Job{{Kind: state.JobStart, Due: 900}}, []state.Job{{Kind: state.JobStart, Due: 1_500}}
	for name, c := range map[string]struct {
		limits limits
		run    state.Run
		began  int64
		want   int64
	}{
		"none":                   {limits{}, state.Run{QueuedAt: 1_000, Jobs: start}, 0, 0},
		"to start":               {limits{start: 100}, state.Run{QueuedAt: 1_000, Jobs: now}, 0, 1_100},
		"to start, put off":      {limits{start: 100}, state.Run{QueuedAt: 1_000, Jobs: start}, 0, 1_600},
		"to start, of a batch":   {limits{start: 100}, state.Run{QueuedAt: 1_000, Jobs: now, Flow: &state.Flow{BatchID: ulid.ULID{1}}}, 0, 0},
		"to start, with keys":    {limits{start: 100}, state.Run{QueuedAt: 1_000, Jobs: now, Flow: &state.Flow{}}, 0, 1_100},
		"being called":           {limits{start: 100}, state.Run{QueuedAt: 1_000, Jobs: now}, 1_050, 0},
		"no start job":           {limits{start: 100}, state.Run{QueuedAt: 1_000, Jobs: []state.Job{{Kind: state.JobEdge}}}, 0, 0},
		"started":                {limits{start: 100}, state.Run{QueuedAt: 1_000, StartedAt: 1_050}, 0, 0},
		"to finish, not started": {limits{finish: 200}, state.Run{QueuedAt: 1_000}, 0, 0},
		"to finish, called":      {limits{100, 200}, state.Run{QueuedAt: 1_000}, 1_050, 1_250},
		"to finish":              {limits{100, 200}, state.Run{QueuedAt: 1_000, StartedAt: 1_060}, 1_050, 1_260},
		"to finish a batch":      {limits{100, 200}, state.Run{StartedAt: 1_060, Flow: &state.Flow{BatchID: ulid.ULID{1}}}, 0, 1_260},
	} {
		require.Equal(t, c.want, c.limits.deadline(&c.run, c.began), name)
	}
	require.Equal(t, limits{1_500, 2_000}, limitsOf(&function.Timeouts{Start: "1500ms", Finish: "2s"}))
	require.Equal(t, limits{}, limitsOf(&function.Timeouts{Start: "soon", Finish: "-1h"}))
}

func timed(start, finish string) function.Function {
	return limited("fn", "e", func(fn *function.Function) { fn.Timeouts = &function.Timeouts{Start: start, Finish: finish} })
}

// sleeping makes a leased run sleep for days.
func (s *site) sleeping(lease queue.Lease) {
	s.t.Helper()
	s.commit(&state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, StartedAt: s.now().UnixMilli(),
		Jobs: []state.Job{{ID: "z", Kind: state.JobSleep, Due: s.now().Add(100 * time.Hour).UnixMilli(), Step: "z"}},
	})
}

// requireTimes advances to just before an end, and then to it.
func (s *site) requireTimes(id ulid.ULID, after time.Duration) {
	s.t.Helper()
	s.advance(after - time.Minute)
	s.passed()
	_, err := s.node.Load(s.t.Context(), id)
	require.NoError(s.t, err, "too early")
	s.advance(time.Minute)
	require.Equal(s.t, state.Cancelled, s.ended(id).status)
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventCancelled) > 0 })
	require.Equal(s.t, 1, s.ended(id).times)
}

func TestStartTimeout(t *testing.T) {
	t.Parallel()
	for name, crash := range reloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(timed("1h", ""))
			s.numbered("e", ``, 1)
			run := s.only("fn")
			crash(s)
			s.requireTimes(run.ID, time.Hour)
		})
	}
}

func TestFinishTimeout(t *testing.T) {
	t.Parallel()
	for name, crash := range reloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(timed("30m", "2h"))
			s.numbered("e", ``, 1)
			lease := s.call()
			s.sleeping(lease)
			crash(s)
			s.requireTimes(lease.RunID, 2*time.Hour)
		})
	}
}

// The time to finish runs while the first call is made; that to start does
// not.
func TestTimeoutsDuringTheFirstCall(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(timed("1h", "2h"))
	s.numbered("e", ``, 1)
	lease := s.call()
	s.requireTimes(lease.RunID, 2*time.Hour)
	require.ErrorIs(t, s.node.Commit(t.Context(), complete(lease, `1`)), state.ErrRunNotFound)
	s.in(0, func(o *Owner) { require.Empty(t, o.timeouts.began) })
}

// The present configuration counts.
func TestTimeoutsThatChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		changed function.Function
		after   time.Duration // 0 for never
	}{
		"longer":  {timed("3h", "3h"), 3 * time.Hour},
		"removed": {on("fn", "e"), 0},
	} {
		for _, started := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, 1)
				s.register(timed("1h", "1h"))
				s.numbered("e", ``, 1)
				run := s.only("fn")
				if started {
					s.sleeping(s.call())
				}
				s.register(c.changed)
				if c.after > 0 {
					s.requireTimes(run.ID, c.after)
					return
				}
				s.advance(10 * time.Hour)
				s.passed()
				s.load(run.ID)
				s.in(0, func(o *Owner) { require.Zero(t, o.timeouts.timers.Len(), "no timer is left") })
			})
		}
	}
}

// A time that was made shorter counts when a job is to be executed.
func TestTimeoutsAreTestedBeforeEachExecution(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "e"), on("other", "next"))
	s.numbered("e", ``, 1)
	run := s.only("fn")
	s.register(timed("1h", ""), on("other", "next"))
	s.advance(2 * time.Hour)
	s.send("next", `{}`)
	require.NotEqual(t, run.ID, s.call().RunID, "it is not handed out")
	require.Equal(t, state.Cancelled, s.ended(run.ID).status)
}

// A run that was in the line of workers when its function got a limit, and
// goes back to wait for it, has not begun: its time to finish does not run.
func TestTimeoutsOfARunThatGoesBackToTheGate(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(timed("", "1h"))
	s.numbered("e", ``, 1, 2)
	s.eventually(func() bool { return s.node.Stats().Ready == 2 })
	fn := timed("", "1h")
	atOnce(`1`)(&fn)
	s.register(fn)
	first := s.call()
	next := make(chan queue.Lease, 1)
	go func() {
		if lease, err := s.node.Lease(t.Context(), queue.LaneCall); err == nil {
			next <- lease
		}
	}()
	s.waits(1)
	s.requireTimes(first.RunID, time.Hour)
	s.node.Release(first)
	s.requireTimes((<-next).RunID, time.Hour)
}

// A batch has no time to start, but one to finish.
func TestTimeoutsOfABatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	fn := timed("1h", "1h")
	fn.EventBatch = &function.EventBatch{MaxSize: 2, Timeout: "1h"}
	s.register(fn)
	s.numbered("e", ``, 1, 2)
	run := s.only("fn")
	s.advance(5 * time.Hour)
	s.passed()
	s.load(run.ID)
	s.sleeping(s.call())
	s.requireTimes(run.ID, time.Hour)
}

// Timers of runs that ended do not pile up.
func TestTimeoutsOfEndedRunsAreDropped(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(timed("100h", ""))
	s.numbered("e", ``, 0)
	waiting := s.only("fn")
	s.in(0, func(o *Owner) {
		fn := function.FunctionID("fn", "fn")
		for n := range 3 * staleFloor {
			id := testRunID(n)
			tx := o.begin()
			tx.handleStart(&state.Start{RunID: id, FunctionID: fn, Events: raws(`{}`), EventIDs: []ulid.ULID{id}, Trigger: "e"})
			run, ok := o.index.Run(id)
			require.True(t, ok)
			tx.finish(run, &state.Finish{Status: state.Cancelled})
			tx.commit(nil)
			require.LessOrEqual(t, o.timeouts.timers.Len(), staleFloor+2)
		}
		found := false
		o.timeouts.timers.Keep(func(timer queue.Timer) bool { found = found || timer.RunID == waiting.ID; return true })
		require.True(t, found, "the live run's timer is still there")
	})
}

// testRunID is the n-th of some ids of partition 0.
func testRunID(n int) (id ulid.ULID) {
	_ = id.SetTime(uint64(time.Now().UnixMilli()))
	id[14], id[15] = byte(n>>8), byte(n)
	return id
}
