package engine_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/queue"
	"jetstep/state"
	"jetstep/tests/harness"
)

// TestRenewedLease: a lease that was renewed is its holder's as before: the job
// is concluded, or given back.
func TestRenewedLease(t *testing.T) {
	t.Parallel()
	s := openOn(t, redistest.Open(t), engine.Limits{Concurrency: 1})
	s.begin()
	lease := s.lease(queue.LaneCall)
	require.False(t, lease.Over())
	leases := s.client.ZRangeWithScores(t.Context(), format.CapacityLeasesKey(account), 0, -1).Val()
	s.Renew(t.Context())
	renewed := s.client.ZRangeWithScores(t.Context(), format.CapacityLeasesKey(account), 0, -1).Val()
	require.Len(t, renewed, 1)
	require.NotEqual(t, leases[0].Member, renewed[0].Member)
	require.False(t, lease.Over())
	s.Release(lease)
	require.True(t, lease.Over())
	lease = s.lease(queue.LaneCall)
	s.Renew(t.Context())
	s.finish(lease)
	require.Zero(t, s.client.Exists(t.Context(), format.CapacityLeasesKey(account), format.LeasedKey).Val())
}

// TestLostLease: what a process executed that has died is executed by another,
// and the first one, should it live after all, sees that it is not its job.
func TestLostLease(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	first := openOn(t, client, engine.Limits{})
	id := first.begin()
	lost := first.lease(queue.LaneCall)
	second := openOn(t, client, engine.Limits{})
	second.nothing(queue.LaneCall)
	items, capacity, err := second.ScavengeAt(t.Context(), time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, 1, items)
	require.Equal(t, 1, capacity)
	// It is due when it was put back, which is in a minute.
	entry := client.HGet(t.Context(), format.ItemsKey, lost.Job.ID).Val()
	item, err := format.Decode[format.Item](format.Place{}, entry)
	require.NoError(t, err)
	item.At = time.Now().UnixMilli()
	entry, err = format.Encode(item)
	require.NoError(t, err)
	require.NoError(t, client.HSet(t.Context(), format.ItemsKey, item.ID, entry).Err())
	require.NoError(t, client.ZAdd(t.Context(), format.ReadyKey(item.Partition()), redis.Z{Member: item.ID, Score: float64(item.At)}).Err())
	require.NoError(t, client.ZAdd(t.Context(), format.PointersKey, redis.Z{Member: item.Partition(), Score: float64(item.At / 1000)}).Err())

	again := second.lease(queue.LaneCall)
	require.Equal(t, id, again.RunID)
	require.Equal(t, 1, again.Job.Generation)
	require.Zero(t, again.Job.Attempt)
	require.False(t, lost.Over(), "it cannot know yet")
	first.Renew(t.Context())
	require.True(t, lost.Over())
	first.Release(lost)
	second.nothing(queue.LaneCall)
	tr := concluded(lost)
	tr.Then, tr.RetryAt = state.JobRetry, time.Now().UnixMilli()
	require.NoError(t, first.Commit(t.Context(), tr), "of another generation: void")
	require.False(t, again.Over())
	second.finish(again)
	require.ErrorIs(t, first.Commit(t.Context(), concluded(lost)), state.ErrRunNotFound)
}

// TestRedisRestarts: while Redis is away nothing is handed out and commits fail;
// when it is back everything goes on.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := harness.StartRedis(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	options, err := redis.ParseURL(server.URL(5))
	require.NoError(t, err)
	options.MaxRetries, options.DialerRetries = -1, 1
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	s := openOn(t, client, engine.Limits{})
	first, second := s.begin(), s.begin()
	lease := s.lease(queue.LaneCall)
	require.Equal(t, first, lease.RunID)

	require.NoError(t, server.Kill())
	tr := concluded(lease)
	tr.Finish = &state.Finish{Status: state.Completed, Output: json.RawMessage("1")}
	soon, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	require.Error(t, s.Commit(soon, tr))
	_, err = s.Load(ctx, first)
	require.Error(t, err)
	require.NotErrorIs(t, err, state.ErrRunNotFound)
	s.nothing(queue.LaneCall)
	require.NoError(t, server.Restart(ctx))

	next := s.lease(queue.LaneCall)
	require.Equal(t, second, next.RunID)
	require.NoError(t, s.Commit(ctx, tr))
	s.finish(next)
	require.Len(t, s.ended, 2)
}

// TestBadJob: a job whose payload cannot be read is set aside, once, and keeps no
// other from it, nor its run from being loaded.
func TestBadJob(t *testing.T) {
	t.Parallel()
	s := open(t)
	bad := s.begin()
	run, err := s.Load(t.Context(), bad)
	require.NoError(t, err)
	id := run.Jobs[0].ID
	item, err := format.Decode[format.Item](format.Place{}, s.client.HGet(t.Context(), format.ItemsKey, id).Val())
	require.NoError(t, err)
	item.Data.Payload = json.RawMessage(`{"edge":7}`)
	text, err := format.Encode(item)
	require.NoError(t, err)
	require.NoError(t, s.client.HSet(t.Context(), format.ItemsKey, id, text).Err())
	good := s.begin()
	lease := s.lease(queue.LaneCall)
	require.Equal(t, good, lease.RunID)
	require.Contains(t, s.client.HGet(t.Context(), format.SetAsideKey, id).Val(), "data.payload.edge")
	run, err = s.Load(t.Context(), bad)
	require.NoError(t, err)
	require.Empty(t, run.Jobs)
	s.nothing(queue.LaneCall)

	// One that is no JSON any more, of a run that is loaded before it is due.
	require.NoError(t, s.client.HSet(t.Context(), format.ItemsKey, lease.Job.ID, "{").Err())
	run, err = s.Load(t.Context(), good)
	require.NoError(t, err)
	require.Empty(t, run.Jobs)
}
