package statetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// wait is a wait with its timeout.
func wait(run *state.Run, kind state.WaitKind, step, name string, due int64) state.NewWait {
	return state.NewWait{
		Wait: state.Wait{Kind: kind, Step: step, Name: name},
		Timeout: state.Job{
			ID: function.PauseTimeoutJob(run.Key(), step), Kind: state.JobPause, Due: due, MaxAttempts: attempts, Step: step,
		},
	}
}

// waiting begins a run that waits in step "w".
func (s *suite) waiting(kind state.WaitKind, name string, due int64, change func(*state.NewWait)) *state.Run {
	s.Helper()
	lease := s.begin()
	run := s.load(lease.RunID)
	w := wait(run, kind, "w", name, due)
	if change != nil {
		change(&w)
	}
	t := versioned(lease, 2)
	t.Waits = []state.NewWait{w}
	s.commit(t)
	return run
}

// timedOut is the transition of a wait's timeout.
func timedOut(lease queue.Lease, run *state.Run, memo string) *state.Transition {
	t := outcome(lease)
	step := lease.Job.Step
	t.Saves = []state.Save{{Step: step, Memo: raw(memo)}}
	t.Unwaits = []string{step}
	t.Discoveries = []state.Discovery{{Always: true, Job: state.Job{
		ID: function.TimeoutJob(run.Key(), step), Kind: state.JobEdge, Due: now(), MaxAttempts: attempts, Outgoing: step,
	}}}
	return t
}

func (s *suite) requireResumed(run *state.Run, id string) {
	s.Helper()
	next := s.lease(queue.LaneCall)
	require.Equal(s, id, next.Job.ID)
	require.Equal(s, "w", next.Job.Outgoing)
	require.Equal(s, attempts, next.Job.MaxAttempts)
	require.Equal(s, []state.Job{next.Job}, s.Jobs(s.T, run.ID), "nothing is left of the wait")
	require.Empty(s, s.load(run.ID).Waits)
	require.Equal(s, []string{"w"}, s.steps(run.ID))
}

func waitMatches(s *suite) {
	run := s.waiting(state.WaitEvent, "it/happened", hour(), func(w *state.NewWait) { w.If = `async.data.k == "b"` })
	w, ok := s.load(run.ID).Wait("w")
	require.True(s, ok)
	require.Equal(s, state.WaitEvent, w.Kind)
	require.Equal(s, "it/happened", w.Name)
	s.Publish(s.T, "it/happened", raw(`{"k":"a"}`))
	s.Publish(s.T, "it/did/not", raw(`{"k":"b"}`))
	s.Publish(s.T, "it/happened", raw(`{}`)) // the expression finds no such field
	s.Publish(s.T, "it/happened", raw(`{"n":1,"k":"b"}`))
	s.Publish(s.T, "it/happened", raw(`{"n":2,"k":"b"}`))
	var memo struct {
		Data, User json.RawMessage
		ID, Name   string
		TS         int64
	}
	require.NoError(s, json.Unmarshal([]byte(s.memo(run.ID, "w")), &memo))
	require.Equal(s, `{"k":"b","n":1}`, string(memo.Data), "the first event that satisfies, bare and canonical")
	require.Equal(s, `{}`, string(memo.User))
	require.Equal(s, "it/happened", memo.Name)
	require.NotEmpty(s, memo.ID)
	require.Positive(s, memo.TS)
	s.requireResumed(run, function.EventJob(run.Key(), "w"))
}

func waitTimesOut(s *suite) {
	due := in(50 * time.Millisecond)
	run := s.waiting(state.WaitEvent, "it/happened", due, nil)
	lease := s.lease(queue.LaneWake)
	require.GreaterOrEqual(s, now(), due)
	require.Equal(s, function.PauseTimeoutJob(run.Key(), "w"), lease.Job.ID)
	require.Equal(s, "w", lease.Job.Step)
	t := timedOut(lease, run, `null`)
	s.commit(t)
	s.commit(t)
	require.Equal(s, `null`, s.memo(run.ID, "w"))
	s.Publish(s.T, "it/happened", raw(`{}`))
	s.requireResumed(run, function.TimeoutJob(run.Key(), "w"))
}

