package partition

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// when is a function with triggers that have expressions.
func when(slug string, triggers ...function.Trigger) function.Function {
	return function.Function{Slug: slug, Triggers: triggers}
}

// started lists the functions of the runs that were scheduled, sorted.
func started(s *site) []string {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	var slugs []string
	for _, run := range s.rec.scheduled {
		slugs = append(slugs, run.Slug)
	}
	slices.Sort(slugs)
	return slugs
}

// awaitStarted waits for just these runs.
func awaitStarted(s *site, slugs ...string) {
	s.t.Helper()
	s.passed()
	slices.Sort(slugs)
	s.eventually(func() bool { return len(started(s)) >= len(slugs) }, "%v", slugs)
	require.Equal(s.t, slugs, started(s))
}

// sdk-protocol §6.5.
func TestEventsStartFunctions(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(
		on("exact", "app/user.created"),
		on("slash", "app/*"),
		on("dot", "app/user.*"),
		on("both", "app/*", "app/user.created", "app/user.*"),
		on("bare", "*"),
		on("inside", "app/us*"),
		when("true", function.Trigger{Event: "app/user.created", Expression: `event.data.n == 1`}),
		when("false", function.Trigger{Event: "app/user.created", Expression: `event.data.n == 2`}),
		when("second", function.Trigger{Event: "app/user.created", Expression: `event.data.n == 2`}, function.Trigger{Event: "app/*", Expression: `event.name == "app/user.created"`}),
		when("fails", function.Trigger{Event: "app/user.created", Expression: `event.data.n.x.y > "a"`}),
		when("fails, then fits", function.Trigger{Event: "app/user.created", Expression: `event.data.n.x.y > "a"`}, function.Trigger{Event: "app/user.created"}),
	)
	e := s.send("app/user.created", `{"n":1}`)
	awaitStarted(s, "exact", "slash", "dot", "both", "true", "second", "fails, then fits")
	require.Equal(t, 7, s.rec.count(s.rec.matched, "app/user.created"))
	for _, run := range s.rec.scheduled {
		require.Equal(t, []ulid.ULID{e.InternalID}, run.EventIDs)
		require.Equal(t, "app/user.created", run.Trigger)
		require.Equal(t, 1, s.rec.events["app/user.created"])
	}
	s.send("app/user", `{}`)
	s.send("app", `{}`)
	s.send("other/user.created", `{}`)
	awaitStarted(s, "exact", "slash", "dot", "both", "true", "second", "fails, then fits", "slash", "both")
}

// A message that some other client put into the stream is no event; what
// comes after it is matched.
func TestUnreadableEventIsSetAside(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "e"))
	nc := s.bus.Conn()
	for _, body := range []string{"", "not json", `{"name":"e","data":[1]}`, `{"data":{}}`} {
		require.NoError(t, nc.Publish(bus.EventSubject(0, "e"), []byte(body)))
	}
	require.NoError(t, nc.Publish(bus.EventSubject(0, "e"), []byte(`{"name":"e","data":{"n":1e400}}`)))
	require.NoError(t, nc.Flush())
	s.send("e", `{"good":true}`)
	awaitStarted(s, "fn")
	require.NotNil(t, s.node.owner(0))
}

// An event that a plain NATS client published has no ids of ours; it counts.
func TestEventOfAPlainClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "e"))
	require.NoError(t, s.bus.Conn().Publish(bus.EventSubject(0, "e"), []byte(`{"name":"e","data":{"n":1}}`)))
	lease := s.call()
	run := s.load(lease.RunID)
	require.Contains(t, string(run.Events[0]), `{"data":{"n":1},"id":"`+run.EventIDs[0].String()+`"`)
}

func TestEventInTheFutureDelaysTheRun(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "e"))
	e := newEvent("e", `{}`)
	e.TS = time.Now().Add(300 * time.Millisecond).UnixMilli()
	s.publish(e)
	lease := s.call()
	require.GreaterOrEqual(t, time.Now().UnixMilli(), e.TS)
	require.Equal(t, e.TS, lease.Job.Due)
	e = newEvent("e", `{}`)
	e.TS = 1
	s.publish(e)
	require.NotEqual(t, lease.RunID, s.call().RunID)
}

