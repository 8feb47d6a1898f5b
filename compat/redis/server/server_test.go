package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/redistest"
	"jetstep/compat/redis/server"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

const patience = 30 * time.Second

// TestEvent: an event starts the functions that it triggers, once, and ends waits.
func TestEvent(t *testing.T) {
	t.Parallel()
	picky := named("order", func(fn *gates.Known) { fn.Triggers[0].Expression = "event.data.n > 1" })
	broken := named("order", func(fn *gates.Known) { fn.Triggers[0].Expression = "event.data.(" })
	s := open(t, named("order", nil), picky, broken, named("other", nil))
	s.receive(1, event(t, "order", `{"n":1}`))
	lease := s.lease()
	require.Empty(t, s.Held(t.Context(), lease.RunID))
	since, busy := s.Executing(lease.RunID)
	require.True(t, busy)
	require.WithinDuration(t, time.Now(), since, patience)
	require.Equal(t, 1, s.Leased())
	require.Equal(t, queue.Depth{Out: 1}, s.Depths()[lease.FunctionID])

	run, err := s.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	s.commit(lease, func(tr *state.Transition) {
		tr.Waits = []state.NewWait{{
			Wait: state.Wait{Kind: state.WaitEvent, Step: "w", Name: "paid"}, If: `async.data.n == 7`,
			Timeout: state.Job{ID: function.PauseTimeoutJob(run.Key(), "w"), Kind: state.JobPause, Due: time.Now().Add(time.Hour).UnixMilli(), Step: "w"},
		}}
	})
	_, busy = s.Executing(lease.RunID)
	require.False(t, busy)
	s.receive(0, event(t, "paid", `{"n":6}`))
	s.receive(0, event(t, "paid", `{"n":7}`))
	s.commit(s.lease(), finish)
	s.gone(lease.RunID)

	twice := event(t, "order", `{"n":2}`)
	s.receive(2, twice)
	s.receive(2, twice)
	s.commit(s.lease(), finish)
	s.commit(s.lease(), finish)
	items, err := s.Items(t.Context())
	require.NoError(t, err)
	require.Zero(t, items, "each was started once")
}

// TestInvoke: an invoked function is started by its slug; one that is not there
// ends the caller's step.
func TestInvoke(t *testing.T) {
	t.Parallel()
	s := open(t, named("caller", nil), named("callee", nil))
	const invoked = "inngest/function.invoked"
	s.receive(1, event(t, invoked, `{"_inngest":{"fn_id":"app-callee"}}`))
	s.commit(s.lease(), finish)
	s.receive(1, event(t, invoked, `{"_inngest":{"fn_id":"app-callee","run_id":"01M8AFQX5N1XSGF0VGWXW3F1AD"}}`))
	s.receive(0, event(t, invoked, `{"_inngest":1}`))

	s.receive(1, event(t, "caller", `{}`))
	lease := s.lease()
	run, err := s.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	s.commit(lease, func(tr *state.Transition) {
		tr.Waits = []state.NewWait{{
			Wait:    state.Wait{Kind: state.WaitInvoke, Step: "i", Name: "app-nobody"},
			Timeout: state.Job{ID: function.PauseTimeoutJob(run.Key(), "i"), Kind: state.JobPause, Due: time.Now().Add(time.Hour).UnixMilli(), Step: "i"},
			Invoke:  &state.Outgoing{Name: invoked, Data: json.RawMessage(`{}`)},
		}}
	})
	correlation := function.CorrelationID(lease.RunID.String(), "i")
	s.receive(0, event(t, invoked, fmt.Sprintf(`{"_inngest":{"fn_id":"app-nobody","correlation_id":%q}}`, correlation)))
	again := s.lease()
	run, err = s.Load(t.Context(), again.RunID)
	require.NoError(t, err)
	memo, ok := run.Memo("i")
	require.True(t, ok)
	require.Contains(t, string(memo), "could not find function with ID: app-nobody")
}

// TestUnknownFunction: jobs of a function that is not registered stay until it is.
func TestUnknownFunction(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	fn := named("late", nil)
	older := openOn(t, client, fn)
	older.receive(1, event(t, "late", `{}`))
	older.Close()
	s := openOn(t, client)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := s.Lease(ctx, queue.LaneCall)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	items, err := s.ItemsOf(t.Context(), fn.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, items)
	s.registry.set(fn)
	require.Equal(t, fn.ID, s.lease().FunctionID)
}

