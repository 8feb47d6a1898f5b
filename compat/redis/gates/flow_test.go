package gates_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// TestOnce: an event that comes again starts nothing, whether its run lives or has
// ended.
func TestOnce(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"plain": `{}`, "rate limit": `{"rateLimit":{"limit":1,"period":"1h"}}`,
		"singleton": `{"singleton":{"mode":"cancel"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn := newFunction(t, config)
			s := open(t, fn)
			e := newEvent(t, "e", nil, "id", "mine")
			first := s.event(fn, e)
			require.Equal(t, gates.Success, first.Outcome)
			require.Equal(t, first, s.event(fn, e))
			require.Equal(t, 1, s.live())
			require.NoError(t, s.Node.Cancel(t.Context(), first.Run, "somebody"))
			again := s.event(fn, newEvent(t, "e", nil, "id", "mine"))
			require.Equal(t, gates.Result{Outcome: gates.Idempotency, Run: first.Run}, again)
			require.ErrorIs(t, again.Refusal(), state.ErrRepeated)
			require.Zero(t, s.live())
		})
	}
}

// TestRateLimit: events over the limit leave nothing, also when others with
// another value pass; an invoke is answered.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"rateLimit":{"limit":1,"period":"1h","key":"event.data.k"}}`)
	s := open(t, fn)
	for i, want := range []struct {
		data    map[string]any
		outcome gates.Outcome
	}{
		{map[string]any{"k": "x"}, gates.Success},
		{map[string]any{"k": "x"}, gates.RateLimited},
		{map[string]any{"k": "y"}, gates.Success},
		{map[string]any{"k": false}, gates.Success}, // is not limited at all
		{map[string]any{"k": false}, gates.Success},
		{map[string]any{}, gates.Success}, // those without the field are limited together
		{map[string]any{}, gates.RateLimited},
	} {
		require.Equal(t, want.outcome, s.event(fn, newEvent(t, "e", want.data)).Outcome, i)
	}
	require.Equal(t, 5, s.live())
	require.Empty(t, s.skipped)
	require.ErrorIs(t, gates.Result{Outcome: gates.RateLimited}.Refusal(), state.ErrRateLimited)

	invoke := map[string]any{"k": "x", "_inngest": map[string]any{"correlation_id": ulid.Make().String() + ".step"}}
	require.Equal(t, gates.RateLimited, s.event(fn, newEvent(t, "inngest/function.invoked", invoke)).Outcome)
	require.Len(t, s.sent, 1)
	require.Equal(t, state.EventFinished, s.sent[0].Name)
	require.Contains(t, string(s.sent[0].Data), "invoked function is rate limited")
}

// TestSingletonSkip: while a run lives, others with its key are skipped; then the
// next is not.
func TestSingletonSkip(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"singleton":{"key":"event.data.k","mode":"skip"}}`)
	s := open(t, fn)
	first := s.event(fn, newEvent(t, "e", map[string]any{"k": "x"}))
	require.Equal(t, gates.Skipped, s.event(fn, newEvent(t, "e", map[string]any{"k": "x"})).Outcome)
	require.Equal(t, gates.Success, s.event(fn, newEvent(t, "e", map[string]any{"k": "y"})).Outcome)
	require.Len(t, s.skipped, 1)
	require.Equal(t, first.Run, s.skipped[0].Existing)
	require.Equal(t, state.SkipSingleton, s.skipped[0].Reason)
	require.NoError(t, s.Node.Cancel(t.Context(), first.Run, "somebody"))
	require.Equal(t, gates.Success, s.event(fn, newEvent(t, "e", map[string]any{"k": "x"})).Outcome)
	require.Equal(t, 2, s.live())
}

// TestSingletonCancel: a new run takes the place of the one that lives.
func TestSingletonCancel(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"singleton":{"mode":"cancel"}}`)
	s := open(t, fn)
	first := s.event(fn, newEvent(t, "e", nil))
	second := s.event(fn, newEvent(t, "e", nil))
	require.Equal(t, gates.Success, second.Outcome)
	require.Equal(t, state.Cancelled, s.finishOf(first.Run).Status)
	require.Equal(t, 1, s.live())
	holder := s.client.Get(t.Context(), format.SingletonKey(fn.ID.String())).Val()
	require.Equal(t, second.Run.String(), holder)
	require.Equal(t, second.Run, s.lease().RunID)
}

// TestSingletonOfNoRun: a key whose run was deleted by hand holds nobody up.
func TestSingletonOfNoRun(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"singleton":{"mode":"skip"}}`)
	s := open(t, fn)
	ctx, gone := t.Context(), ulid.Make()
	name := format.SingletonKey(fn.ID.String())
	require.NoError(t, s.client.MSet(ctx, name, gone.String(), format.SingletonRunKey(gone), name).Err())
	r := s.event(fn, newEvent(t, "e", nil))
	require.Equal(t, gates.Success, r.Outcome)
	require.Equal(t, r.Run.String(), s.client.Get(ctx, name).Val())
	require.Zero(t, s.client.Exists(ctx, format.SingletonRunKey(gone)).Val())
}

// TestSingletonRace: of many starts at once, in two processes, one makes a run.
func TestSingletonRace(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"singleton":{"mode":"skip"}}`)
	a := open(t, fn)
	b := openOn(t, a.client, a.registry)
	done := make(chan gates.Outcome, 16)
	for i := range cap(done) {
		s, e := []*site{a, b}[i%2], newEvent(t, "e", nil)
		go func() {
			r, err := s.Event(t.Context(), fn.ID, e)
			if err != nil {
				t.Error(err)
			}
			done <- r.Outcome
		}()
	}
	outcomes := map[gates.Outcome]int{}
	for range cap(done) {
		outcomes[<-done]++
	}
	require.Equal(t, map[gates.Outcome]int{gates.Success: 1, gates.Skipped: 15}, outcomes)
	require.Equal(t, 1, a.live())
}

