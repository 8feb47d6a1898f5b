package engine_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/queue"
	"jetstep/state"
)

// TestEndOfTheDead: a process that took the right to end a run, and died before it
// did, keeps nobody else from ending it.
func TestEndOfTheDead(t *testing.T) {
	t.Parallel()
	s := open(t)
	run, lease := s.called()
	key := format.FinalizeKey(account, run.Idempotency)
	long := time.Minute
	require.NoError(t, s.client.Set(t.Context(), key, uuid.NewString(), format.ClaimTTL*time.Second-long).Err())
	s.finish(lease)
	require.Equal(t, state.Completed, s.ended[run.ID].Status)
	require.Greater(t, s.client.TTL(t.Context(), key).Val(), format.ClaimTTL*time.Second-long, "the right is who's took it")
}

// TestEndOfAnother: while another process ends a run, its job is not handed out
// again and again: the call would be made each time.
func TestEndOfAnother(t *testing.T) {
	t.Parallel()
	s := open(t)
	run, lease := s.called()
	key := format.FinalizeKey(account, run.Idempotency)
	require.NoError(t, s.client.Set(t.Context(), key, uuid.NewString(), format.ClaimTTL*time.Second).Err())
	tr := concluded(lease)
	tr.Finish = &state.Finish{Status: state.Completed}
	require.ErrorIs(t, s.Commit(t.Context(), tr), state.ErrRunNotFound)
	s.Release(lease)
	s.nothing(queue.LaneCall)
	_, err := s.Load(t.Context(), run.ID)
	require.NoError(t, err)
}

// TestEndBrokenOff: a run whose state is gone already, because its end broke off
// there, leaves no job behind when the end is stored again.
func TestEndBrokenOff(t *testing.T) {
	t.Parallel()
	s := openOn(t, redistest.Open(t), engine.Limits{})
	run, lease := s.called()
	require.NoError(t, s.client.Del(t.Context(), format.RunKeys(run.ID, run.FunctionID)...).Err())
	tr := concluded(lease)
	tr.Finish = &state.Finish{Status: state.Completed}
	require.ErrorIs(t, s.Commit(t.Context(), tr), state.ErrRunNotFound)
	require.Zero(t, s.client.HLen(t.Context(), format.ItemsKey).Val())
	require.Zero(t, s.client.Exists(t.Context(), format.RunIndexKey(run.ID), format.LeasedKey).Val())
}