// waitLooksBack: the event came after the call had begun and before its answer
// asked to wait.
func waitLooksBack(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	s.Publish(s.T, "it/happened", raw(`{"k":1}`))
	t := versioned(lease, 2)
	w := wait(run, state.WaitEvent, "w", "it/happened", hour())
	w.If = "async.data.k == 1"
	t.Waits = []state.NewWait{w}
	s.commit(t)
	require.Contains(s, s.memo(run.ID, "w"), `{"k":1}`)
	s.requireResumed(run, function.EventJob(run.Key(), "w"))
}

// waitRace: event and timeout come in the same moment. One of them is the
// wait's end, and one call follows.
func waitRace(s *suite) {
	for round := range 30 {
		name, due := fmt.Sprint("race/", round), time.Now().Add(15*time.Millisecond)
		run := s.waiting(state.WaitEvent, name, due.UnixMilli(), nil)
		ctx, cancel := context.WithCancel(s.Context())
		var both sync.WaitGroup
		both.Go(func() {
			<-time.After(time.Until(due) - time.Duration(round%8)*300*time.Microsecond)
			s.Publish(s.T, name, raw(`{}`))
		})
		both.Go(func() {
			lease, err := s.Lease(ctx, queue.LaneWake)
			if err != nil {
				return // the event won so early that there is no timeout
			}
			if err := s.Commit(s.Context(), timedOut(lease, run, `null`)); err != nil {
				s.Errorf("commit: %v", err)
			}
		})
		id := function.EventJob(run.Key(), "w")
		if s.memo(run.ID, "w") == `null` {
			id = function.TimeoutJob(run.Key(), "w")
		}
		cancel()
		both.Wait()
		s.requireResumed(run, id)
		t := outcome(queue.Lease{RunID: run.ID, Job: s.Jobs(s.T, run.ID)[0]})
		t.Finish = &state.Finish{Status: state.Completed}
		s.commit(t)
	}
}

// waitTwice: a repeated answer changes nothing about a wait.
func waitTwice(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	for _, w := range []state.NewWait{
		wait(run, state.WaitEvent, "w", "first", hour()),
		wait(run, state.WaitEvent, "w", "second", in(0)),
	} {
		t := outcome(lease)
		t.Waits = []state.NewWait{w}
		t.Then, t.RetryAt = state.JobRetry, now()
		s.commit(t)
		lease = s.lease(queue.LaneCall)
	}
	w, ok := s.load(run.ID).Wait("w")
	require.True(s, ok)
	require.Equal(s, "first", w.Name)
	s.Publish(s.T, "first", raw(`{}`))
	require.Contains(s, s.memo(run.ID, "w"), `"name":"first"`)
	t := outcome(lease)
	t.Waits = []state.NewWait{wait(run, state.WaitEvent, "w", "third", hour())}
	s.commit(t)
	s.requireResumed(run, function.EventJob(run.Key(), "w"))
}

func signal(s *suite) {
	_, err := s.Signal(s.T, "sig", nil)
	require.Error(s, err, "nobody waits yet")
	run := s.waiting(state.WaitSignal, "sig", hour(), nil)
	s.eventually(func() bool {
		id, err := s.Signal(s.T, "sig", raw(`{"b":1,"a":2}`))
		if err == nil {
			require.Equal(s, run.ID, id)
		}
		return err == nil
	}, "the wait is not known")
	require.Equal(s, `{"data":{"data":{"a":2,"b":1},"signal":"sig"}}`, s.memo(run.ID, "w"))
	s.requireResumed(run, function.EventJob(run.Key(), "w"))
	_, err = s.Signal(s.T, "sig", nil)
	require.Error(s, err, "one waiter gets one signal")
}

func signalConflict(s *suite) {
	first := s.waiting(state.WaitSignal, "sig", hour(), nil)
	s.armed("sig", first)
	second := s.waiting(state.WaitSignal, "sig", hour(), nil)
	status, output := s.end(second.ID)
	require.Equal(s, state.Failed, status)
	require.Contains(s, output, "Signal conflict; signal wait already exists for another run")
	id, err := s.Signal(s.T, "sig", nil)
	require.NoError(s, err)
	require.Equal(s, first.ID, id)
	require.Equal(s, `{"data":{"data":null,"signal":"sig"}}`, s.memo(first.ID, "w"))
}

