package statetest

import (
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

func finished(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	t := versioned(lease, 2)
	t.Saves = []state.Save{{Step: "a", Memo: raw(`1`)}} // buffered, in the last answer
	t.Finish = &state.Finish{Status: state.Completed, Output: raw(`{"ok":true}`)}
	s.commit(t)
	_, err := s.Load(s.Context(), run.ID)
	require.ErrorIs(s, err, state.ErrRunNotFound)
	status, output := s.end(run.ID)
	require.Equal(s, state.Completed, status)
	require.Equal(s, `{"ok":true}`, output)
}

func failed(s *suite) {
	lease := s.begin()
	t := outcome(lease)
	t.Finish = &state.Finish{Status: state.Failed, Output: raw(`{"message":"m"}`), Error: raw(`{"error":"e","message":"m","name":"Error"}`)}
	s.commit(t)
	status, output := s.end(lease.RunID)
	require.Equal(s, state.Failed, status)
	require.Equal(s, `{"message":"m"}`, output)
	_, err := s.Load(s.Context(), lease.RunID)
	require.ErrorIs(s, err, state.ErrRunNotFound)
}

// void: an answer that comes when the run has ended changes nothing, nor does
// anything of the run come due.
func void(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	t := versioned(lease, 2)
	t.ForcePlan = true
	t.Pending = []string{"p1", "p2"}
	t.Jobs = []state.Job{plan(run, "p1", ""), plan(run, "p2", "")}
	s.commit(t)
	first, second := s.lease(queue.LaneCall), s.lease(queue.LaneCall)
	t = outcome(first)
	t.Finish = &state.Finish{Status: state.Failed, Output: raw(`"first"`), Error: raw(`{}`)}
	s.commit(t)
	require.ErrorIs(s, s.Commit(s.Context(), t), state.ErrRunNotFound)
	t = outcome(second)
	t.Finish = &state.Finish{Status: state.Completed, Output: raw(`"second"`)}
	require.ErrorIs(s, s.Commit(s.Context(), t), state.ErrRunNotFound)
	require.ErrorIs(s, s.Commit(s.Context(), saved(outcome(second), run, "p2", `1`)), state.ErrRunNotFound)
	report := &state.Transition{RunID: run.ID, Saves: []state.Save{{Step: "x", Memo: raw(`1`)}}}
	require.ErrorIs(s, s.Commit(s.Context(), report), state.ErrRunNotFound)
	s.Release(second)

	status, output := s.end(run.ID)
	require.Equal(s, state.Failed, status)
	require.Equal(s, `"first"`, output)
	next := s.begin()
	require.NotEqual(s, run.ID, next.RunID)
}

// waitsEnd: what a run waited for does not reach into the time after it.
func waitsEnd(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	t := saved(versioned(lease, 2), run, "a", `1`)
	t.Waits = []state.NewWait{
		wait(run, state.WaitEvent, "w", "never", hour()),
		wait(run, state.WaitSignal, "sig", "the-signal", hour()),
	}
	t.Jobs = []state.Job{{ID: function.SleepJob(run.Key(), "z"), Kind: state.JobSleep, Due: in(100), Step: "z"}}
	s.commit(t)
	lease = s.lease(queue.LaneCall)
	t = outcome(lease)
	t.Finish = &state.Finish{Status: state.Completed}
	s.commit(t)
	status, output := s.end(run.ID)
	require.Equal(s, state.Completed, status)
	require.Empty(s, output)
	s.eventually(func() bool {
		_, err := s.Signal(s.T, "the-signal", nil)
		return err != nil
	}, "the signal still has a waiter")
	s.Publish(s.T, "never", raw(`{}`))
	next := s.begin()
	s.commit(sleepFor(next, s.load(next.RunID), 200))
	require.Equal(s, next.RunID, s.lease(queue.LaneWake).RunID, "the sleep of the ended run did not end")
}
