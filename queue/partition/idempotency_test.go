package partition

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/state"
)

// An event id excludes a second run of a function: one that the user gave for
// a day, one from a seed for an hour, and one that the server made needs not,
// since it cannot come twice.
func TestEventIDsAreIdempotent(t *testing.T) {
	t.Parallel()
	explicit := func() *bus.Event { e := newEvent("e", `{}`); e.ID = "mine"; return e }
	id := ulid.Make()
	seeded := func() *bus.Event {
		e := newEvent("e", `{}`)
		e.InternalID, e.ID, e.Seeded = id, id.String(), true
		return e
	}
	for name, c := range map[string]struct {
		event func() *bus.Event
		lasts time.Duration
	}{
		"explicit": {explicit, 24 * time.Hour},
		"seeded":   {seeded, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 3)
			s.register(on("a", "e"), on("b", "e", "other"))
			s.publish(c.event(), c.event())
			awaitStarted(s, "a", "b")
			first := c.event()
			first.Name = "other"
			s.publish(first)
			awaitStarted(s, "a", "b")

			s.advance(c.lasts - time.Minute)
			s.publish(c.event())
			awaitStarted(s, "a", "b")
			s.restart()
			s.publish(c.event())
			s.passed()
			require.Len(t, started(s), 2, "those of before the restart are told again")

			s.advance(time.Minute)
			s.publish(c.event())
			awaitStarted(s, "a", "a", "b", "b")
		})
	}
	t.Run("generated", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, 1)
		s.register(on("a", "e"))
		e := s.send("e", `{}`)
		awaitStarted(s, "a")
		s.in(0, func(o *Owner) {
			fn := function.FunctionID("a", "a")
			_, claimed := o.index.Claimed(claimKey(fn, function.IdempotencyKey(fn, e.ID)), time.Now().UnixMilli())
			require.False(t, claimed, "nothing is remembered of it")
		})
	})
}

// The same start comes twice: it is the same run.
func TestStartTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("a", "e"))
	lease := s.begin("e")
	run := s.load(lease.RunID)
	s.in(0, func(o *Owner) {
		tx := o.begin()
		tx.handleStart(&state.Start{RunID: run.ID, FunctionID: run.FunctionID, Events: run.Events, EventIDs: run.EventIDs})
		require.Empty(t, tx.ops)
	})
}

// With the run that failed its id is that of the event about it: the function
// that handles failures runs once for it.
func TestFailureHandlerRunsOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(on("a", "e"), when("a-failure", function.Trigger{Event: state.EventFailed, Expression: `event.data.function_id == "a"`}))
	lease := s.begin("e")
	failure := state.ErrorObject("Error", "boom")
	s.commit(&state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind,
		Finish: &state.Finish{Status: state.Failed, Output: failure, Error: failure},
	})
	handler := s.call()
	run := s.load(handler.RunID)
	require.Equal(t, "a-failure", run.Slug)
	require.Contains(t, string(run.Events[0]), `"id":"`+lease.RunID.String()+`","name":"inngest/function.failed"`)
	again := newEvent(state.EventFailed, `{"function_id":"a"}`)
	again.ID = lease.RunID.String()
	s.publish(again)
	awaitStarted(s, "a", "a-failure")
	s.commit(complete(handler, `1`))
	s.ended(handler.RunID)
	s.passed()
	require.Equal(t, 1, s.rec.count(s.rec.events, state.EventFinished), "nothing is said of the end of a run about an end")
}
