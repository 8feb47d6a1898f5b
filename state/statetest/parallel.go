package statetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// plan is the job that executes a planned step.
func plan(run *state.Run, step, group string) state.Job {
	return state.Job{
		ID: function.PlanJob(run.Key(), step), Kind: state.JobEdge, Due: now() - 1, MaxAttempts: attempts, Step: step, Group: group,
	}
}

// planned begins a run whose first answer plans steps.
func (s *suite) planned(version int, steps ...string) (*state.Run, map[string]queue.Lease) {
	s.Helper()
	lease := s.begin()
	run := s.load(lease.RunID)
	t := versioned(lease, version)
	t.ForcePlan = true
	group := ""
	if version >= 2 {
		group = function.CoalesceKey(run.ID.String(), steps)
		t.Pending = steps
	}
	for _, step := range steps {
		t.Jobs = append(t.Jobs, plan(run, step, group))
	}
	s.commit(t)
	leases := map[string]queue.Lease{}
	for range steps {
		lease := s.lease(queue.LaneCall)
		require.Equal(s, group, lease.Job.Group)
		leases[lease.Job.Step] = lease
	}
	require.Len(s, leases, len(steps), "each step is executed once")
	return s.load(run.ID), leases
}

// ended is the transition of a planned step that finished; id is that of the
// call that follows.
func ended(lease queue.Lease, id string, kind state.JobKind, always bool) *state.Transition {
	t := outcome(lease)
	t.Saves = []state.Save{{Step: lease.Job.Step, Memo: raw(fmt.Sprintf(`{"data":%q}`, lease.Job.Step))}}
	t.Discoveries = []state.Discovery{{Always: always, Job: state.Job{
		ID: id, Kind: kind, Due: now(), MaxAttempts: attempts, Outgoing: lease.Job.Step,
	}}}
	return t
}

// coalescedID is the one call after all steps of a group.
func coalescedID(run *state.Run, group string) string {
	return function.CoalescedJob(run.ID.String(), group)
}

func coalesced(s *suite) {
	run, leases := s.planned(2, "p1", "p2", "p3")
	require.True(s, run.ForcePlan)
	require.ElementsMatch(s, []string{"p1", "p2", "p3"}, run.Pending)
	group := leases["p1"].Job.Group
	for _, step := range []string{"p2", "p3"} {
		s.commit(ended(leases[step], coalescedID(run, group), state.JobEdge, false))
	}
	require.Equal(s, []string{"p1"}, s.load(run.ID).Pending)
	require.Equal(s, []string{leases["p1"].Job.ID}, s.jobIDs(run.ID), "no call while a step is pending")
	s.commit(ended(leases["p1"], coalescedID(run, group), state.JobEdge, false))
	next := s.lease(queue.LaneCall)
	require.Equal(s, coalescedID(run, group), next.Job.ID)
	require.Equal(s, "p1", next.Job.Outgoing)
	run = s.load(run.ID)
	require.Equal(s, []string{"p2", "p3", "p1"}, s.steps(run.ID), "in order of completion")
	require.Empty(s, run.Pending)
	require.False(s, run.ForcePlan, "what follows is executed at once again")
	require.Equal(s, []state.Job{next.Job}, s.Jobs(s.T, run.ID))
}

func uncoalesced(s *suite) {
	run, leases := s.planned(1, "p1", "p2")
	var want []string
	for _, step := range []string{"p2", "p1"} {
		id := function.DiscoveryJob(run.Key(), step)
		want = append(want, id)
		s.commit(ended(leases[step], id, state.JobEdge, false))
	}
	slices.Sort(want)
	require.Equal(s, want, s.jobIDs(run.ID), "a call after each step")
	require.True(s, s.load(run.ID).ForcePlan)
}

func failingParallel(s *suite) {
	run, leases := s.planned(2, "p1", "p2")
	group := leases["p1"].Job.Group
	s.commit(ended(leases["p1"], function.FailureJob(run.Key(), "p1"), state.JobEdgeError, false))
	require.Equal(s, []string{leases["p2"].Job.ID}, s.jobIDs(run.ID))
	s.commit(ended(leases["p2"], coalescedID(run, group), state.JobEdge, false))
	require.Equal(s, []string{coalescedID(run, group)}, s.jobIDs(run.ID))

	other, leases := s.planned2(s.lease(queue.LaneCall), "q1", "q2")
	s.commit(ended(leases["q1"], coalescedID(other, leases["q1"].Job.Group), state.JobEdge, false))
	s.commit(ended(leases["q2"], function.FailureJob(run.Key(), "q2"), state.JobEdgeError, false))
	next := s.lease(queue.LaneCall)
	require.Equal(s, function.FailureJob(run.Key(), "q2"), next.Job.ID, "the last one failed")
	require.Equal(s, state.JobEdgeError, next.Job.Kind)
	require.Equal(s, []state.Job{next.Job}, s.Jobs(s.T, run.ID))
}