// TestStarts: what people ask for.
func TestStarts(t *testing.T) {
	t.Parallel()
	fn, gone := named("order", nil), named("gone", func(fn *gates.Known) { fn.Removed = true })
	s := open(t, fn, gone)
	for _, id := range []uuid.UUID{uuid.New(), gone.ID} {
		_, err := s.NewRunID(id)
		require.ErrorIs(t, err, server.ErrNoFunction)
	}
	id, err := s.NewRunIDFor(fn.ID, "key")
	require.NoError(t, err)
	e := event(t, "order", `{}`)
	start := state.Start{
		RunID: id, FunctionID: fn.ID, Idempotency: function.IdempotencyKey(fn.ID, "key"),
		Events: []json.RawMessage{e.JSON}, EventIDs: []ulid.ULID{e.ID}, Trigger: e.Name,
	}
	run, err := s.StartNow(t.Context(), start)
	require.NoError(t, err)
	require.Equal(t, id, run)
	start.RunID = ulid.Make()
	run, err = s.StartNow(t.Context(), start)
	require.ErrorIs(t, err, state.ErrRepeated)
	require.Equal(t, id, run)
	s.commit(s.lease(), finish)

	require.Error(t, s.StartRun(t.Context(), state.Start{RunID: ulid.Make(), FunctionID: fn.ID}))
	repeat := state.Start{
		RunID: ulid.Make(), FunctionID: fn.ID, Original: id, Events: []json.RawMessage{e.JSON}, EventIDs: []ulid.ULID{e.ID},
		Steps: []state.Step{{ID: "a", Memo: json.RawMessage(`{"data":1}`)}},
	}
	require.NoError(t, s.StartRun(t.Context(), repeat))
	require.NoError(t, s.StartRun(t.Context(), repeat), "the same again")
	live, err := s.Load(t.Context(), repeat.RunID)
	require.NoError(t, err)
	require.Equal(t, id, live.Original)
	require.Equal(t, "a", live.Steps[0].ID)
	repeat.RunID, repeat.FunctionID = ulid.Make(), uuid.New()
	require.ErrorIs(t, s.StartRun(t.Context(), repeat), server.ErrNoFunction)
	repeat.FunctionID, repeat.Events = fn.ID, []json.RawMessage{json.RawMessage(`{`)}
	require.Error(t, s.StartRun(t.Context(), repeat))

	require.NoError(t, s.Cancel(t.Context(), live.ID))
	s.gone(live.ID)
	require.ErrorIs(t, s.Cancel(t.Context(), live.ID), state.ErrRunNotFound)
	require.NoError(t, s.Problem())
}

// TestEndpoints: a run that its app began goes on when the app falls silent, though
// nobody has registered it; its event is published, again if need be.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	s := open(t)
	data := json.RawMessage(`{"domain":"http://app","method":"GET","path":"/a"}`)
	request, err := function.ParseEndpointRequest(data)
	require.NoError(t, err)
	fn := request.Function(0)
	e := event(t, "inngest/http.request", string(data))
	run := state.Run{
		ID: ulid.Make(), FunctionID: fn.ID, FunctionVersion: 1, Slug: fn.Slug, Events: []json.RawMessage{e.JSON}, EventIDs: []ulid.ULID{e.ID},
		Trigger: e.Name, StartedAt: 1, Version: 2, Endpoint: &state.Endpoint{AppID: request.AppID(), Attempts: 1},
		Jobs: []state.Job{{Kind: state.JobEdge, Due: time.Now().UnixMilli(), MaxAttempts: 1}},
	}
	require.NoError(t, s.Begin(t.Context(), &state.Beginning{Run: run}))
	require.NoError(t, s.Begin(t.Context(), &state.Beginning{Run: run}))
	other := run
	other.FunctionID = uuid.New()
	require.ErrorIs(t, s.Begin(t.Context(), &state.Beginning{Run: other}), engine.ErrRunExists)
	lease := s.lease()
	require.Equal(t, run.ID, lease.RunID)
	s.mu.Lock()
	require.Equal(t, []gates.Outcome{gates.Success}, s.outcomes)
	require.Equal(t, []ulid.ULID{e.ID, e.ID}, s.accepted)
	s.mu.Unlock()
	s.commit(lease, finish)
	require.NoError(t, s.Begin(t.Context(), &state.Beginning{Run: run}), "it has ended")
}

