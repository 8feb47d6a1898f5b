package partition

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

func cancelledBy(slug, event string, cancels ...function.Cancel) function.Function {
	fn := on(slug, event)
	fn.Cancel = cancels
	return fn
}

func requireCancelled(s *site, id ulid.ULID) {
	s.t.Helper()
	require.Equal(s.t, ending{state.Cancelled, "", 1}, s.ended(id))
	_, err := s.node.Load(s.t.Context(), id)
	require.ErrorIs(s.t, err, state.ErrRunNotFound)
}

func TestCancelOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(cancelledBy("fn", "begin",
		function.Cancel{Event: "stop", If: "event.data.id == async.data.id"},
		function.Cancel{Event: "stop/all"},
	))
	leases := map[int]queue.Lease{}
	for i := range 3 {
		s.send("begin", fmt.Sprintf(`{"id":%d}`, i))
		leases[i] = s.call()
	}
	s.eventually(func() bool { return s.node.Stats().Watches == 6 })
	s.send("stop", `{"id":7}`)
	s.send("stop", `{"id":1}`)
	requireCancelled(s, leases[1].RunID)
	require.ErrorIs(t, s.node.Commit(t.Context(), complete(leases[1], `1`)), state.ErrRunNotFound, "the answer of the running call is void")
	s.eventually(func() bool {
		return s.rec.count(s.rec.events, state.EventCancelled) == 1 && s.rec.count(s.rec.events, state.EventFinished) == 1
	})
	var event struct {
		ID   string
		Data struct {
			RunID string `json:"run_id"`
		}
	}
	require.NoError(t, json.Unmarshal(s.rec.bodies(state.EventCancelled)[0], &event))
	require.Equal(t, leases[1].RunID.String(), event.ID)
	require.Equal(t, leases[1].RunID.String(), event.Data.RunID)
	require.Len(t, s.rec.finished, 1)

	s.commit(complete(leases[0], `1`))
	s.send("stop/all", `{}`)
	requireCancelled(s, leases[2].RunID)
	s.eventually(func() bool { return s.node.Stats().Watches == 0 }, "watches outlive their runs")
}

// The event that starts a run does not cancel it, although it has the name;
// the next one does.
func TestCancelOnItsOwnTrigger(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(cancelledBy("fn", "begin", function.Cancel{Event: "begin"}))
	first := s.begin("begin")
	s.eventually(func() bool { return s.node.Stats().Watches == 1 })
	second := s.begin("begin")
	requireCancelled(s, first.RunID)
	s.load(second.RunID)
}

func TestCancelOnVariants(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cancel  function.Cancel
		watched int
		ends    bool
	}{
		"any":                         {function.Cancel{Event: "stop"}, 1, true},
		"within its time":             {function.Cancel{Event: "stop", Timeout: "1h"}, 1, true},
		"after its time":              {function.Cancel{Event: "stop", Timeout: "1s"}, 1, false},
		"unusable time":               {function.Cancel{Event: "stop", Timeout: "soon"}, 1, true},
		"only the run's event, true":  {function.Cancel{Event: "stop", If: "event.data.k == 1"}, 1, true},
		"only the run's event, false": {function.Cancel{Event: "stop", If: "event.data.k == 2"}, 0, false},
		"unusable expression":         {function.Cancel{Event: "stop", If: "event.data.k =="}, 0, false},
		"failing expression":          {function.Cancel{Event: "stop", If: "async.data.x.y > 1"}, 1, false},
		"another event":               {function.Cancel{Event: "halt"}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(cancelledBy("fn", "begin", c.cancel))
			s.send("begin", `{"k":1}`)
			lease := s.call()
			s.passed()
			s.eventually(func() bool { return s.node.Stats().Watches == c.watched })
			s.advance(time.Minute)
			s.send("stop", `{}`)
			if c.ends {
				requireCancelled(s, lease.RunID)
				return
			}
			s.passed()
			s.commit(complete(lease, `1`))
			require.Equal(t, state.Completed, s.ended(lease.RunID).status)
		})
	}
}

// The event that cancels comes before the run has let anyone know.
func TestCancelInTheSameMoment(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			const runs = 100
			s := newSite(t, partitions)
			s.register(cancelledBy("fn", "begin", function.Cancel{Event: "stop", If: "event.data.id == async.data.id"}))
			for i := range runs {
				data := fmt.Sprintf(`{"id":%d}`, i)
				s.publish(newEvent("begin", data), newEvent("stop", data))
			}
			s.eventually(func() bool {
				s.rec.mu.Lock()
				defer s.rec.mu.Unlock()
				return len(s.rec.finished) == runs
			}, "a cancellation was missed")
			require.Zero(t, s.node.Stats().Runs)
		})
	}
}

func TestCancelByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	s.commit(waitForEvent(lease, s.load(lease.RunID), "go", "", time.Now().Add(time.Hour)))
	s.eventually(func() bool { return s.node.Stats().Watches == 1 })
	require.NoError(t, s.node.Cancel(t.Context(), lease.RunID))
	requireCancelled(s, lease.RunID)
	require.ErrorIs(t, s.node.Cancel(t.Context(), lease.RunID), state.ErrRunNotFound)
	s.eventually(func() bool { return s.node.Stats() == Stats{} }, "%+v", s.node.Stats())
}

// A cancellation that waits in the command stream is carried out by the next
// owner.
func TestCancelByCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	p := s.node.partitionOfRun(lease.RunID)
	require.NoError(t, s.bus.SendCommand(t.Context(), p, "run", "1", []byte{0xff}), "nonsense is set aside")
	c := state.Command{From: state.Outside, Sent: state.Sent{Message: state.Message{Kind: 99}}}
	require.NoError(t, s.bus.SendCommand(t.Context(), p, "run", "2", c.Marshal()), "as is what nobody knows")
	c.Sent.Message = state.Message{Kind: state.MessageCancel, RunID: lease.RunID}
	require.NoError(t, s.bus.SendCommand(t.Context(), p, "run", "3", c.Marshal()))
	requireCancelled(s, lease.RunID)
}

// A command stream that lost its end uses numbers again.
func TestInputsThatLostTheirEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	s.in(0, func(o *Owner) {
		tx := o.begin()
		tx.do(&state.Marks{Events: 1 << 30, Commands: 1 << 30})
		tx.commit(nil)
	})
	s.settled()
	s.restart()
	s.begin("begin")
	lease := s.begin("begin")
	c := state.Command{From: state.Outside, Sent: state.Sent{Message: state.Message{Kind: state.MessageCancel, RunID: lease.RunID}}}
	require.NoError(t, s.bus.SendCommand(t.Context(), 0, "run", "1", c.Marshal()))
	requireCancelled(s, lease.RunID)
	s.settled()
	s.in(0, func(o *Owner) { require.Less(t, o.index.Events(), uint64(1<<30)) })
	s.restart()
	s.begin("begin")
}
