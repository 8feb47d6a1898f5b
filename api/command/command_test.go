package command_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/command"
	"jetstep/function"
	"jetstep/history/view"
	"jetstep/state"
)

// failingLater starts one run and then none.
type failingLater struct{ *engine }

func (e *failingLater) StartRun(ctx context.Context, start state.Start) error {
	if len(e.started) > 0 {
		return errors.New("no owner")
	}
	return e.engine.StartRun(ctx, start)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	live, ended := unknownID, f.latestRun(t, "hello")
	f.engine.live[live] = &state.Run{ID: live}
	require.NoError(t, f.Cancel(t.Context(), live))
	require.ErrorIs(t, f.Cancel(t.Context(), live), view.ErrNotFound, "the history does not know it yet")
	require.ErrorIs(t, f.Cancel(t.Context(), ended), command.ErrEnded)
	f.engine.failing = errors.New("no owner")
	require.ErrorIs(t, f.Cancel(t.Context(), ended), f.engine.failing)
}

func TestPause(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	fn := f.functionID(t, "hello")
	require.NoError(t, f.SetPaused(t.Context(), fn, true))
	require.Equal(t, map[uuid.UUID]bool{fn: true}, f.registry.paused)
	require.ErrorIs(t, f.SetPaused(t.Context(), uuid.UUID{9}, true), command.ErrNoFunction)
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.Invoke(t.Context(), command.Invocation{Slug: "app-any"}))
	require.NoError(t, f.Invoke(t.Context(), command.Invocation{
		Slug: "app-any", Data: []byte(`{"a":"<"}`), User: []byte(`{"u":1}`), Sessions: []byte(`{"s":"1"}`),
	}))
	require.Equal(t, []string{`app-any {}`, `app-any {"data":{"a":"<"},"user":{"u":1},"meta":{"sessions":{"s":"1"}}}`}, f.events.bodies)
	f.events.failing = errors.New("no stream")
	require.ErrorIs(t, f.Invoke(t.Context(), command.Invocation{Slug: "x"}), f.events.failing)
	require.Error(t, f.Invoke(t.Context(), command.Invocation{Slug: "x", Data: []byte(`{`)}))
}

func TestBegin(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	fn := f.functionID(t, "hello")
	run, err := f.Begin(t.Context(), command.Begin{Function: fn, Data: []byte(`{"n":1.0}`), Key: "key"})
	require.NoError(t, err)
	require.Equal(t, []string{"fixture-app-hello " + run.String() + ` {"id":"key","data":{"n":1.0}}`}, f.events.bodies)
	require.Equal(t, []state.Start{{
		RunID: run, FunctionID: fn, Idempotency: function.IdempotencyKey(fn, "key"), ClaimFor: 86_400_000,
		Events: f.engine.started[0].Events, EventIDs: []ulid.ULID{eventID}, Trigger: "inngest/function.invoked",
	}}, f.engine.started)
	require.Equal(t, `{"data":{"n":1},"id":"key","name":"inngest/function.invoked","ts":5,"user":{}}`, string(f.engine.started[0].Events[0]))
	require.Equal(t, []string{"key"}, f.engine.keys)

	_, err = f.Begin(t.Context(), command.Begin{Function: fn, Data: []byte(`{}`)})
	require.NoError(t, err)
	require.Zero(t, f.engine.started[1].ClaimFor)

	f.engine.failing = state.ErrRepeated
	again, err := f.Begin(t.Context(), command.Begin{Function: fn, Data: []byte(`{}`), Key: "key"})
	require.ErrorIs(t, err, state.ErrRepeated)
	require.NotZero(t, again)

	f.events.failing = errors.New("no stream")
	_, err = f.Begin(t.Context(), command.Begin{Function: fn, Data: []byte(`{}`)})
	require.ErrorIs(t, err, f.events.failing)
	_, err = f.Begin(t.Context(), command.Begin{Function: uuid.UUID{9}, Data: []byte(`{}`)})
	require.ErrorIs(t, err, command.ErrNoFunction)
}

func TestSendAndResend(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id, err := f.Send(t.Context(), []byte(`{"name":"a"}`))
	require.NoError(t, err)
	require.Equal(t, eventID, id)

	var hello, internal view.Event
	for _, event := range f.history.EventRows {
		switch {
		case event.ID == "order-1001":
			hello = event
		case strings.HasPrefix(event.Name, "inngest/"):
			internal = event
		}
	}
	_, err = f.Resend(t.Context(), hello.InternalID)
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"fx/hello","data":`+string(hello.Data)+`,"user":{"external_id":"u1"},"v":"2026-01-01"}`, f.events.bodies[1], "without its id and time")

	_, err = f.Resend(t.Context(), internal.InternalID)
	require.ErrorIs(t, err, command.ErrInternalEvent)
	_, err = f.Resend(t.Context(), unknownID)
	require.ErrorIs(t, err, view.ErrNotFound)
	require.Len(t, f.events.bodies, 2)
}

func TestApps(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id, err := f.CreateApp(t.Context(), "localhost:3000")
	require.NoError(t, err)
	require.NoError(t, f.UpdateApp(t.Context(), id, "http://new"))
	require.NoError(t, f.DeleteApp(t.Context(), id))
	require.Equal(t, []string{"add localhost:3000", "move " + id.String() + " http://new", "archive " + id.String()}, f.apps.asked)
	require.True(t, f.Discovered("http://found"))
}
