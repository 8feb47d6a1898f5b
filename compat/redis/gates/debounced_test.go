package gates_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// TestDebounce: one run by the event that is the last by its own time, and nothing
// is left of the debounce.
func TestDebounce(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"debounce":{"period":"1s","key":"event.data.k"}}`)
	s := open(t, fn)
	early := time.Now().Add(-time.Minute).UnixMilli()
	for n := range 4 {
		fields := []any{}
		if n == 3 {
			fields = []any{"ts", early}
		}
		r := s.event(fn, newEvent(t, "e", map[string]any{"k": "x", "n": n}, fields...))
		require.ErrorIs(t, r.Refusal(), state.ErrDebounced)
	}
	require.Zero(t, s.live())
	run := s.run()
	require.Equal(t, []int{2}, numbers(t, run))
	require.Equal(t, function.IdempotencyKey(fn.ID, run.EventIDs[0].String()), run.Idempotency)
	s.eventually(func() bool {
		return s.client.Exists(t.Context(), format.DebouncesKey, format.DebouncePointerKey(fn.ID, "x")).Val() == 0
	})
	require.Equal(t, 1, s.live())
}

// TestDebounceUntilItsTimeout: events that never pause start a run all the same.
func TestDebounceUntilItsTimeout(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"debounce":{"period":"5s","timeout":"1s"}}`)
	s := open(t, fn)
	go func() { _, _ = s.Node.Lease(t.Context(), queue.LaneWake) }() // partitions of functions are visited for somebody
	s.eventually(func() bool {
		s.event(fn, newEvent(t, "e", map[string]any{"n": 1}))
		return s.live() > 0
	})
}

// TestDebounceWhileItEnds: an event that comes while the run is being started
// begins another debounce.
func TestDebounceWhileItEnds(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"debounce":{"period":"1h"}}`)
	s := open(t, fn)
	s.event(fn, newEvent(t, "e", map[string]any{"n": 1}))
	q := jobs.NewQueue(s.client)
	entry, err := q.Get(t.Context(), s.item(format.KindDebounce).ID)
	require.NoError(t, err)
	_, err = q.Lease(t.Context(), entry, time.Now())
	require.NoError(t, err)
	s.event(fn, newEvent(t, "e", map[string]any{"n": 2}))
	require.EqualValues(t, 2, s.client.HLen(t.Context(), format.DebouncesKey).Val())
	require.NoError(t, s.Do(t.Context(), &entry.Item))
	require.NoError(t, s.Do(t.Context(), &entry.Item), "done again, it does nothing")
	require.Equal(t, []int{1}, numbers(t, s.run()))
	pointer := s.client.Get(t.Context(), format.DebouncePointerKey(fn.ID, fn.ID.String())).Val()
	require.True(t, s.client.HExists(t.Context(), format.DebouncesKey, pointer).Val())
}

// TestDebounceWithoutJob: the job of a debounce was lost; the next event brings
// another, and the later event counts.
func TestDebounceWithoutJob(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"debounce":{"period":"1s"}}`)
	s := open(t, fn)
	s.event(fn, newEvent(t, "e", map[string]any{"n": 1}, "ts", time.Now().Add(time.Minute).UnixMilli()))
	entry, err := jobs.NewQueue(s.client).Get(t.Context(), s.item(format.KindDebounce).ID)
	require.NoError(t, err)
	require.NoError(t, jobs.NewQueue(s.client).Dequeue(t.Context(), entry))
	s.event(fn, newEvent(t, "e", map[string]any{"n": 2}))
	require.EqualValues(t, 1, s.client.HLen(t.Context(), format.DebouncesKey).Val())
	go func() { _, _ = s.Node.Lease(t.Context(), queue.LaneWake) }() // partitions of functions are visited for somebody
	s.eventually(func() bool { return s.find(format.KindStart) != nil })
	run, err := s.Node.Load(t.Context(), s.item(format.KindStart).Data.Identifier.RunID)
	require.NoError(t, err)
	require.Equal(t, []int{1}, numbers(t, run))
}

// TestInvokesDebouncedAway: whoever invoked a function whose start gives way to
// another is told.
func TestInvokesDebouncedAway(t *testing.T) {
	t.Parallel()
	caller, fn := newFunction(t, `{}`), newFunction(t, `{"debounce":{"period":"1h"}}`)
	s := open(t, caller, fn)
	s.event(caller, newEvent(t, "e", nil))
	lease := s.lease()
	run, err := s.Node.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	invoke := &state.Transition{
		RunID: run.ID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation,
		Waits: []state.NewWait{{
			Wait: state.Wait{Kind: state.WaitInvoke, Step: "i", Name: fn.Slug}, Invoke: &state.Outgoing{Name: "inngest/function.invoked"},
			Timeout: state.Job{ID: function.PauseTimeoutJob(run.Key(), "i"), Kind: state.JobPause, Due: time.Now().Add(time.Hour).UnixMilli(), Step: "i"},
		}},
	}
	require.NoError(t, s.Node.Commit(t.Context(), invoke))
	s.event(fn, newEvent(t, "inngest/function.invoked", map[string]any{"_inngest": map[string]any{
		"fn_id": fn.Slug, "correlation_id": function.CorrelationID(run.ID.String(), "i"),
	}}))
	s.event(fn, newEvent(t, "e", nil))
	next := s.run()
	require.Equal(t, run.ID, next.ID)
	require.Contains(t, string(next.Steps[0].Memo), "invoked function is debounced")
}
