package partition

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// begunAt is a run that an app begins, in partition p, whose app may be silent
// for an hour.
func (s *site) begunAt(p int) *state.Beginning {
	id := ulid.Make()
	id[6] = byte(p)
	e := newEvent("inngest/http.request", `{"path":"/pay"}`)
	run := state.Run{
		ID: id, FunctionID: uuid.MustParse("c93b3aec-66cc-5d8d-8308-60d660db71cd"), Slug: "GET /pay", FunctionVersion: 1,
		Events: []json.RawMessage{e.JSON()}, EventIDs: []ulid.ULID{e.InternalID}, Trigger: e.Name,
		QueuedAt: e.TS, StartedAt: e.TS, Version: 2, Endpoint: &state.Endpoint{AppID: uuid.UUID{7}, SDK: "go", Attempts: 4},
	}
	run.Jobs = []state.Job{{ID: run.PatienceJob(), Kind: state.JobEdge, Due: s.now().Add(time.Hour).UnixMilli(), MaxAttempts: 4}}
	return &state.Beginning{Run: run, Event: state.SentEvent{InternalID: e.InternalID, ID: e.ID, Name: e.Name, Data: e.Data, TS: e.TS}}
}

func (s *site) begins(b *state.Beginning) {
	s.t.Helper()
	require.NoError(s.t, s.node.Begin(s.t.Context(), b))
}

func saved(step string) []state.Save {
	return []state.Save{{Step: step, Memo: json.RawMessage(`{"data":1}`)}}
}

// An app's own run is as durable as any, its event is published once, and
// repeating the request changes nothing.
func TestRunsThatAppsBegin(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	b := s.begunAt(1)
	s.begins(b)
	s.begins(b)
	s.delivered()
	s.passed()
	require.Equal(t, 1, s.rec.count(s.rec.events, "inngest/http.request"))

	later := s.now().Add(2 * time.Hour).UnixMilli()
	s.commit(&state.Transition{RunID: b.Run.ID, Saves: saved("a"), Patience: later})
	s.restart()
	run := s.load(b.Run.ID)
	require.Equal(t, b.Run.Endpoint, run.Endpoint)
	require.Equal(t, "a", run.Steps[0].ID)
	require.Len(t, run.Jobs, 1)
	require.Equal(t, later, run.Jobs[0].Due, "a report postpones the call")
	s.commit(&state.Transition{RunID: b.Run.ID, Patience: later - 1})
	require.Equal(t, later, s.load(b.Run.ID).Jobs[0].Due, "it is never earlier")

	other := *b
	other.Run.FunctionID = uuid.UUID{9}
	require.ErrorIs(t, s.node.Begin(t.Context(), &other), ErrRunExists)

	s.commit(&state.Transition{RunID: b.Run.ID, Finish: &state.Finish{Status: state.Completed, Output: json.RawMessage(`1`)}})
	require.Equal(t, ending{state.Completed, `1`, 1}, s.ended(b.Run.ID))
	s.begins(b)
	_, err := s.node.Load(t.Context(), b.Run.ID)
	require.ErrorIs(t, err, state.ErrRunNotFound, "a late repetition of the request begins it no second time")
	s.in(1, func(o *Owner) { require.Empty(t, o.checkpoints) })
}

// A run whose app is silent is called.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	b := s.begunAt(0)
	s.begins(b)
	s.advance(time.Hour + time.Second)
	lease := s.call()
	require.Equal(t, b.Run.PatienceJob(), lease.Job.ID)
	s.commit(&state.Transition{
		RunID: b.Run.ID, Job: lease.Job.ID, Kind: lease.Job.Kind, Then: state.JobRetry, RetryAt: s.now().Add(time.Hour).UnixMilli(),
	})
	run := s.load(b.Run.ID)
	require.False(t, run.Sync(), "from its first call on it is as any other")
	require.Equal(t, 1, run.Jobs[0].Attempt)
	s.commit(&state.Transition{RunID: b.Run.ID, Patience: s.now().Add(9 * time.Hour).UnixMilli()})
	require.Equal(t, run.Jobs, s.load(b.Run.ID).Jobs, "and the app's reports postpone nothing")
}

// What an app's request cannot wait for lets the run go on by itself.
func TestRunsThatAppsHandOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	b := s.begunAt(1)
	s.begins(b)
	sleep := state.Job{ID: function.SleepJob(b.Run.Key(), "z"), Kind: state.JobSleep, Due: s.now().Add(time.Hour).UnixMilli(), Step: "z"}
	s.commit(&state.Transition{RunID: b.Run.ID, Saves: saved("a"), Detach: true, Jobs: []state.Job{sleep}})
	run := s.load(b.Run.ID)
	require.False(t, run.Sync())
	require.Equal(t, []state.Job{sleep}, run.Jobs)
	s.replaceOwner(1)
	require.Equal(t, run.Endpoint, s.load(b.Run.ID).Endpoint)

	bare := s.begunAt(0)
	s.begins(bare)
	s.commit(&state.Transition{RunID: bare.Run.ID, Detach: true})
	require.Equal(t, bare.Run.ID, s.call().RunID, "with nothing else to do it is called at once")
}

