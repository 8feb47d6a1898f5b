package partition

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/queue"
	"jetstep/state"
)

// endings counts, from the log itself, how often each run ended.
func endings(t *testing.T, b *bus.Bus) map[ulid.ULID]int {
	t.Helper()
	count := map[ulid.ULID]int{}
	for p := range b.Partitions() {
		log, err := b.OpenLog(p)
		require.NoError(t, err)
		require.NoError(t, log.Replay(t.Context(), func(_ uint64, payload []byte) error {
			return state.Decode(payload, func(r *state.Record) error {
				for _, op := range r.Ops {
					if end, ok := op.(*state.RunFinished); ok {
						count[end.RunID]++
					}
				}
				return nil
			})
		}))
		log.Close()
	}
	return count
}

// work completes runs until the queue closes.
func work(ctx context.Context, n *Node, done *sync.WaitGroup) {
	for range 4 {
		done.Go(func() {
			for {
				lease, err := n.Lease(ctx, queue.LaneCall)
				if err != nil {
					return
				}
				if err := n.Commit(ctx, complete(lease, `true`)); err != nil && !errors.Is(err, state.ErrRunNotFound) {
					n.Release(lease)
				}
			}
		})
	}
}

// Two processes believe that they own the same partition, again and again,
// while runs are started and completed by both: every run ends exactly once.
func TestTwoOwnersNeverBothDecide(t *testing.T) {
	t.Parallel()
	const takeovers, runs = 6, 10
	s := newSiteIn(t, bus.Config{StoreDir: t.TempDir(), Partitions: 2, ListenHost: "127.0.0.1", ListenPort: -1}, nil)
	s.register(on("fn", "begin"))
	other, err := bus.Open(t.Context(), bus.Config{URLs: []string{s.bus.ClientURL()}})
	require.NoError(t, err)
	defer other.Close()
	rival := NewNode(Config{Bus: other, Name: "rival", History: newRecorder(), Logger: slog.New(slog.DiscardHandler)})

	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	work(ctx, s.node, &workers)
	work(ctx, rival, &workers)
	var published atomic.Int64
	publish := func() {
		s.publish(newEvent("begin", `{}`), newEvent("begin", `{}`), newEvent("begin", `{}`), newEvent("begin", `{}`))
		published.Add(4)
	}
	for round := range takeovers {
		p := round % 2
		var feeding sync.WaitGroup
		feeding.Go(func() {
			for range runs {
				publish()
			}
		})
		// No lease keeps the rival away, but the present owner may write at the
		// same time, and win.
		present := s.node.owner(p)
		o, err := openOwner(ctx, rival, p)
		for errors.Is(err, bus.ErrFenced) {
			o, err = openOwner(ctx, rival, p)
		}
		require.NoError(t, err)
		rival.owners[p].Store(o)
		if err := o.start(ctx); err != nil {
			require.ErrorIs(t, err, context.Canceled, "it was fenced so soon that it did not start")
		}
		feeding.Wait()
		// The first owner's next record is refused; it takes the log back.
		require.Eventually(t, func() bool {
			publish()
			return s.node.owner(p) != present
		}, patience, 20*time.Millisecond, "the first owner was not fenced")
		require.Eventually(t, func() bool { return s.node.owner(p) != nil }, patience, time.Millisecond, "the first owner did not come back")
		s.eventually(func() bool {
			return errors.Is(o.do(ctx, func(t *tx) error { t.do(&state.Owned{Node: "rival"}); return nil }), ErrNotOwner)
		}, "the rival was not fenced")
		require.ErrorIs(t, <-o.broken, bus.ErrFenced)
		rival.owners[p].Store(nil)
		stop, stopped := context.WithTimeout(ctx, time.Second)
		require.Error(t, o.stop(stop))
		stopped()
	}
	s.eventually(func() bool { return s.node.Stats().Runs == 0 && len(s.node.Unready()) == 0 }, "runs are left")
	s.delivered()
	s.eventually(func() bool { return s.node.Stats().Runs == 0 }, "runs are left")
	// Messages between the partitions may still be on their way.
	require.Eventually(t, func() bool { return len(endings(t, s.bus)) >= int(published.Load()) }, patience, 100*time.Millisecond,
		"not every run that was started has ended")
	cancel()
	s.node.StopLeasing()
	rival.StopLeasing()
	workers.Wait()

	s.settled()
	count := endings(t, s.bus)
	require.Equal(t, int(published.Load()), len(count), "runs that ended, of those started")
	for id, times := range count {
		require.Equal(t, 1, times, "run %s", id)
	}
}

// An owner whose append was refused loads again, and work goes on.
func TestOwnerLoadsAgainAfterAFailedAppend(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	before := s.node.owner(0)

	// Somebody else writes into the log.
	intruder, err := s.bus.OpenLog(0)
	require.NoError(t, err)
	require.NoError(t, intruder.Replay(t.Context(), func(uint64, []byte) error { return nil }))
	var e state.Encoder
	e.Add(&state.Record{Ops: []state.Op{&state.Owned{Node: "intruder"}}})
	stored := make(chan error, 1)
	s.settled()
	intruder.Append("_", e.Bytes(), func(_ uint64, err error) { stored <- err })
	require.NoError(t, <-stored)
	intruder.Close()

	err = s.node.Commit(t.Context(), complete(lease, `1`))
	require.ErrorIs(t, err, ErrNotOwner)
	require.ErrorIs(t, err, bus.ErrFenced)
	s.node.Release(lease)
	again := s.call()
	require.NotSame(t, before, s.node.owner(0))
	require.Equal(t, lease.Job, again.Job, "nothing of the refused record is left")
	s.commit(complete(again, `2`))
	require.Equal(t, ending{state.Completed, `2`, 1}, s.ended(lease.RunID))
	_, err = s.node.Load(t.Context(), lease.RunID)
	require.ErrorIs(t, err, state.ErrRunNotFound)
}

// While a partition has no owner anywhere, callers are told so.
func TestNoOwner(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	require.Empty(t, s.node.Unready())
	s.node.Close()
	require.Equal(t, []int{0, 1}, s.node.Unready())
	_, err := s.node.Load(t.Context(), lease.RunID)
	require.ErrorIs(t, err, ErrNotOwner)
	require.ErrorIs(t, s.node.Commit(t.Context(), complete(lease, `1`)), ErrNotOwner)
	_, err = s.node.Signal(t.Context(), "s", nil)
	require.ErrorIs(t, err, ErrNotOwner)
	s.node.Release(lease)
}
