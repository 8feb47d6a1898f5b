package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

const patience = 20 * time.Second

func (s *site) lease(lane queue.Lane) queue.Lease {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	lease, err := s.Lease(ctx, lane)
	require.NoError(s.t, err)
	return lease
}

// nothing tells that no job comes for a while.
func (s *site) nothing(lane queue.Lane) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 300*time.Millisecond)
	defer cancel()
	lease, err := s.Lease(ctx, lane)
	require.ErrorIs(s.t, err, context.DeadlineExceeded, "%+v", lease)
}

func (s *site) begin() ulid.ULID {
	s.t.Helper()
	id, _, err := s.Start(s.t.Context(), start(newEvent(s.t, "suite/start", nil)))
	require.NoError(s.t, err)
	return id
}

// called is a run that begins, and the job of its first call.
func (s *site) called() (*state.Run, queue.Lease) {
	s.t.Helper()
	id := s.begin()
	lease := s.lease(queue.LaneCall)
	run, err := s.Load(s.t.Context(), id)
	require.NoError(s.t, err)
	return run, lease
}

func concluded(lease queue.Lease) *state.Transition {
	return &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Mark: lease.Mark,
	}
}

func (s *site) finish(lease queue.Lease) {
	s.t.Helper()
	t := concluded(lease)
	t.Finish = &state.Finish{Status: state.Completed, Output: json.RawMessage(`"done"`)}
	require.NoError(s.t, s.Commit(s.t.Context(), t))
}

// TestStartOnce: one source starts one run, whether it lives or has ended.
func TestStartOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	what := start(newEvent(t, "suite/start", nil))
	var wg sync.WaitGroup
	ids := make(chan ulid.ULID, 8)
	for range 8 {
		wg.Go(func() {
			id, ended, err := s.Start(t.Context(), what)
			if err != nil || ended {
				t.Error(ended, err)
			}
			ids <- id
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		require.Equal(t, first, id)
	}
	s.finish(s.lease(queue.LaneCall))
	again, ended, err := s.Start(t.Context(), what)
	require.NoError(t, err)
	require.True(t, ended)
	require.Equal(t, first, again)
	s.nothing(queue.LaneCall)
}

// TestNothingIsLeft: of an ended run there are its two keys, and what the queue
// remembers for a while (fixture d14).
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.begin()
	lease := s.lease(queue.LaneCall)
	run, err := s.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	version, later := 2, time.Now().Add(time.Hour).UnixMilli()
	tr := concluded(lease)
	tr.Version, tr.StartedAt = &version, time.Now().UnixMilli()
	tr.Saves = []state.Save{{Step: "a", Memo: json.RawMessage(`{"data":[]}`)}}
	tr.Discoveries = []state.Discovery{{Always: true, Job: state.Job{
		ID: function.DiscoveryJob(run.Key(), "a"), Kind: state.JobEdge, Due: time.Now().UnixMilli(), MaxAttempts: 5, Outgoing: "a",
	}}}
	tr.Waits = []state.NewWait{{
		Wait:    state.Wait{Kind: state.WaitEvent, Step: "w", Name: "never"},
		Timeout: state.Job{ID: function.PauseTimeoutJob(run.Key(), "w"), Kind: state.JobPause, Due: later, MaxAttempts: 5, Step: "w"},
	}}
	tr.Defers = []state.Defer{{ID: "d", Slug: "later", Status: state.DeferAfterRun, Input: json.RawMessage(`{"a":1}`)}}
	require.NoError(t, s.Commit(t.Context(), tr))
	for key := range redistest.Dump(t, s.client) {
		_, _, ok := format.Identify(key)
		require.True(t, ok, "the original has no such key: %s", key)
	}
	s.finish(s.lease(queue.LaneCall))
	var names []string
	for _, e := range s.sent {
		names = append(names, e.Name)
	}
	require.Equal(t, []string{"inngest/function.finished", "inngest/deferred.schedule"}, names)
	s.nothing(queue.LaneCall) // who looks finds the partition empty
	require.Eventually(t, func() bool {
		for key, held := range redistest.Dump(t, s.client) {
			role := strings.HasPrefix(key, "{queue}:queue:") && held.Type == "string"
			if held.TTL == 0 && !role {
				return false
			}
		}
		return true
	}, patience, 20*time.Millisecond, "%v", redistest.Keys(redistest.Dump(t, s.client)))
}

