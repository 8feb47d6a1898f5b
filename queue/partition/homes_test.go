package partition

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

// idNaming is a run id whose entropy names a partition.
func idNaming(p int) ulid.ULID {
	id := ulid.Make()
	id[6] = byte(p)
	return id
}

// place puts a run into a partition, as one taken over whose id names another.
func (s *site) place(run state.Run, home int) {
	s.t.Helper()
	named := s.node.namedBy(run.ID)
	require.NotEqual(s.t, named, home)
	for p, op := range map[int]state.Op{named: &state.RunPlaced{RunID: run.ID, Partition: home}, home: &state.RunPut{Run: run}} {
		done := make(chan error, 1)
		s.in(p, func(o *Owner) {
			t := o.begin()
			t.do(op)
			t.commit(func(err error) { done <- err })
		})
		require.NoError(s.t, <-done)
	}
}

// asleep is a run of a function with a job that is due.
func asleep(id ulid.ULID, slug string, due time.Time) state.Run {
	fn := fnID(slug)
	run := state.Run{
		ID: id, FunctionID: fn, FunctionVersion: 1, Slug: slug, Idempotency: function.IdempotencyKey(fn, id.String()),
		Events: []json.RawMessage{json.RawMessage(`{"data":{"n":1},"id":"e","name":"begin","ts":1,"user":{}}`)}, EventIDs: []ulid.ULID{id},
		Trigger: "begin", QueuedAt: int64(id.Time()), StartedAt: int64(id.Time()), Version: 1,
	}
	run.Size = len(run.Events[0])
	run.Jobs = []state.Job{{ID: function.SleepJob(run.Key(), "s"), Kind: state.JobEdge, Due: due.UnixMilli(), MaxAttempts: 4}}
	return run
}

// A run is found by its id wherever it lives, by owners and by other processes.
func TestRunsElsewhereThanTheirIdsSay(t *testing.T) {
	t.Parallel()
	s, n := elsewhere(t)
	s.register(on("fn", "begin"))
	run := asleep(idNaming(0), "fn", time.Now())
	s.place(run, 1)

	for _, node := range []*Node{s.node, n} {
		got, err := node.Load(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, run.Events, got.Events)
		require.NoError(t, node.AddMetadata(t.Context(), &state.MetadataPut{RunID: run.ID, Items: []state.Metadata{{Kind: "k"}}}))
	}
	require.Positive(t, s.load(run.ID).MetadataSize)
	lease := s.call()
	require.Equal(t, run.ID, lease.RunID)
	_, executing := s.node.Executing(run.ID)
	require.True(t, executing)
	require.NoError(t, n.Commit(t.Context(), waitForEvent(lease, &run, "go", "", time.Now().Add(time.Hour))))
	s.passed()
	s.send("go", `{}`)
	lease = s.call()
	require.Equal(t, run.ID, lease.RunID)
	require.Contains(t, s.memo(&run, "w"), `"name":"go"`)
	s.commit(complete(lease, `1`))
	require.Equal(t, state.Completed, s.ended(run.ID).status)

	s.delivered()
	_, err := s.node.Load(t.Context(), run.ID)
	require.ErrorIs(t, err, state.ErrRunNotFound)
	_, err = n.Load(t.Context(), run.ID)
	require.ErrorIs(t, err, state.ErrRunNotFound)
	require.Zero(t, s.node.homes.count.Load(), "nothing is left of it")
	s.in(0, func(o *Owner) { _, there := o.index.Placed(run.ID); require.False(t, there) })
}

// Who does not know where the run lives tells the partition that its id names,
// which passes it on.
func TestMessagesReachRunsElsewhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message state.Message
		status  state.Status
	}{
		"cancel": {state.Message{Kind: state.MessageCancel}, state.Cancelled},
		"fail":   {state.Message{Kind: state.MessageFail, Name: "Error", Text: "broken"}, state.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 3)
			s.register(on("fn", "begin"))
			run := asleep(idNaming(2), "fn", time.Now().Add(time.Hour))
			s.place(run, 1)
			c.message.RunID = run.ID
			command := state.Command{From: state.Outside, Sent: state.Sent{Message: c.message}}
			require.NoError(t, s.bus.SendCommand(t.Context(), 2, "run", run.ID.String(), command.Marshal()))
			require.Equal(t, c.status, s.ended(run.ID).status)
		})
	}
}

// Where runs live is in the logs, also after what was before was purged.
func TestHomesSurviveARestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	stays, ends := asleep(idNaming(0), "fn", time.Now().Add(time.Hour)), asleep(idNaming(0), "fn", time.Now().Add(time.Hour))
	s.place(stays, 1)
	s.place(ends, 1)
	require.NoError(t, s.node.Cancel(t.Context(), ends.ID))
	s.delivered()
	before := s.images()
	s.restart()
	requireImages(t, before, s.images())
	require.EqualValues(t, 1, s.node.homes.count.Load())
	require.Equal(t, stays.ID, s.load(stays.ID).ID)

	s.replaceOwner(1)
	s.eventually(func() bool { _, err := s.node.Load(t.Context(), stays.ID); return err == nil })
	s.replaceOwner(0)
	s.eventually(func() bool { _, err := s.node.Load(t.Context(), stays.ID); return err == nil })
	require.NoError(t, s.node.Cancel(t.Context(), stays.ID))
	require.Equal(t, state.Cancelled, s.ended(stays.ID).status)
}

// A call's lease ends where it began, also when the run has ended meanwhile.
func TestLeasesOfRunsElsewhereEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	run := asleep(idNaming(0), "fn", time.Now())
	s.place(run, 1)
	lease := s.call()
	require.NoError(t, s.node.Cancel(t.Context(), run.ID))
	require.Equal(t, 1, s.node.Stats().Leased)
	s.node.Release(lease)
	require.Zero(t, s.node.Stats().Leased)
}
