package partition

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// A question reaches another process as it was asked.
func TestQuestionsRoundTrip(t *testing.T) {
	t.Parallel()
	version := 0
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, q := range map[string]question{
		"load": {Kind: askLoad, RunID: newEvent("e", "").InternalID},
		"no output": {Kind: askCommit, Transition: &state.Transition{
			Job: "j", Kind: state.JobEdge, Generation: 3, Version: &version, Then: state.JobRetry, RetryAt: 7, Mark: 1 << 60,
			Finish: &state.Finish{Status: state.Cancelled},
			Defers: []state.Defer{{ID: "d", Status: state.DeferRejected}},
			Waits:  []state.NewWait{{Invoke: &state.Outgoing{Name: "n", Data: raw(`{}`)}}},
		}},
		"what is told": {Kind: askCommit, Transition: &state.Transition{
			Called: &state.Called{Job: state.Job{ID: "j"}, URL: "u?a=1&b", Headers: raw(`{"A":"<"}`), Ops: []state.CalledOp{
				{Op: "StepRun", Input: raw(`[1]`)}, {Op: "StepError", Error: raw(`{}`), Metadata: raw(`[]`)},
			}},
			Reported: &state.Reported{JobID: "j", Attempt: 1, Ops: []state.CalledOp{{Op: "Step"}}},
			Ended:    &state.StepEnded{Step: "s", Kind: state.WaitEvent, TimedOut: true},
		}},
		"nothing to tell": {Kind: askCommit, Transition: &state.Transition{Called: &state.Called{}}},
		"an output of null": {Kind: askCommit, Transition: &state.Transition{
			Saves:  []state.Save{{Step: "a", Memo: raw(`null`)}, {Step: "b", Memo: raw(`{"html":"<&>"}`)}},
			Finish: &state.Finish{Status: state.Failed, Output: raw(`null`), Error: raw(`{"a":1}`)},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := jcs.Encode(q)
			require.NoError(t, err)
			var got question
			require.NoError(t, json.Unmarshal(b, &got))
			require.Equal(t, q, got)
		})
	}
}

func TestAnswersRoundTrip(t *testing.T) {
	t.Parallel()
	run := &state.Run{
		Version: state.Undecided, Events: []json.RawMessage{json.RawMessage(`{"a":"<"}`)}, Jobs: []state.Job{{ID: "j"}},
		Steps: []state.Step{{ID: "a", Memo: json.RawMessage(`null`)}}, Defers: []state.Defer{{ID: "d"}},
	}
	b, err := jcs.Encode(answer{Run: run})
	require.NoError(t, err)
	var got answer
	require.NoError(t, json.Unmarshal(b, &got))
	require.Equal(t, run, got.Run)
}

// elsewhere is a process that owns nothing, beside a site that owns all.
func elsewhere(t *testing.T) (*site, *Node) {
	t.Helper()
	s := newSiteIn(t, bus.Config{StoreDir: t.TempDir(), Partitions: 2, ListenHost: "127.0.0.1", ListenPort: -1}, nil)
	other, err := bus.Open(t.Context(), bus.Config{URLs: []string{s.bus.ClientURL()}})
	require.NoError(t, err)
	t.Cleanup(other.Close)
	return s, NewNode(Config{Bus: other, Name: "elsewhere", History: newRecorder()})
}

// Runs of another process are read, changed and ended as if they were here.
func TestRunsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	s, n := elsewhere(t)
	s.register(on("fn", "begin"))
	ctx := t.Context()
	require.Equal(t, []int{0, 1}, n.Unready())
	require.Zero(t, n.Stats())

	lease := s.begin("begin")
	here := s.load(lease.RunID)
	there, err := n.Load(ctx, lease.RunID)
	require.NoError(t, err)
	require.Equal(t, here.Events, there.Events)
	require.Equal(t, here.Jobs, there.Jobs)
	_, err = n.Load(ctx, newEvent("e", "").InternalID)
	require.ErrorIs(t, err, state.ErrRunNotFound)

	wait := waitForEvent(lease, here, "sig", "", time.Now().Add(time.Hour))
	wait.Waits[0].Wait.Kind = state.WaitSignal
	require.NoError(t, n.Commit(ctx, wait))
	s.eventually(func() bool {
		id, err := n.Signal(ctx, "sig", json.RawMessage(`{"html":"<&>","a":1.0}`))
		if err != nil {
			require.ErrorIs(t, err, ErrNoSignal)
			return false
		}
		require.Equal(t, lease.RunID, id)
		return true
	})
	require.Equal(t, `{"data":{"data":{"a":1,"html":"<&>"},"signal":"sig"}}`, s.memo(here, "w"))
	_, err = n.Signal(ctx, "", nil)
	require.Error(t, err)
	_, err = n.Signal(ctx, "sig", json.RawMessage(`{`))
	require.Error(t, err)

	next := s.call()
	require.NoError(t, n.Commit(ctx, complete(next, `"<done>"`)))
	require.Equal(t, ending{state.Completed, `"<done>"`, 1}, s.ended(lease.RunID))
	require.ErrorIs(t, n.Commit(ctx, complete(next, `1`)), state.ErrRunNotFound)

	lease = s.begin("begin")
	require.NoError(t, n.Cancel(ctx, lease.RunID))
	requireCancelled(s, lease.RunID)
	require.ErrorIs(t, n.Cancel(ctx, lease.RunID), state.ErrRunNotFound)
}

