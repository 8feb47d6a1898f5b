package partition

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/queue"
	"jetstep/state"
)

// A worker whose lease is of an earlier owner gives its job back late, when
// the job is leased to someone else.
func TestStaleReleaseEndsNoLease(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	old := s.begin("begin")
	s.replaceOwner(0)
	again := s.call()
	require.Equal(t, old.Job.ID, again.Job.ID)
	s.node.Release(old)
	s.send("begin", `{}`)
	next := s.call()
	require.NotEqual(t, old.RunID, next.RunID, "leased twice at a time")
	s.node.Release(again)
	require.Equal(t, again.Job, s.call().Job)
}

// An owner that slept through the end of its lease hands out nothing more, and
// loads again.
func TestNoJobAfterTheEndOfTheLease(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	old := s.node.owner(0)
	early := s.begin("begin")
	require.False(t, early.Over())
	s.in(0, func(o *Owner) { o.held = func() bool { return false } })
	require.True(t, early.Over(), "what was leased before must not be begun")
	again := s.call()
	require.Equal(t, early.Job, again.Job)
	s.commit(complete(again, `1`))
	lease := s.begin("begin")
	s.in(0, func(o *Owner) { require.NotSame(t, old, o) })
	s.commit(complete(lease, `1`))
	old.mu.Lock()
	defer old.mu.Unlock()
	require.ErrorIs(t, old.failed, errRanOut)
}

// A transition is committed twice, as after an answer that was lost.
func TestCommittingTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))

	lease := s.begin("begin")
	retry := &state.Transition{RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Then: state.JobRetry, RetryAt: time.Now().Add(time.Hour).UnixMilli()}
	s.commit(retry)
	s.commit(retry)
	job, ok := s.load(lease.RunID).Job(lease.Job.ID)
	require.True(t, ok)
	require.Equal(t, 1, job.Attempt)
	require.Equal(t, 1, job.Generation)

	// The end of a sleep goes on as the same job.
	lease = s.begin("begin")
	s.commit(&state.Transition{RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Jobs: []state.Job{{ID: "nap", Kind: state.JobSleep, Due: 1, Step: "z"}}})
	lease = s.lease(queue.LaneWake)
	wake := &state.Transition{
		RunID: lease.RunID, Job: "nap", Kind: state.JobSleep,
		Saves:       []state.Save{{Step: "z", Memo: json.RawMessage(`null`)}},
		Discoveries: []state.Discovery{{Job: state.Job{ID: "nap", Kind: state.JobEdge, Due: 1, Outgoing: "z"}, Always: true}},
	}
	s.commit(wake)
	s.commit(wake)
	require.Equal(t, []state.Job{{ID: "nap", Kind: state.JobEdge, Due: 1, Outgoing: "z"}}, s.load(lease.RunID).Jobs)
}

// What an earlier dispatch of a job brought still counts; that it failed does
// not.
func TestOutcomeOfAnEarlierDispatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	s.commit(&state.Transition{RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Then: state.JobRetry, RetryAt: 1})
	second := s.call()
	require.Equal(t, 1, second.Job.Generation)
	s.commit(&state.Transition{RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Saves: []state.Save{{Step: "a", Memo: json.RawMessage(`1`)}}})
	s.commit(complete(second, `"late"`))
	memo, ok := s.load(lease.RunID).Memo("a")
	require.True(t, ok)
	require.Equal(t, `1`, string(memo))
}

// The job of a lease can be gone when its outcome comes; the lease goes, too.
func TestNoLeaseIsLeftBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))

	lease := s.begin("begin")
	wait := waitForEvent(lease, s.load(lease.RunID), "sig", "", time.Now())
	wait.Waits[0].Wait.Kind = state.WaitSignal
	s.commit(wait)
	timeout := s.lease(queue.LaneWake)
	require.Equal(t, state.JobPause, timeout.Job.Kind)
	_, err := s.node.Signal(t.Context(), "sig", nil)
	require.NoError(t, err)
	s.commit(&state.Transition{RunID: timeout.RunID, Job: timeout.Job.ID, Kind: timeout.Job.Kind, Saves: []state.Save{{Step: "w", Memo: json.RawMessage(`null`)}}})
	next := s.call()
	require.Equal(t, 1, s.node.Stats().Leased, "only the discovery is being executed")

	s.commit(complete(next, `1`))
	require.ErrorIs(t, s.node.Commit(context.Background(), complete(next, `1`)), state.ErrRunNotFound)
	require.Zero(t, s.node.Stats().Leased)
}