func signalReplace(s *suite) {
	first := s.waiting(state.WaitSignal, "sig", in(500*time.Millisecond), nil)
	s.armed("sig", first)
	second := s.waiting(state.WaitSignal, "sig", hour(), func(w *state.NewWait) { w.Replace = true })
	s.armed("sig", second)
	lease := s.lease(queue.LaneWake)
	require.Equal(s, first.ID, lease.RunID, "the displaced one waits until its timeout")
	s.commit(timedOut(lease, first, `null`))
	id, err := s.Signal(s.T, "sig", nil)
	require.NoError(s, err)
	require.Equal(s, second.ID, id, "whose timeout frees nobody else's name")
	s.memo(second.ID, "w")
}

// armed waits until a run is known as the one that waits for a signal.
func (s *suite) armed(signal string, run *state.Run) {
	s.Helper()
	s.eventually(func() bool {
		id, ok := s.Waiter(s.T, signal)
		return ok && id == run.ID
	}, "the wait for "+signal+" is not known")
}

func signalFreed(s *suite) {
	run := s.waiting(state.WaitSignal, "sig", in(20*time.Millisecond), nil)
	lease := s.lease(queue.LaneWake)
	s.armed("sig", run)
	s.commit(timedOut(lease, run, `null`))
	s.requireResumed(run, function.TimeoutJob(run.Key(), "w"))
	s.eventually(func() bool {
		_, err := s.Signal(s.T, "sig", nil)
		return err != nil
	}, "a wait that timed out still has the name")
	next := s.waiting(state.WaitSignal, "sig", hour(), nil)
	s.eventually(func() bool {
		_, err := s.Signal(s.T, "sig", nil)
		return err == nil
	}, "the name is not free")
	s.memo(next.ID, "w")
}

func invokeUnknown(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	w := wait(run, state.WaitInvoke, "w", "nope", hour())
	w.Invoke = invoked(run, "nope")
	t := versioned(lease, 2)
	t.Waits = []state.NewWait{w}
	s.commit(t)
	require.Equal(s, `{"error":{"message":"could not find function with ID: nope","name":"Error"}}`, s.memo(run.ID, "w"))
	s.requireResumed(run, function.EventJob(run.Key(), "w"))
}

func invokeTimesOut(s *suite) {
	lease := s.begin()
	run := s.load(lease.RunID)
	w := wait(run, state.WaitInvoke, "w", run.Slug, in(50*time.Millisecond))
	w.Invoke = invoked(run, run.Slug)
	t := versioned(lease, 2)
	t.Waits = []state.NewWait{w}
	s.commit(t)
	callee := s.lease(queue.LaneCall)
	require.NotEqual(s, run.ID, callee.RunID)
	require.Contains(s, string(s.load(callee.RunID).Events[0]), `"_inngest":{"correlation_id":"`+run.ID.String()+`.w"`)
	lease = s.lease(queue.LaneWake)
	require.Equal(s, run.ID, lease.RunID)
	s.commit(timedOut(lease, run, `{"error":{"message":"late","name":"InngestInvokeTimeoutError"}}`))
	t = outcome(callee)
	t.Finish = &state.Finish{Status: state.Completed, Output: raw(`1`)}
	s.commit(t) // it is not cancelled, and nobody listens
	require.Contains(s, s.memo(run.ID, "w"), "InngestInvokeTimeoutError")
	s.requireResumed(run, function.TimeoutJob(run.Key(), "w"))
}

// invoked is the event that calls a function for step "w".
func invoked(run *state.Run, fn string) *state.Outgoing {
	return &state.Outgoing{
		Name: "inngest/function.invoked",
		Data: raw(fmt.Sprintf(`{"_inngest":{"correlation_id":%q,"fn_id":%q}}`, function.CorrelationID(run.ID.String(), "w"), fn)),
	}
}