// TestNoRun: functions that are paused, removed or unknown make no runs, and
// whoever invoked them is told.
func TestNoRun(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{}`)
	s := open(t, fn)
	for reason, known := range map[state.SkipReason]gates.Known{
		state.SkipPaused: {Function: fn, App: app, Paused: true}, state.SkipDrained: {Function: fn, App: app, Removed: true},
	} {
		s.registry.put(known)
		e := newEvent(t, "e", nil)
		require.Equal(t, gates.Skipped, s.event(fn, e).Outcome)
		require.Equal(t, gates.Skipped, s.event(fn, e).Outcome)
		told := s.skipped[len(s.skipped)-2:]
		require.Equal(t, told[0], told[1], "told twice, it is the same")
		require.Equal(t, reason, told[0].Reason)
	}
	s.registry.remove(fn.ID)
	require.ErrorIs(t, s.event(fn, newEvent(t, "e", nil)).Refusal(), gates.ErrNoFunction)
	require.Zero(t, s.live())
}

// TestCancelledInBulk: a run that a cancellation covers is cancelled as it is made.
func TestCancelledInBulk(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{}`)
	s := open(t, fn)
	s.registry.put(gates.Known{Function: fn, App: app, Cancellations: []function.Cancellation{
		{ID: ulid.Make(), FunctionID: fn.ID, StartedBefore: time.Now().Add(time.Hour), If: "event.data.k == 'x'"},
	}})
	covered := s.event(fn, newEvent(t, "e", map[string]any{"k": "x"}))
	require.Equal(t, state.Cancelled, s.finishOf(covered.Run).Status)
	other := s.event(fn, newEvent(t, "e", map[string]any{"k": "y"}))
	require.Nil(t, s.finishOf(other.Run))
}

// TestRepeatedByHand: a run that is made again passes the gates that limit runs,
// and remembers what it is given.
func TestRepeatedByHand(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"rateLimit":{"limit":1,"period":"1h"},"debounce":{"period":"1h"},"priority":{"run":"120"}}`)
	s := open(t, fn)
	e, id, original := newEvent(t, "e", nil), ulid.Make(), ulid.Make()
	start := &state.Start{
		RunID: id, FunctionID: fn.ID, Original: original, Idempotency: function.IdempotencyKey(fn.ID, id.String()),
		Events: []json.RawMessage{e.JSON}, EventIDs: []ulid.ULID{e.ID},
		Steps: []state.Step{{ID: "a", Memo: []byte(`{"data":[]}`)}}, Inputs: []state.Step{{ID: "b", Memo: []byte(`[1]`)}},
	}
	for range 2 {
		r, err := s.Start(t.Context(), start)
		require.NoError(t, err)
		require.Equal(t, gates.Result{Outcome: gates.Success, Run: id}, r)
	}
	run := s.run()
	require.Equal(t, id, run.ID)
	require.Equal(t, original, run.Original)
	require.Equal(t, start.Steps, run.Steps)
	require.Equal(t, start.Inputs, run.Inputs)
	kept, err := runs.NewStore(s.client).Load(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 120, *kept.Metadata.ID.Priority)
}

// TestBadExpressions: an event for which a function's expressions fail counts as
// one without a value; the run is made.
func TestBadExpressions(t *testing.T) {
	t.Parallel()
	const bad = "event.data.k.("
	fn := newFunction(t, `{"singleton":{"key":"`+bad+`","mode":"skip"},"rateLimit":{"limit":100,"period":"1s","key":"`+bad+`"},
		"priority":{"run":"`+bad+`"},"throttle":{"limit":1,"period":"1h","key":"`+bad+`"},
		"concurrency":{"fn":[{"limit":1,"key":"`+bad+`"}],"step":[{"limit":1,"key":"`+bad+`","scope":"Account"}]},
		"cancel":[{"event":"stop","if":"`+bad+`","timeout":"soon"}],"timeouts":{"start":"soon","finish":"never"}}`)
	s := open(t, fn)
	require.Equal(t, gates.Success, s.event(fn, newEvent(t, "e", nil)).Outcome)
	require.Equal(t, 1, s.live())
}

// TestTellingFails: what cannot be told fails the start, which is then asked
// again.
func TestTellingFails(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{}`)
	s := open(t, fn)
	s.registry.put(gates.Known{Function: fn, App: app, Paused: true})
	away := errors.New("away")
	s.fail(away)
	_, err := s.Event(t.Context(), fn.ID, newEvent(t, "e", nil))
	require.ErrorIs(t, err, away)
	s.fail(nil)
	require.Equal(t, gates.Skipped, s.event(fn, newEvent(t, "e", nil)).Outcome)
	require.Equal(t, 1, s.count(gates.Skipped))
}
