package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/queue"
	"jetstep/state"
)

// Many jobs of a run that are due in the same millisecond are due once each.
func TestJobsOfTheSameMoment(t *testing.T) {
	t.Parallel()
	const jobs = 300
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	s.node.StopLeasing() // what comes due stays in line
	transition := &state.Transition{RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind}
	due := time.Now().Add(200 * time.Millisecond).UnixMilli()
	for i := range jobs {
		transition.Jobs = append(transition.Jobs, state.Job{ID: fmt.Sprint(i), Kind: state.JobSleep, Due: due, Step: fmt.Sprint(i)})
	}
	s.commit(transition)
	require.Equal(t, jobs, s.node.Stats().Timers)
	s.eventually(func() bool { return s.node.Stats().Timers == 0 })
	require.Equal(t, jobs, s.node.lanes[queue.LaneWake].Len())
}

// Waits that ended long before their timeouts do not pile up.
func TestTimersOfJobsThatAreGoneAreDropped(t *testing.T) {
	t.Parallel()
	const rounds = 3 * staleFloor
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	// One run sleeps, frozen; its timer must survive the sweeps.
	other := s.begin("begin")
	due := time.Now().Add(2 * time.Hour).UnixMilli()
	s.commit(&state.Transition{RunID: other.RunID, Job: other.Job.ID, Kind: other.Job.Kind, Jobs: []state.Job{{ID: "z", Kind: state.JobSleep, Due: due, Step: "z"}}})
	for i := range rounds {
		id := fmt.Sprint(i)
		s.commit(&state.Transition{RunID: lease.RunID, Jobs: []state.Job{{ID: id, Kind: state.JobPause, Due: due - int64(i), Step: id}}})
		s.commit(&state.Transition{RunID: lease.RunID, DropJobs: []string{id}})
	}
	require.Equal(t, 1, s.node.Stats().Timers, "jobs that are gone do not count")
	s.in(0, func(o *Owner) {
		require.LessOrEqual(t, o.timers.Len(), staleFloor+1)
		last := int64(0)
		for {
			timer, ok := o.timers.Pop(due)
			if !ok {
				break
			}
			last = timer.Due
			if timer.RunID == other.RunID {
				require.Equal(t, due, timer.Due)
			}
		}
		require.Equal(t, due, last, "the sleeping run's timer is still there")
	})
}

// A timer of a job that is gone is forgotten when it is due.
func TestStaleTimersCountUntilTheyAreDue(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	due := time.Now().Add(100 * time.Millisecond).UnixMilli()
	s.commit(&state.Transition{RunID: lease.RunID, Jobs: []state.Job{{ID: "a", Kind: state.JobPause, Due: due, Step: "a"}, {ID: "b", Kind: state.JobPause, Due: due + 1e7, Step: "b"}}})
	s.commit(&state.Transition{RunID: lease.RunID, DropJobs: []string{"a"}})
	require.Equal(t, 1, s.node.Stats().Timers)
	s.in(0, func(o *Owner) { require.Equal(t, 1, o.stale) })
	s.eventually(func() bool {
		stale := 0
		s.in(0, func(o *Owner) { stale = o.stale })
		return stale == 0
	})
	require.Equal(t, 1, s.node.Stats().Timers)
}
