package inspect_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/inspect"
	"jetstep/compat/redis/redistest"
	"jetstep/tests/harness"
)

// TestCluster: all servers of a cluster are looked at.
func TestCluster(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := harness.StartRedisCluster(ctx, 3)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Servers[0].Address()}})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	redistest.Load(t, client, redistest.Captured(t, fresh))
	w := &world{T: t, client: client}
	kinds, summary := w.inspect(inspect.Config{})
	require.Empty(t, kinds)
	require.EqualValues(t, 1, summary.Runs)
	w.do(client.Del(ctx, format.PointersKey))
	kinds, summary = w.inspect(inspect.Config{Repair: true})
	require.Equal(t, []inspect.Kind{inspect.PointerMissing}, kinds)
	require.Zero(t, summary.Left())
}

// TestBadRecord: a record of what was set aside that cannot be read itself is told,
// and can be discarded.
func TestBadRecord(t *testing.T) {
	t.Parallel()
	w := &world{T: t, client: redistest.Open(t)}
	w.do(w.client.HSet(t.Context(), format.SetAsideKey, "a", "{"))
	w.do(w.client.HSet(t.Context(), format.PausesAsideKey, "b", "{"))
	kinds, _ := w.inspect(inspect.Config{Repair: true})
	require.Equal(t, []inspect.Kind{inspect.SetAside, inspect.SetAside}, kinds)
	_, summary := w.inspect(inspect.Config{Repair: true, Discard: true})
	require.Zero(t, summary.Left())
}

// TestBrokenOff: who is told may end the inspection; so does a Redis that is away.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	w := &world{T: t, client: redistest.Open(t)}
	w.do(w.client.HSet(t.Context(), format.ItemsKey, "a", "{"))
	enough := errors.New("enough")
	_, err := inspect.Run(t.Context(), inspect.Config{Redis: w.client, Report: func(inspect.Finding) error { return enough }})
	require.ErrorIs(t, err, enough)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = inspect.Run(gone, inspect.Config{Redis: w.client})
	require.ErrorIs(t, err, context.Canceled)
}
