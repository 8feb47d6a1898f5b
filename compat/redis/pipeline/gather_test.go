package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const patience = time.Minute

// wire is the way to Redis: it counts round trips, and holds them up until it is
// opened.
type wire struct {
	trips atomic.Int64
	open  chan struct{}
}

func (w *wire) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *wire) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (w *wire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		if !gathered[commands[0].Name()] {
			return next(ctx, commands) // of a new connection, or a transaction
		}
		w.trips.Add(1)
		<-w.open
		return next(ctx, commands)
	}
}

// gathering is a client whose commands share round trips.
func gathering(t *testing.T) (*redis.Client, *gatherer, *wire) {
	client := redistest.Open(t)
	g, w := &gatherer{client: client}, &wire{open: make(chan struct{})}
	client.AddHook(g)
	client.AddHook(w)
	return client, g, w
}

// crowd holds up all round trips that may be made at once, and waits until so many
// errands wait behind them.
func (g *gatherer) crowd(t *testing.T, errands int) {
	t.Helper()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.flying == inFlight && len(g.waiting) == errands
	}, patience, time.Millisecond)
}

// occupy has as many commands on their way as may be.
func occupy(t *testing.T, client redis.UniversalClient, w *wire, answered *sync.WaitGroup) {
	t.Helper()
	for i := range inFlight {
		answered.Go(func() {
			if err := client.Set(t.Context(), "before", i, 0).Err(); err != nil {
				t.Error(err)
			}
		})
		require.Eventually(t, func() bool { return w.trips.Load() == int64(i+1) }, patience, time.Millisecond)
	}
}

// TestGather: what is asked while others are on their way goes together, and each
// has its own answer, whatever became of the others.
func TestGather(t *testing.T) {
	t.Parallel()
	client, g, w := gathering(t)
	var answered sync.WaitGroup
	occupy(t, client, w, &answered)
	const others = 20
	for i := range others {
		answered.Go(func() {
			key := fmt.Sprint("key", i)
			err := Do(t.Context(), client, func(p redis.Pipeliner) {
				p.HSet(t.Context(), key, "n", i)
				p.Get(t.Context(), key)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	g.crowd(t, others)
	close(w.open)
	answered.Wait()
	require.EqualValues(t, inFlight+1, w.trips.Load())
	for i := range others {
		n, err := client.HGet(t.Context(), fmt.Sprint("key", i), "n").Int()
		require.NoError(t, err)
		require.Equal(t, i, n)
		require.True(t, WrongType(client.Get(t.Context(), fmt.Sprint("key", i)).Err()))
	}
	require.ErrorIs(t, client.Get(t.Context(), "none").Err(), redis.Nil)
}

// TestGatherWithdrawn: who waits no more has not asked.
func TestGatherWithdrawn(t *testing.T) {
	t.Parallel()
	client, g, w := gathering(t)
	var answered sync.WaitGroup
	occupy(t, client, w, &answered)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() { failed <- client.Set(ctx, "withdrawn", 1, 0).Err() }()
	g.crowd(t, 1)
	cancel(why)
	require.ErrorIs(t, <-failed, why)
	close(w.open)
	answered.Wait()
	require.Zero(t, client.Exists(t.Context(), "withdrawn").Val())
}

// TestGatherSplits: one round trip carries only so much.
func TestGatherSplits(t *testing.T) {
	t.Parallel()
	g := &gatherer{flying: 1}
	add := func(commands int) { g.waiting = append(g.waiting, &errand{commands: make([]redis.Cmder, commands)}) }
	add(mostAtOnce + 1)
	add(mostAtOnce - 1)
	add(1)
	add(1)
	require.Len(t, g.take(), 1, "one by itself is not split")
	require.Len(t, g.take(), 2)
	require.Len(t, g.take(), 1)
	require.Equal(t, 1, g.flying)
	require.Nil(t, g.take())
	require.Zero(t, g.flying)
}

// TestNotGathered: transactions and what is about the connection go by themselves.
func TestNotGathered(t *testing.T) {
	t.Parallel()
	client, g, w := gathering(t)
	close(w.open)
	var get *redis.StringCmd
	_, err := client.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Set(t.Context(), "a", "b", 0)
		get = p.Get(t.Context(), "a")
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "b", get.Val())
	require.Equal(t, "PONG", client.Ping(t.Context()).Val())
	require.Equal(t, "b", client.Get(Alone(t.Context()), "a").Val())
	require.Zero(t, w.trips.Load(), "none of them was sent with others")
	require.Zero(t, g.flying)
}