// TestConcurrencyLimit: never more than the limit, and the next as soon as one
// has ended.
func TestConcurrencyLimit(t *testing.T) {
	t.Parallel()
	s := openOn(t, redistest.Open(t), engine.Limits{Concurrency: 2})
	for range 4 {
		s.begin()
	}
	first, second := s.lease(queue.LaneCall), s.lease(queue.LaneCall)
	s.nothing(queue.LaneCall)
	began := time.Now()
	s.finish(first)
	third := s.lease(queue.LaneCall)
	require.Less(t, time.Since(began), 4*time.Second, "the next start does not wait for the pointer")
	s.Release(third)
	third = s.lease(queue.LaneCall)
	s.nothing(queue.LaneCall)
	s.finish(second)
	s.finish(third)
	s.finish(s.lease(queue.LaneCall))
}

// TestTwoNodes: two processes on one Redis share the work and the limits.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	nodes := []*site{openOn(t, client, engine.Limits{Concurrency: 3}), openOn(t, client, engine.Limits{Concurrency: 3})}
	const total = 40
	for range total {
		nodes[0].begin()
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*patience)
	defer stop()
	var mu sync.Mutex
	busy, most, done := 0, 0, map[ulid.ULID]int{}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			s := nodes[worker%2]
			for {
				lease, err := s.Lease(ctx, queue.LaneCall)
				if err != nil {
					return
				}
				mu.Lock()
				busy++
				most = max(most, busy)
				done[lease.RunID]++
				busy--
				finished := len(done) == total
				mu.Unlock()
				s.finish(lease)
				if finished {
					stop()
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, done, total)
	for id, times := range done {
		require.Equal(t, 1, times, id)
	}
	require.LessOrEqual(t, most, 3)
}

// TestCancel: an event cancels the runs whose pauses it satisfies, though not the
// run that it began.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := open(t)
	first, second := s.begin(), s.begin()
	store := runs.NewStore(s.client)
	for _, id := range []ulid.ULID{first, second} {
		require.NoError(t, store.SavePause(t.Context(), &format.Pause{
			ID: uuid.New(), EnvironmentID: environment, Cancel: true, Event: "stop", Metadata: json.RawMessage("null"),
			Run:        format.PauseRun{RunID: id, FunctionID: functionID(), AccountID: account},
			Expression: fmt.Sprintf("async.data.run == %q", id), Expires: time.Now().Add(time.Hour).UnixMilli(), CreatedAt: time.Now(),
		}, time.Now(), false))
	}
	run, err := s.Load(t.Context(), second)
	require.NoError(t, err)
	require.Equal(t, []string{"stop"}, run.Cancels)
	require.Empty(t, run.Waits)
	early := newEvent(t, "stop", json.RawMessage(fmt.Sprintf(`{"run":%q}`, second)))
	early.ID = ulid.MustNew(second.Time()-1, ulid.DefaultEntropy())
	require.NoError(t, s.Match(t.Context(), early))
	stop := newEvent(t, "stop", json.RawMessage(fmt.Sprintf(`{"run":%q}`, first)))
	stop.ID = ulid.MustNew(first.Time()+1, ulid.DefaultEntropy())
	require.NoError(t, s.Match(t.Context(), stop))
	_, err = s.Load(t.Context(), first)
	require.ErrorIs(t, err, state.ErrRunNotFound)
	require.Equal(t, state.Cancelled, s.ended[first].Status)
	require.Equal(t, second, s.lease(queue.LaneCall).RunID)
	require.ErrorIs(t, s.Cancel(t.Context(), first, "somebody"), state.ErrRunNotFound)
}

