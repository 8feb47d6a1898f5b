package partition

import (
	"context"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/queue"
)

// newCluster is a site of two partitions, the second of which another process
// serves.
func newCluster(t *testing.T) (*site, *Node) {
	t.Helper()
	s, n := elsewhere(t)
	n.clock = s.now
	n.Start(context.Background())
	t.Cleanup(n.Close)
	s.node.owner(1).fail(errTest) // who fails waits before it tries again
	s.eventually(func() bool { return n.owner(1) != nil }, "the other process does not take over")
	return s, n
}

// leaseOf is a job that another process hands out.
func leaseOf(s *site, n *Node) queue.Lease {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	lease, err := n.Lease(ctx, queue.LaneCall)
	require.NoError(s.t, err, "no job in time")
	return lease
}

// homed is a function whose runs are all in a partition.
func homed(p int, trigger string) function.Function {
	for i := 0; ; i++ {
		fn := on("fn"+ulid.Make().String(), trigger)
		fn.Concurrency = &function.Concurrency{Steps: []function.StepLimit{{Limit: 10, Scope: function.ScopeFunction}}}
		if bus.PartitionOf(function.FunctionID(fn.Slug, fn.Slug).String(), 2) == p {
			return fn
		}
	}
}

// follow registers a function and waits until the other process knows it.
func follow(s *site, n *Node, fn function.Function) {
	s.t.Helper()
	s.register(fn)
	s.eventually(func() bool {
		_, known := n.bus.Registry().Catalog().Function(function.FunctionID(fn.Slug, fn.Slug))
		return known
	})
}

// What a run waits for is known everywhere.
func TestHeldInAnotherProcess(t *testing.T) {
	t.Parallel()
	s, n := newCluster(t)
	name := s.nameIn(0, "go")
	fn := homed(1, name)
	fn.Concurrency.Steps[0].Limit = 1
	follow(s, n, fn)
	s.send(name, `{}`)
	s.send(name, `{}`)
	lease := leaseOf(s, n)
	s.eventually(func() bool { return n.Stats().Held == 1 })
	rec := n.history.(*recorder)
	s.eventually(func() bool { rec.mu.Lock(); defer rec.mu.Unlock(); return len(rec.scheduled) == 2 })
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for id, run := range rec.scheduled {
		limit, held := s.node.Held(t.Context(), id)
		require.Equal(t, id != lease.RunID, held)
		if held {
			require.Equal(t, map[string]string{run.Jobs[0].ID: limit}, s.node.HeldJobs(t.Context(), id))
			require.Contains(t, limit, "concurrency")
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, s.node.HeldJobs(ended, lease.RunID))
}

// A run waits twice for events of one name, which another process matches: what
// ended the first wait does not end the second, nor does the event that started
// the run, though its process has got none of these events itself.
func TestWaitsInAnotherProcessEndWithNewEvents(t *testing.T) {
	t.Parallel()
	s, n := newCluster(t)
	name := s.nameIn(0, "go")
	fn := homed(1, name)
	fn.Triggers[0].Expression = `event.data.k == "start"`
	follow(s, n, fn)
	s.send(name, `{"k":"start"}`)
	lease := leaseOf(s, n)
	for _, step := range []string{"first", "second", "third"} {
		run, err := n.Load(t.Context(), lease.RunID)
		require.NoError(t, err)
		wait := waitForEvent(lease, run, name, "", time.Now().Add(time.Hour))
		wait.Waits[0].Wait.Step, wait.Waits[0].Timeout.Step = step, step
		wait.Waits[0].Timeout.ID = function.PauseTimeoutJob(run.Key(), step)
		require.NoError(t, n.Commit(t.Context(), wait))
		s.eventually(func() bool { return s.node.Stats().Watches == 1 || waitEnded(n, lease.RunID, step) })
		require.False(t, waitEnded(n, lease.RunID, step), "an old event ended the %s wait", step)
		s.send(name, `{"k":"`+step+`"}`)
		lease = leaseOf(s, n)
		run, err = n.Load(t.Context(), lease.RunID)
		require.NoError(t, err)
		memo, ok := run.Memo(step)
		require.True(t, ok)
		require.Contains(t, string(memo), `"k":"`+step+`"`)
	}
}

func waitEnded(n *Node, id ulid.ULID, step string) bool {
	run, err := n.Load(context.Background(), id)
	if err != nil {
		return false
	}
	_, done := run.Memo(step)
	return done
}