// TestSkipped: a paused function's start is told of.
func TestSkipped(t *testing.T) {
	t.Parallel()
	s := open(t, named("order", func(fn *gates.Known) { fn.Paused = true }))
	s.receive(1, event(t, "order", `{}`))
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(t, []gates.Outcome{gates.Skipped}, s.outcomes)
	require.Len(t, s.told, 1)
	require.Equal(t, state.SkipPaused, s.told[0].(*state.RunSkipped).Reason)
}

// TestMetadata: they are counted for a run that lives, and told of any.
func TestMetadata(t *testing.T) {
	t.Parallel()
	s := open(t, named("order", nil))
	s.receive(1, event(t, "order", `{}`))
	lease := s.lease()
	some := &state.MetadataPut{RunID: lease.RunID, Items: []state.Metadata{{Kind: "userland.a", Values: json.RawMessage(`{"a":1}`)}}}
	require.NoError(t, s.AddMetadata(t.Context(), some))
	run, err := s.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	require.Equal(t, some.Size(), run.MetadataSize)
	much := &state.MetadataPut{RunID: lease.RunID, Items: []state.Metadata{{Kind: "userland.a", Values: make(json.RawMessage, state.MaxRunMetadata)}}}
	require.ErrorIs(t, s.AddMetadata(t.Context(), much), state.ErrRunMetadataTooLarge)
	require.NoError(t, s.AddMetadata(t.Context(), &state.MetadataPut{RunID: ulid.Make()}))
}

// TestSweep: a cancellation ends the runs that it covers and that fit, and no
// others.
func TestSweep(t *testing.T) {
	t.Parallel()
	fn := named("order", nil)
	s := open(t, fn)
	runs := map[string]ulid.ULID{}
	for _, k := range []string{"a", "b"} {
		s.receive(1, event(t, "order", fmt.Sprintf(`{"k":%q}`, k)))
		runs[k] = s.lease().RunID
	}
	fn.Cancellations = []function.Cancellation{{
		ID: ulid.Make(), FunctionID: fn.ID, StartedBefore: time.Now().Add(time.Minute), If: `event.data.k == "a"`, CreatedAt: time.Now(),
	}, {
		ID: ulid.Make(), FunctionID: fn.ID, StartedBefore: time.Now().Add(-time.Hour), CreatedAt: time.Now(),
	}}
	s.registry.set(fn)
	s.gone(runs["a"])
	_, err := s.Load(t.Context(), runs["b"])
	require.NoError(t, err)
}

// TestHeld: which limit a job waits for.
func TestHeld(t *testing.T) {
	t.Parallel()
	fn := named("order", func(fn *gates.Known) {
		fn.Concurrency = &function.Concurrency{}
		require.NoError(t, json.Unmarshal([]byte(`[{"limit":1,"key":"event.data.k"}]`), fn.Concurrency))
	})
	s := open(t, fn)
	s.receive(1, event(t, "order", `{"k":"a"}`))
	s.lease()
	second := event(t, "order", `{"k":"a"}`)
	s.receive(1, second)
	s.receive(1, event(t, "order", `{"k":"b"}`))
	s.lease()
	var waiting ulid.ULID
	require.NoError(t, s.EachRun(t.Context(), fn.ID, func(run ulid.ULID) error {
		live, err := s.Load(t.Context(), run)
		if err == nil && live.EventIDs[0] == second.ID {
			waiting = run
		}
		return err
	}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := s.Lease(ctx, queue.LaneCall)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	for _, limit := range s.Held(t.Context(), waiting) {
		require.Equal(t, server.Limit{Kind: "concurrency", Scope: function.ScopeFunction, Key: "event.data.k"}, limit)
	}
	require.Len(t, s.Held(t.Context(), waiting), 1)
	require.Nil(t, s.Held(t.Context(), ulid.Make()))
}

// TestProblem: a Redis that is gone is told of.
func TestProblem(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	s := openOn(t, client)
	require.ErrorContains(t, s.Problem(), "redis is not in reach")
	_, err := s.Event(t.Context(), event(t, "order", `{}`))
	require.Error(t, err)
}