// TestUnfinishedWait: the one who ended a wait died before anything followed. The
// wait's timeout finds that, and the run goes on.
func TestUnfinishedWait(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.begin()
	lease := s.lease(queue.LaneCall)
	run, err := s.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	tr := concluded(lease)
	tr.Waits = []state.NewWait{{
		Wait: state.Wait{Kind: state.WaitEvent, Step: "w", Name: "e"},
		Timeout: state.Job{
			ID: function.PauseTimeoutJob(run.Key(), "w"), Kind: state.JobPause, Due: time.Now().UnixMilli() + 50, MaxAttempts: 5, Step: "w",
		},
	}}
	require.NoError(t, s.Commit(t.Context(), tr))
	_, _, err = runs.NewStore(s.client).SaveStep(t.Context(), runs.Ref{Run: run.ID, Function: run.FunctionID},
		runs.Value{Step: "w", JSON: `{"name":"e"}`}, 0)
	require.NoError(t, err)
	for range 2 {
		lease = s.lease(queue.LaneWake)
		tr = concluded(lease)
		tr.Saves, tr.Unwaits = []state.Save{{Step: "w", Memo: json.RawMessage("null")}}, []string{"w"}
		tr.Discoveries = []state.Discovery{{Always: true, Job: state.Job{
			ID: function.TimeoutJob(run.Key(), "w"), Kind: state.JobEdge, Due: time.Now().UnixMilli(), MaxAttempts: 5, Outgoing: "w",
		}}}
		require.NoError(t, s.Commit(t.Context(), tr))
	}
	next := s.lease(queue.LaneCall)
	require.Equal(t, "w", next.Job.Outgoing)
	run, err = s.Load(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, `{"name":"e"}`, string(run.Steps[0].Memo))
	require.Empty(t, run.Waits)
	require.Equal(t, []state.Job{next.Job}, run.Jobs)
}

// TestCancelsAsCaptured: a start's cancellations are stored as captured (s10),
// and found.
func TestCancelsAsCaptured(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent(t, "suite/start", nil)
	what := start(e)
	what.Cancels = []engine.Cancel{
		{Event: "lab/cancel", Expression: `async.data.orderId == "o-9"`, Expires: time.Now().Add(time.Hour).UnixMilli()},
		{Event: "lab/cancel.all"}, {Event: "lab/never", Expression: "false"},
	}
	id, _, err := s.Start(t.Context(), what)
	require.NoError(t, err)
	run, err := s.Load(t.Context(), id)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"lab/cancel", "lab/cancel.all"}, run.Cancels)
	dump := redistest.Dump(t, s.client)
	all := dump[format.PauseKey(function.CancelPauseID(run.Idempotency, "lab/cancel.all", ""))]
	require.InDelta(t, (365*24*time.Hour + 10*time.Minute).Seconds(), all.TTL.Seconds(), 30)
	p, err := format.Decode[format.Pause](format.Place{}, all.Text)
	require.NoError(t, err)
	require.Equal(t, e.ID.String(), p.Trigger)
	require.Contains(t, all.Text, `"outgoing":"","incoming":"","stepName":"","expires":`)
	require.Contains(t, all.Text, `"event":"lab/cancel.all","cancel":true,"groupID":"","tID":"`+e.ID.String()+`","Metadata":null,"ca":"`)
	one := dump[format.PauseKey(function.CancelPauseID(run.Idempotency, "lab/cancel", `async.data.orderId == "o-9"`))]
	require.InDelta(t, 4200, one.TTL.Seconds(), 30)
	require.NoError(t, s.Match(t.Context(), newEvent(t, "lab/cancel", json.RawMessage(`{"orderId":"o-8"}`))))
	_, err = s.Load(t.Context(), id)
	require.NoError(t, err)
	require.NoError(t, s.Match(t.Context(), newEvent(t, "lab/cancel.all", nil)))
	require.Equal(t, state.Cancelled, s.ended[id].Status)
	for key := range redistest.Dump(t, s.client) {
		require.False(t, strings.HasPrefix(key, "{estate}:"), key)
	}
}
