package partition

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// invoking begins a run that invokes a function in step "w", and leases the
// callee's first job.
func invoking(s *site, target string) (caller *state.Run) {
	s.t.Helper()
	lease := s.begin("begin")
	run := s.load(lease.RunID)
	t := waitForEvent(lease, run, target, "", time.Now().Add(time.Hour))
	t.Waits[0].Wait.Kind = state.WaitInvoke
	t.Waits[0].Invoke = &state.Outgoing{
		Name: state.EventInvoked, User: json.RawMessage(`{"u":1}`), V: "3",
		Data: fmt.Appendf(nil, `{"_inngest":{"correlation_id":%q,"fn_id":%q},"x":21}`, function.CorrelationID(run.ID.String(), "w"), target),
	}
	s.commit(t)
	return run
}

func (s *site) memo(run *state.Run, step string) string {
	s.t.Helper()
	s.eventually(func() bool { _, ok := s.load(run.ID).Memo(step); return ok }, "step %s did not finish", step)
	memo, _ := s.load(run.ID).Memo(step)
	return string(memo)
}

// sdk-protocol §12.7.
func TestInvoke(t *testing.T) {
	t.Parallel()
	failure := json.RawMessage(`{"error":"NonRetriableError","message":"callee boom","name":"Error"}`)
	for name, c := range map[string]struct {
		target string
		end    func(s *site, callee queue.Lease)
		memo   string
	}{
		"by slug": {"callee", func(s *site, callee queue.Lease) { s.commit(complete(callee, `{"x":42}`)) }, `{"data":{"x":42}}`},
		"by id": {function.FunctionID("callee", "callee").String(), func(s *site, callee queue.Lease) {
			s.commit(complete(callee, `1`))
		}, `{"data":1}`},
		"without a result": {"callee", func(s *site, callee queue.Lease) { s.commit(complete(callee, ``)) }, `{"data":null}`},
		"failed": {"callee", func(s *site, callee queue.Lease) {
			t := complete(callee, `{"a":1}`)
			t.Finish.Status, t.Finish.Error = state.Failed, failure
			s.commit(t)
		}, `{"error":` + string(failure) + `}`},
		"cancelled": {"callee", func(s *site, callee queue.Lease) {
			require.NoError(s.t, s.node.Cancel(s.t.Context(), callee.RunID))
		}, `{"error":{"message":"function cancelled","name":"Error"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 3)
			callee := when("callee", function.Trigger{Event: "never", Expression: "false"})
			s.register(on("caller", "begin"), callee)
			run := invoking(s, c.target)
			lease := s.call()
			called := s.load(lease.RunID)
			require.Equal(t, "callee", called.Slug)
			require.Equal(t, state.EventInvoked, called.Trigger)
			require.Contains(t, string(called.Events[0]), `"x":21`)
			require.Contains(t, string(called.Events[0]), `"user":{"u":1},"v":"3"`)
			require.Equal(t, []string{run.ID.String() + ".w"}, called.Correlations)
			c.end(s, lease)
			require.Equal(t, c.memo, s.memo(run, "w"))
			next := s.call()
			require.Equal(t, function.EventJob(run.Key(), "w"), next.Job.ID)
			s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventFinished) == 1 })
			require.Contains(t, string(s.rec.bodies(state.EventFinished)[0]), `"correlation_id":"`+run.ID.String()+`.w"`)
			require.Zero(t, s.node.Stats().Timers, "its timeout is gone")
		})
	}
}

// An unknown target ends the step, and is told to all who listen.
func TestInvokeUnknownFunction(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(on("caller", "begin"))
	run := invoking(s, "fake-nope")
	require.Equal(t, `{"error":{"message":"could not find function with ID: fake-nope","name":"Error"}}`, s.memo(run, "w"))
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventFinished) == 1 })
	require.Contains(t, string(s.rec.bodies(state.EventFinished)[0]),
		`"data":{"correlation_id":"`+run.ID.String()+`.w","error":{"message":"could not find function with ID: fake-nope","name":"Error"},"function_id":"","run_id":""}`)
}

// Functions that are triggered by the event run, too, and answer nobody.
func TestInvokedEventTriggersOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(on("caller", "begin"), on("callee", "never"), on("observer", "inngest/*"))
	run := invoking(s, "callee")
	leases := map[string]queue.Lease{}
	for range 2 {
		lease := s.call()
		leases[s.load(lease.RunID).Slug] = lease
	}
	require.Len(t, leases, 2)
	require.Empty(t, s.load(leases["observer"].RunID).Correlations)
	s.commit(complete(leases["observer"], `"not this"`))
	s.commit(complete(leases["callee"], `"this"`))
	require.Equal(t, `{"data":"this"}`, s.memo(run, "w"))
}

// An event that only looks like an invoke harms nobody.
func TestInvokeWithoutATarget(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	for _, data := range []string{`{}`, `{"_inngest":1}`, `{"_inngest":{"fn_id":""}}`, `{"_inngest":{"fn_id":"nope","correlation_id":"x"}}`} {
		s.send(state.EventInvoked, data)
	}
	s.passed()
	s.begin("begin")
	require.Len(t, started(s), 1)
}

// What the callee says twice counts once; what comes when the caller is gone
// is nobody's.
func TestInvokeAnsweredTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("caller", "begin"), on("callee", "never"))
	run := invoking(s, "callee")
	s.commit(complete(s.call(), `1`))
	require.Equal(t, `{"data":1}`, s.memo(run, "w"))
	s.in(0, func(o *Owner) {
		tx := o.begin()
		tx.answerInvoke(run.ID.String()+".w", answered{memo: json.RawMessage(`{"data":2}`)})
		tx.answerInvoke("nonsense", answered{memo: json.RawMessage(`{"data":2}`)})
		require.Empty(t, tx.ops)
	})
	s.commit(complete(s.call(), `"done"`))
	s.in(0, func(o *Owner) {
		tx := o.begin()
		tx.answerInvoke(run.ID.String()+".w", answered{memo: json.RawMessage(`{"data":3}`)})
		require.Empty(t, tx.ops)
	})
}