// planned2 goes on with a second group of steps.
func (s *suite) planned2(lease queue.Lease, steps ...string) (*state.Run, map[string]queue.Lease) {
	s.Helper()
	run := s.load(lease.RunID)
	t := outcome(lease)
	t.ForcePlan, t.Pending = true, steps
	group := function.CoalesceKey(run.ID.String(), steps)
	for _, step := range steps {
		t.Jobs = append(t.Jobs, plan(run, step, group))
	}
	s.commit(t)
	leases := map[string]queue.Lease{}
	for range steps {
		lease := s.lease(queue.LaneCall)
		leases[lease.Job.Step] = lease
	}
	return run, leases
}

func race(s *suite) {
	run, leases := s.planned(2, "p1", "p2")
	id := function.DiscoveryJob(run.Key(), "p2")
	s.commit(ended(leases["p2"], id, state.JobEdge, true))
	require.Contains(s, s.jobIDs(run.ID), id)
	require.Equal(s, []string{"p1"}, s.load(run.ID).Pending)
	next := s.lease(queue.LaneCall)
	require.Equal(s, id, next.Job.ID)
	// A step of no group does not wait for the loser.
	s.commit(saved(outcome(next), run, "after", `1`))
	require.Contains(s, s.jobIDs(run.ID), function.DiscoveryJob(run.Key(), "after"))
}

// concurrent: steps finish in the same moment, each reported twice. Whatever
// the order, each is saved once and one call follows.
func concurrent(s *suite) {
	for round := range 5 {
		var steps []string
		for i := range 8 {
			steps = append(steps, fmt.Sprint("p", i))
		}
		run, leases := s.planned(2, steps...)
		id := coalescedID(run, leases["p0"].Job.Group)
		var all sync.WaitGroup
		for _, lease := range leases {
			for range 2 {
				all.Go(func() {
					if err := s.Commit(s.Context(), ended(lease, id, state.JobEdge, false)); err != nil {
						s.Errorf("commit of %s: %v", lease.Job.Step, err)
					}
				})
			}
		}
		all.Wait()
		finished := s.steps(run.ID)
		require.ElementsMatch(s, steps, finished)
		next := s.lease(queue.LaneCall)
		require.Equal(s, id, next.Job.ID, "round %d", round)
		require.Equal(s, finished[len(finished)-1], next.Job.Outgoing, "after the last")
		require.Equal(s, []state.Job{next.Job}, s.Jobs(s.T, run.ID))
		t := outcome(next)
		t.Finish = &state.Finish{Status: state.Completed}
		s.commit(t)
	}
}

// mixed: a group can hold steps, sleeps and waits; the last to end is
// followed by the call.
func mixed(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	steps := []string{"p", "z", "w"}
	group := function.CoalesceKey(run.ID.String(), steps)
	t := versioned(lease, 2)
	t.ForcePlan, t.Pending = true, steps
	sleep := state.Job{ID: function.SleepJob(run.Key(), "z"), Kind: state.JobSleep, Due: now(), MaxAttempts: attempts, Step: "z", Group: group}
	t.Jobs = []state.Job{plan(run, "p", group), sleep}
	w := wait(run, state.WaitEvent, "w", "mixed", hour())
	w.Wait.Group, w.Timeout.Group = group, group
	t.Waits = []state.NewWait{w}
	s.commit(t)

	lease = s.lease(queue.LaneWake)
	t = outcome(lease)
	t.Saves = []state.Save{{Step: "z", Memo: raw(`null`)}}
	t.Discoveries = []state.Discovery{{Job: state.Job{ID: lease.Job.ID, Kind: state.JobEdge, Due: now(), Outgoing: "z"}}}
	s.commit(t)
	s.commit(ended(s.lease(queue.LaneCall), coalescedID(run, group), state.JobEdge, false))
	require.Equal(s, []string{w.Timeout.ID}, s.jobIDs(run.ID), "the wait is left")
	s.Publish(s.T, "mixed", raw(`{}`))
	next := s.lease(queue.LaneCall)
	require.Equal(s, coalescedID(run, group), next.Job.ID)
	require.Equal(s, "w", next.Job.Outgoing)
	require.Equal(s, []string{"z", "p", "w"}, s.steps(run.ID))
	require.False(s, s.load(run.ID).ForcePlan)
}

// sleepFor is a transition that lets the run sleep, in milliseconds.
func sleepFor(lease queue.Lease, run *state.Run, ms int64) *state.Transition {
	t := versioned(lease, 2)
	t.Jobs = []state.Job{{
		ID: function.SleepJob(run.Key(), "z"), Kind: state.JobSleep, MaxAttempts: attempts, Step: "z",
		Due: in(time.Duration(ms) * time.Millisecond),
	}}
	return t
}
