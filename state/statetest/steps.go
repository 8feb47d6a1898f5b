package statetest

import (
	"encoding/json"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// attempts of a step: the harness's function has four retries.
const attempts = 5

// saved adds a finished step to a transition and asks for the next call.
func saved(t *state.Transition, run *state.Run, step, memo string) *state.Transition {
	t.Saves = append(t.Saves, state.Save{Step: step, Memo: raw(memo)})
	t.Discoveries = append(t.Discoveries, state.Discovery{Always: true, Job: state.Job{
		ID: function.DiscoveryJob(run.Key(), step), Kind: state.JobEdge, Due: now(), MaxAttempts: attempts, Outgoing: step,
	}})
	return t
}

func newRun(s *suite) {
	id := s.Start(s.T, raw(`{"b":2,"a":1.0}`))
	run := s.load(id)
	require.Equal(s, id, run.ID)
	require.Equal(s, state.Undecided, run.Version)
	require.Len(s, run.Events, 1)
	require.Len(s, run.EventIDs, 1)
	require.Contains(s, string(run.Events[0]), `{"data":{"a":1,"b":2},"id":`, "canonical")
	require.Contains(s, string(run.Events[0]), `"user":{}`)
	require.NotEmpty(s, run.Trigger)
	require.NotEmpty(s, run.Slug)
	require.Empty(s, run.Steps)
	require.Empty(s, run.Pending)
	require.Empty(s, run.Waits)
	require.False(s, run.ForcePlan)
	require.Zero(s, run.StartedAt)
	require.InDelta(s, now(), run.QueuedAt, float64(patience.Milliseconds()))

	lease := s.lease(queue.LaneCall)
	require.Equal(s, id, lease.RunID)
	require.Equal(s, run.FunctionID, lease.FunctionID)
	require.Equal(s, []state.Job{lease.Job}, s.Jobs(s.T, id))
	require.Equal(s, state.JobStart, lease.Job.Kind)
	require.Equal(s, function.StartJob(run.Key()), lease.Job.ID)
	require.Equal(s, attempts, lease.Job.MaxAttempts)
	require.Zero(s, lease.Job.Attempt)
	require.Zero(s, lease.Job.Generation)
	require.Empty(s, lease.Job.Outgoing)
	require.Empty(s, lease.Job.Step)
}

func noRun(s *suite) {
	_, err := s.Load(s.Context(), ulid.Make())
	require.ErrorIs(s, err, state.ErrRunNotFound)
	t := &state.Transition{RunID: ulid.Make(), Job: "x", Kind: state.JobEdge}
	require.ErrorIs(s, s.Commit(s.Context(), t), state.ErrRunNotFound)
}

func step(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	t := saved(versioned(lease, 2), run, "a", `{"data":1}`)
	t.StartedAt = 12345
	s.commit(t)

	run = s.load(run.ID)
	require.Equal(s, []state.Step{{ID: "a", Memo: raw(`{"data":1}`)}}, run.Steps)
	require.Equal(s, 0, run.StackIndex("a"))
	require.EqualValues(s, 12345, run.StartedAt)
	require.Equal(s, 2, run.Version)
	next := s.lease(queue.LaneCall)
	require.Equal(s, function.DiscoveryJob(run.Key(), "a"), next.Job.ID)
	require.Equal(s, "a", next.Job.Outgoing)
	require.Equal(s, state.JobEdge, next.Job.Kind)
	require.Zero(s, next.Job.Attempt)
	require.Equal(s, []state.Job{next.Job}, s.Jobs(s.T, run.ID), "the job that was concluded is gone")
}

func views(s *suite) {
	lease := s.begin()
	before := s.load(lease.RunID)
	was, err := json.Marshal(before)
	require.NoError(s, err)
	s.commit(saved(versioned(lease, 2), before, "a", `1`))
	for i := range 10 {
		lease = s.lease(queue.LaneCall)
		s.commit(saved(outcome(lease), before, fmt.Sprint(i), `1`))
	}
	is, err := json.Marshal(before)
	require.NoError(s, err)
	require.Equal(s, string(was), string(is))
}

func flags(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	t := saved(versioned(lease, 1), run, "a", `1`)
	t.StartedAt, t.ForcePlan, t.HasAI = 100, true, true
	s.commit(t)
	lease = s.lease(queue.LaneCall)
	t = saved(versioned(lease, 2), run, "b", `1`)
	t.StartedAt = 200
	s.commit(t)
	run = s.load(run.ID)
	require.Equal(s, 1, run.Version, "the first answer fixes the version")
	require.EqualValues(s, 100, run.StartedAt, "the first request is the start")
	require.True(s, run.HasAI)
	require.True(s, run.ForcePlan, "version 1 keeps on planning")
}

func firstMemo(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	s.commit(saved(versioned(lease, 2), run, "a", `"first"`))
	lease = s.lease(queue.LaneCall)
	t := saved(outcome(lease), run, "a", `"second"`)
	saved(t, run, "b", `"b"`)
	saved(t, run, "b", `"b again"`)
	s.commit(t)
	require.Equal(s, `"first"`, s.memo(run.ID, "a"))
	require.Equal(s, `"b"`, s.memo(run.ID, "b"))
	require.Equal(s, []string{"a", "b"}, s.steps(run.ID))
	require.Equal(s, []string{function.DiscoveryJob(run.Key(), "b")}, s.jobIDs(run.ID), "one call follows, after the new step")
}

func retry(s *suite) {
	lease := s.begin()
	due := hour()
	t := outcome(lease)
	t.StartedAt, t.Then, t.RetryAt = 100, state.JobRetry, due
	s.commit(t)
	want := lease.Job
	want.Attempt, want.Generation, want.Due = 1, 1, due
	require.Equal(s, []state.Job{want}, s.Jobs(s.T, lease.RunID))
	require.Equal(s, state.Undecided, s.load(lease.RunID).Version)
}

func twice(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	t := outcome(lease)
	t.Then, t.RetryAt = state.JobRetry, now()
	s.commit(t)
	s.commit(t)
	require.Equal(s, 1, s.Jobs(s.T, run.ID)[0].Attempt, "a retry counts once")

	lease = s.lease(queue.LaneCall)
	t = saved(versioned(lease, 2), run, "a", `1`)
	s.commit(t)
	jobs := s.Jobs(s.T, run.ID)
	s.commit(t)
	require.Equal(s, jobs, s.Jobs(s.T, run.ID))
	require.Equal(s, []string{"a"}, s.steps(run.ID))

	lease = s.lease(queue.LaneCall)
	s.commit(saved(outcome(lease), run, "b", `1`))
	s.commit(t)
	require.Equal(s, []string{function.DiscoveryJob(run.Key(), "b")}, s.jobIDs(run.ID), "nor does it begin anything later")
}

func sleepEnds(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	id := function.SleepJob(run.Key(), "z")
	t := versioned(lease, 2)
	t.Jobs = []state.Job{{ID: id, Kind: state.JobSleep, Due: now(), MaxAttempts: attempts, Step: "z"}}
	s.commit(t)
	lease = s.lease(queue.LaneWake)
	require.Equal(s, id, lease.Job.ID)
	next := state.Job{ID: id, Kind: state.JobEdge, Due: now(), MaxAttempts: attempts, Outgoing: "z"}
	t = outcome(lease)
	t.Saves = []state.Save{{Step: "z", Memo: raw(`null`)}}
	t.Discoveries = []state.Discovery{{Job: next, Always: true}}
	s.commit(t)
	s.commit(t)
	require.Equal(s, `null`, s.memo(run.ID, "z"))
	require.Equal(s, []state.Job{next}, s.Jobs(s.T, run.ID), "the job goes on as the call after the sleep")
	require.Equal(s, next, s.lease(queue.LaneCall).Job)
}

func jobsByID(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	sleep := state.Job{ID: function.SleepJob(run.Key(), "z"), Kind: state.JobSleep, Due: hour(), MaxAttempts: attempts, Step: "z"}
	again := sleep
	again.Due = in(0)
	t := saved(versioned(lease, 1), run, "a", `1`)
	t.Jobs = []state.Job{sleep}
	s.commit(t)
	lease = s.lease(queue.LaneCall)
	t = saved(outcome(lease), run, "b", `1`)
	t.Jobs = []state.Job{again, {ID: function.PlanJob(run.Key(), "a"), Kind: state.JobEdge, Due: now(), Step: "a"}}
	s.commit(t)
	jobs := map[string]state.Job{}
	for _, job := range s.Jobs(s.T, run.ID) {
		jobs[job.ID] = job
	}
	require.Equal(s, sleep, jobs[sleep.ID], "a job that exists stays as it is")
	require.NotContains(s, jobs, function.PlanJob(run.Key(), "a"), "a finished step is not executed")
	require.Len(s, jobs, 2)

	lease = s.lease(queue.LaneCall)
	t = saved(outcome(lease), run, "c", `1`)
	t.DropJobs = []string{sleep.ID, "unknown"}
	s.commit(t)
	require.Equal(s, []string{function.DiscoveryJob(run.Key(), "c")}, s.jobIDs(run.ID))
}

func checkpoint(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	t := outcome(lease)
	t.Then, t.RetryAt = state.JobRetry, now()
	s.commit(t)
	lease = s.lease(queue.LaneCall)
	require.Equal(s, 1, lease.Job.Attempt)
	s.commit(&state.Transition{RunID: run.ID, ResetJob: lease.Job.ID, Saves: []state.Save{{Step: "a", Memo: raw(`1`)}}})
	require.Equal(s, []string{"a"}, s.steps(run.ID))
	jobs := s.Jobs(s.T, run.ID)
	require.Len(s, jobs, 1, "no call follows: one lasts")
	require.Equal(s, lease.Job.ID, jobs[0].ID)
	require.Zero(s, jobs[0].Attempt, "each step has attempts of its own")
	s.commit(&state.Transition{RunID: run.ID, ResetJob: "unknown", Saves: []state.Save{{Step: "a", Memo: raw(`2`)}, {Step: "b", Memo: raw(`3`)}}})
	require.Equal(s, `1`, s.memo(run.ID, "a"))

	t = outcome(lease)
	t.Finish = &state.Finish{Status: state.Completed, Output: raw(`"done"`)}
	s.commit(t)
	status, output := s.end(run.ID)
	require.Equal(s, state.Completed, status, "the lease lasts over a checkpoint")
	require.Equal(s, `"done"`, output)
}

func size(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	events := 0
	for _, e := range run.Events {
		events += len(e)
	}
	require.Equal(s, events, run.Size)
	s.commit(saved(versioned(lease, 2), run, "a", `"12345678"`))
	require.Equal(s, events+10, s.load(run.ID).Size)
	lease = s.lease(queue.LaneCall)
	s.commit(saved(saved(outcome(lease), run, "a", `"longer than before"`), run, "b", `1`))
	require.Equal(s, events+11, s.load(run.ID).Size, "only what is kept counts")
	s.commit(&state.Transition{RunID: run.ID, Saves: []state.Save{{Step: "c", Memo: raw(`22`)}}})
	require.Equal(s, events+13, s.load(run.ID).Size)
}

func defers(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	t := saved(versioned(lease, 2), run, "a", `1`)
	t.Defers = []state.Defer{{ID: "d1", Slug: "later", Status: state.DeferAfterRun, Input: raw(`{"a":1}`)}, {ID: "d2", Status: state.DeferRejected}}
	s.commit(t)
	t = saved(outcome(s.lease(queue.LaneCall)), run, "b", `1`)
	t.Defers = []state.Defer{{ID: "d1", Slug: "other", Status: state.DeferRejected}, {ID: "d3", Slug: "third", Status: state.DeferAfterRun, Input: raw(`{}`)}}
	t.AbortDefers = []string{"d2", "d3", "unknown"}
	s.commit(t)
	t = saved(outcome(s.lease(queue.LaneCall)), run, "c", `1`)
	t.AbortDefers = []string{"d3"}
	s.commit(t)
	got := map[string]state.Defer{}
	for _, d := range s.load(run.ID).Defers {
		got[d.ID] = d
	}
	require.Len(s, got, 3)
	require.Equal(s, state.Defer{ID: "d1", Slug: "later", Status: state.DeferAfterRun, Input: raw(`{"a":1}`)}, got["d1"])
	require.Equal(s, state.DeferRejected, got["d2"].Status)
	require.Equal(s, state.DeferAborted, got["d3"].Status)
}

// goesOn: after an answer that asks for nothing a run is called again, and
// does not hang.
func goesOn(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	s.commit(saved(versioned(lease, 2), run, "a", `1`))
	s.commit(outcome(s.lease(queue.LaneCall)))
	next := s.lease(queue.LaneCall)
	require.Equal(s, run.ID, next.RunID)
	require.Equal(s, "a", next.Job.Outgoing)
	require.Equal(s, attempts, next.Job.MaxAttempts)
	require.Empty(s, next.Job.Step)
}

func stableInput(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	for _, name := range []string{"a", "b", "c"} {
		s.commit(saved(versioned(lease, 2), run, name, `1`))
		again := s.load(run.ID)
		require.Equal(s, run.Events, again.Events)
		require.Equal(s, run.EventIDs, again.EventIDs)
		require.Equal(s, run.Key(), again.Key())
		require.Equal(s, run.FunctionVersion, again.FunctionVersion)
		require.Equal(s, run.Slug, again.Slug)
		require.Equal(s, run.QueuedAt, again.QueuedAt)
		lease = s.lease(queue.LaneCall)
	}
}