// An event that comes between the app's last report and the wait for it counts.
func TestWaitsOfRunsThatAppsBegin(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	for _, restarted := range []bool{false, true} {
		b := s.begunAt(1)
		s.begins(b)
		if restarted {
			s.restart() // the owner does not know when the last report was
		}
		s.commit(&state.Transition{RunID: b.Run.ID, Saves: saved("a")})
		name := "go/" + b.Run.ID.String()
		s.send(name, `{}`)
		s.passed()
		wait := waitForEvent(queue.Lease{RunID: b.Run.ID}, &b.Run, name, "", s.now().Add(time.Hour))
		wait.Job, wait.Detach = "", true
		s.commit(wait)
		s.eventually(func() bool { _, ok := s.load(b.Run.ID).Memo("w"); return ok })
	}
}

func TestEndpointsWithAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, 4)
	first, second, third := s.begunAt(0), s.begunAt(3), s.begunAt(2)
	first.Claim, second.Claim, third.Claim = "order-1", "order-1", "order-2"
	s.begins(first)
	s.begins(first)
	require.ErrorIs(t, s.node.Begin(t.Context(), second), ErrRunExists, "wherever it would be")
	s.begins(third)
	_, err := s.node.Load(t.Context(), second.Run.ID)
	require.ErrorIs(t, err, state.ErrRunNotFound)
	s.advance(claimEndpoint + time.Minute)
	s.begins(second)
}

// A request that no event can hold is published without its body.
func TestLargeRequestsToEndpoints(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.node.eventLimit = 1000
	b := s.begunAt(0)
	b.Event.Data = json.RawMessage(`{"body":"` + strings.Repeat("x", 2000) + `","path":"/pay"}`)
	s.begins(b)
	s.eventually(func() bool { return s.rec.count(s.rec.events, "inngest/http.request") == 1 })
	require.Contains(t, string(s.rec.bodies("inngest/http.request")[0]), `"data":{"_inngest":{"omitted":["body"]},"body":null,"path":"/pay"}`)
}

func TestMetadataOfRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	b := s.begunAt(1)
	s.begins(b)
	put := &state.MetadataPut{RunID: b.Run.ID, Items: []state.Metadata{{Scope: "run", Kind: "k", Op: "set", Values: json.RawMessage(`{"a":1}`)}}}
	require.NoError(t, s.node.AddMetadata(t.Context(), put))
	require.NoError(t, s.node.AddMetadata(t.Context(), put))
	s.commit(&state.Transition{RunID: b.Run.ID, MetadataSize: 100})
	s.restart()
	require.Equal(t, 116, s.load(b.Run.ID).MetadataSize)
	s.commit(&state.Transition{RunID: b.Run.ID, MetadataSize: state.MaxRunMetadata - 120})
	require.ErrorIs(t, s.node.AddMetadata(t.Context(), put), state.ErrRunMetadataTooLarge)
	require.Zero(t, put.FunctionID, "what was given is not changed")

	put.RunID = ulid.Make()
	require.NoError(t, s.node.AddMetadata(t.Context(), put), "of a run that is not known, or no longer")
}

// The same of a process that does not own the runs.
func TestRunsThatAppsBeginElsewhere(t *testing.T) {
	t.Parallel()
	s, n := elsewhere(t)
	first, second := s.begunAt(0), s.begunAt(1)
	first.Claim, second.Claim = "key", "key"
	require.NoError(t, n.Begin(t.Context(), first))
	require.ErrorIs(t, n.Begin(t.Context(), second), ErrRunExists)
	run := s.load(first.Run.ID)
	require.Equal(t, first.Run.Endpoint, run.Endpoint)
	require.JSONEq(t, string(first.Run.Events[0]), string(run.Events[0]))

	put := &state.MetadataPut{RunID: first.Run.ID, Items: []state.Metadata{{Scope: "run", Kind: "k", Op: "set", Values: json.RawMessage(`{}`)}}}
	require.NoError(t, n.AddMetadata(t.Context(), put))
	s.commit(&state.Transition{RunID: first.Run.ID, MetadataSize: state.MaxRunMetadata})
	require.ErrorIs(t, n.AddMetadata(t.Context(), put), state.ErrRunMetadataTooLarge)
	for _, kind := range []string{askBegin, askClaim, askMetadata} {
		_, err := n.ask(t.Context(), 0, question{Kind: kind})
		require.ErrorContains(t, err, "question without")
	}
}

// A deferred function may be taken back in the answer that asks for it.
func TestDefersTakenBackAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	b := s.begunAt(0)
	s.begins(b)
	s.commit(&state.Transition{
		RunID: b.Run.ID, Defers: []state.Defer{{ID: "d1", Slug: "s", Status: state.DeferAfterRun}, {ID: "d2", Slug: "s", Status: state.DeferAfterRun}},
		AbortDefers: []string{"d1", "unknown"},
	})
	run := s.load(b.Run.ID)
	require.Equal(t, []state.DeferStatus{state.DeferAborted, state.DeferAfterRun}, []state.DeferStatus{run.Defers[0].Status, run.Defers[1].Status})
	s.commit(&state.Transition{RunID: b.Run.ID, Finish: &state.Finish{Status: state.Completed}})
	s.eventually(func() bool { return s.rec.count(s.rec.events, state.EventDeferred) == 1 })
	require.Contains(t, string(s.rec.bodies(state.EventDeferred)[0]), `"parent_app_id":"07000000-0000-0000-0000-000000000000"`)
}
