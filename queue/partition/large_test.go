package partition

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/expr"
	"jetstep/function"
	"jetstep/state"
)

// large is a JSON string that no message holds.
func large(s *site) json.RawMessage {
	return json.RawMessage(`"` + strings.Repeat("x", s.bus.MaxPayload()) + `"`)
}

// A log holds what no single message does.
func TestLargeMemoIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	memo := large(s)
	s.commit(&state.Transition{RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Saves: []state.Save{{Step: "a", Memo: memo}}})
	s.restart()
	got, ok := s.load(lease.RunID).Memo("a")
	require.True(t, ok)
	require.Equal(t, len(memo), len(got))
}

// The payload of an invoke is too large for the event that would carry it: the
// step fails, nothing hangs.
func TestLargeInvoke(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("caller", "begin"), on("callee", "never"))
	lease := s.begin("begin")
	run := s.load(lease.RunID)
	transition := waitForEvent(lease, run, "callee", "", time.Now().Add(time.Hour))
	transition.Waits[0].Wait.Kind = state.WaitInvoke
	transition.Waits[0].Invoke = &state.Outgoing{Name: state.EventInvoked, Data: json.RawMessage(fmt.Sprintf(
		`{"_inngest":{"correlation_id":%q,"fn_id":"callee"},"x":%s}`, function.CorrelationID(run.ID.String(), "w"), large(s)))}
	s.commit(transition)
	require.Contains(t, s.memo(run, "w"), `{"error":{"message":"the payload of the invoked function is too large: `)
	require.Equal(t, "w", s.call().Job.Outgoing)
}

// The event about a run's end is too large to be published: those behind it
// are, and the run has ended.
func TestLargeResult(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1) // so that both events leave by one outbox, in order
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	transition := complete(lease, "")
	transition.Finish.Output = large(s)
	s.commit(transition)
	require.Equal(t, state.Completed, s.ended(lease.RunID).status)
	next := s.begin("begin")
	s.commit(complete(next, `1`))
	s.ended(next.RunID)
	s.eventually(func() bool {
		bodies := s.rec.bodies(state.EventFinished)
		return len(bodies) > 0 && strings.Contains(string(bodies[len(bodies)-1]), next.RunID.String())
	}, "what comes after it is stuck")
	s.delivered()
}

// A message to a partition of another process comes whole, however large it is.
func TestLargeMessage(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	var run *state.Run
	for run == nil || s.node.partitionOfRun(run.ID) != 1 { // it has to be in partition 1
		run = invokingFrom(s)
	}
	fn := function.FunctionID("fn", "fn")
	start := &state.Start{
		RunID: runID(1, s.now(), fn, "large"), FunctionID: fn, Trigger: "begin", EventIDs: []ulid.ULID{ulid.Make()},
		Events: []json.RawMessage{json.RawMessage(`{"data":{"x":` + string(large(s)) + `},"name":"begin"}`)},
	}
	o, c := quietly(s, 0, 1, 0)
	other := s.node.owners[1].Swap(nil)
	o.mu.Lock()
	n := o.index.NextSend(1)
	for _, m := range []state.Message{
		{Kind: state.MessageResume, RunID: run.ID, Step: "w", Memo: large(s)},
		{Kind: state.MessageStart, Start: start},
		{Kind: state.MessageSignal, Name: "nobody"},
	} {
		o.index.ApplyOp(&state.Sent{To: 1, N: n, Message: m}, 0)
		n++
	}
	waiting := o.index.Outbox(1).Waiting
	o.mu.Unlock()
	c.forward(t.Context(), 1, waiting)
	s.node.owners[1].Store(other)
	require.Equal(t, string(large(s)), s.memo(run, "w"))
	s.eventually(func() (all bool) {
		s.in(1, func(o *Owner) { all = o.received(0) == n-1 })
		return all
	}, "the last message did not come")
	require.Equal(t, start.Events, s.load(start.RunID).Events)
	s.settled()
	s.in(1, func(o *Owner) {
		last, err := s.bus.LastCommandSequence(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, last, o.index.Commands(), "nothing of it comes again")
	})
}

// invokingFrom begins a run that waits for a function that never answers.
func invokingFrom(s *site) *state.Run {
	s.t.Helper()
	lease := s.begin("begin")
	run := s.load(lease.RunID)
	t := waitForEvent(lease, run, "x", "", time.Now().Add(time.Hour))
	t.Waits[0].Wait.Kind = state.WaitInvoke
	t.Waits[0].Invoke = &state.Outgoing{Name: "some/event", Data: json.RawMessage(`{}`)}
	s.commit(t)
	return run
}

func TestWatchIndex(t *testing.T) {
	t.Parallel()
	x := watchIndex{}
	put := func(id, condition string) error {
		return x.add(&state.Watch{ID: id, Event: "e", If: condition})
	}
	matched := func(event string, n int) (ids []string) {
		found, _ := x.match(event, map[string]any{"data": map[string]any{"n": n}})
		for _, w := range found {
			ids = append(ids, w.ID)
		}
		return ids
	}
	require.NoError(t, put("any", ""))
	require.NoError(t, put("one", "async.data.n == 1"))
	require.NoError(t, put("two", "async.data.n == 2"))
	require.Equal(t, []string{"any", "one"}, matched("e", 1))
	require.Empty(t, matched("f", 1))
	require.NoError(t, put("one", "async.data.n == 2"), "put again, it is another")
	require.ElementsMatch(t, []string{"any", "one", "two"}, matched("e", 2))
	require.Equal(t, []string{"any"}, matched("e", 1))

	require.Error(t, put("two", "async.data.n =="))
	require.ElementsMatch(t, []string{"any", "one"}, matched("e", 2), "a bad one is none")
	x.remove("e", "two")
	x.remove("f", "one")
	x.remove("e", "any")
	require.True(t, x.any("e"))
	x.remove("e", "one")
	require.False(t, x.any("e"))
	require.Error(t, put("bad", "async.data.n =="))
	require.False(t, x.any("e"), "nothing is left of it")
}

// A wait whose expression cannot be used never matches, and harms no other.
func TestUnusableWatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	_, err := expr.Compile("async.data ==")
	require.Error(t, err)
	bad := s.begin("begin")
	s.commit(waitForEvent(bad, s.load(bad.RunID), "go", "async.data ==", time.Now().Add(time.Hour)))
	good := s.begin("begin")
	s.commit(waitForEvent(good, s.load(good.RunID), "go", "async.data.n.x > 1 || async.data.n == 1", time.Now().Add(time.Hour)))
	s.settled()
	s.restart()
	s.send("go", `{"n":1}`)
	s.memo(s.load(good.RunID), "w")
	_, ok := s.load(bad.RunID).Memo("w")
	require.False(t, ok)
}