// Nobody owns the partition: reads fail for now, a cancellation is kept.
func TestRunsOfNobody(t *testing.T) {
	t.Parallel()
	s, n := elsewhere(t)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	s.settled()
	s.node.Close()
	_, err := n.Load(t.Context(), lease.RunID)
	require.ErrorIs(t, err, ErrNotOwner)
	require.ErrorIs(t, n.Commit(t.Context(), complete(lease, `1`)), ErrNotOwner)
	_, err = n.Signal(t.Context(), "sig", nil)
	require.ErrorIs(t, err, ErrNotOwner)
	require.NoError(t, n.Cancel(t.Context(), lease.RunID))

	n.history = newRecorder()
	n.Start(t.Context())
	defer n.Close()
	<-n.Opened()
	require.Eventually(t, func() bool {
		e, ok := n.history.(*recorder).end(lease.RunID)
		return ok && e.status == state.Cancelled
	}, patience, time.Millisecond)
}

func TestQuestionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	for _, request := range []string{``, `{`, `{"kind":"unknown"}`, `{"kind":"commit"}`} {
		var a answer
		require.NoError(t, json.Unmarshal(s.node.owner(0).reply([]byte(request)), &a))
		require.NotEmpty(t, a.Error, "%q", request)
		require.Empty(t, a.Code)
	}
}

// A process that acts upon what another one says knows of the events which that
// one knew: none of those is one to wait for.
func TestProcessesKnowOfTheEventsBehindMessages(t *testing.T) {
	t.Parallel()
	s, n := elsewhere(t)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	n.bus.SawEvent(1000) // which it alone knows of
	_, err := n.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	require.GreaterOrEqual(t, s.bus.LastEvent(), uint64(1000))

	c := state.Command{From: state.Outside, Seen: 2000, Sent: state.Sent{Message: state.Message{Kind: state.MessageCancel, RunID: lease.RunID}}}
	require.NoError(t, s.bus.SendCommand(t.Context(), s.node.partitionOfRun(lease.RunID), "run", "x", c.Marshal()))
	requireCancelled(s, lease.RunID)
	require.GreaterOrEqual(t, s.bus.LastEvent(), uint64(2000))
}

// An event, or a start, that comes a moment before its function is known here waits
// for that.
func TestStartsWaitForTheirFunction(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	fn := function.FunctionID("late", "late")
	start := state.Start{
		RunID: runID(0, s.now(), fn, "x"), FunctionID: fn, Trigger: "begin", EventIDs: []ulid.ULID{ulid.Make()},
		Events: []json.RawMessage{json.RawMessage(`{"name":"begin"}`)},
	}
	c := state.Command{From: state.Outside, Registry: s.bus.Registry().Revision() + 1, Sent: state.Sent{
		Message: state.Message{Kind: state.MessageStart, Start: &start},
	}}
	require.NoError(t, s.bus.SendCommand(t.Context(), 0, "start", "x", c.Marshal()))
	e := newEvent("begin", `{}`)
	body := make(chan *bus.Delivery)
	go func() {
		d := <-body
		d.Registry = c.Registry
		s.node.owner(0).handleEvent(d)
	}()
	body <- &bus.Delivery{Seq: s.bus.LastEvent() + 1, Name: e.Name, InternalID: e.InternalID, Body: e.JSON(), StoredAt: s.now()}
	s.register(on("late", "begin"))
	s.eventually(func() bool { return s.node.Stats().Runs == 2 }, "a start was lost")
}