// What a run gets of its event: canonical, with "user".
func TestRunOfAnEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "e"))
	e := newEvent("e", `{"z":1,"a":{"y":2.0,"b":"é"}}`)
	e.ID, e.V, e.TS = "mine", "2", 1795646534470
	s.publish(e)
	lease := s.call()
	run := s.load(lease.RunID)
	require.JSONEq(t, `{"data":{"a":{"b":"é","y":2},"z":1},"id":"mine","name":"e","ts":1795646534470,"user":{},"v":"2"}`, string(run.Events[0]))
	require.Equal(t, `{"data":{"a":{"b":"é","y":2},"z":1},"id":"mine","name":"e","ts":1795646534470,"user":{},"v":"2"}`, string(run.Events[0]))
	require.Equal(t, function.IdempotencyKey(run.FunctionID, "mine"), run.Idempotency)
	require.Equal(t, function.StartJob(run.Key()), lease.Job.ID)
	require.Equal(t, int(run.ID[6]), s.node.partitionOfRun(run.ID), "the id carries the partition")
	require.Equal(t, len(run.Events[0]), run.Size)
}

func TestRunIDsAreDeterministic(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1795646534470)
	fn := function.FunctionID("a", "b")
	id := runID(3, at, fn, "key")
	require.Equal(t, id, runID(3, at, fn, "key"))
	require.Equal(t, byte(3), id[6])
	require.EqualValues(t, 1795646534470, id.Time())
	for _, other := range []ulid.ULID{runID(2, at, fn, "key"), runID(3, at.Add(time.Millisecond), fn, "key"), runID(3, at, function.FunctionID("a", "c"), "key"), runID(3, at, fn, "yek")} {
		require.NotEqual(t, id, other)
	}
}

// Retries of the function are those of its jobs.
func TestAttemptsOfJobs(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	two := 2
	fn := on("two", "two")
	fn.Steps = []function.Step{{ID: "step", URI: "two", Retries: &two}}
	s.register(fn, on("default", "default"))
	require.Equal(t, 3, s.begin("two").Job.MaxAttempts)
	require.Equal(t, function.DefaultRetries+1, s.begin("default").Job.MaxAttempts)
	for _, c := range []struct {
		run  state.Run
		want int
	}{
		{state.Run{FunctionID: function.FunctionID("two", "two")}, 3},
		{state.Run{FunctionID: function.FunctionID("removed", "removed")}, function.DefaultRetries + 1},
		{state.Run{FunctionID: function.FunctionID("two", "two"), Endpoint: &state.Endpoint{Attempts: 7}}, 7},
	} {
		require.Equal(t, c.want, s.node.attempts(&c.run))
	}
}

// Runs of a function with function-wide flow control share a partition.
func TestPartitionOfRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, 8)
	limited := on("limited", "e")
	limited.Throttle = &function.Throttle{Limit: 1, Period: "1s"}
	s.register(limited, on("free", "e"))
	for range 40 {
		s.send("e", `{}`)
	}
	s.eventually(func() bool { return len(started(s)) == 80 })
	partitions := map[string]map[int]bool{"limited": {}, "free": {}}
	for id, run := range s.rec.scheduled {
		partitions[run.Slug][s.node.partitionOfRun(id)] = true
	}
	require.Len(t, partitions["limited"], 1)
	require.Greater(t, len(partitions["free"]), 3)
}

// A function that was removed while its start was on its way has no run; who
// invoked it gets to know.
func TestStartOfARemovedFunction(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("parent", "begin"))
	lease := s.begin("begin")
	run := s.load(lease.RunID)
	transition := waitForEvent(lease, run, "callee", "", time.Now().Add(time.Hour))
	transition.Waits[0].Wait.Kind = state.WaitInvoke
	transition.Waits[0].Invoke = &state.Outgoing{Name: "other", Data: json.RawMessage(`{}`)}
	s.commit(transition)
	s.in(0, func(o *Owner) {
		tx := o.begin()
		tx.handleStart(&state.Start{
			RunID: ulid.Make(), FunctionID: function.FunctionID("gone", "gone"), Events: []json.RawMessage{[]byte(`{}`)},
			Correlations: []string{function.CorrelationID(run.ID.String(), "w")},
		})
		tx.commit(nil)
	})
	memo, ok := s.load(run.ID).Memo("w")
	require.True(t, ok, "the invoker waits in vain")
	require.Equal(t, fmt.Sprintf(`{"error":{"message":"could not find function with ID: %s","name":"Error"}}`, function.FunctionID("gone", "gone")), string(memo))
	require.Equal(t, run.ID, s.lease(queue.LaneCall).RunID)
	require.Len(t, started(s), 1)
}
