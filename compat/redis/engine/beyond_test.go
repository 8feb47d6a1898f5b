package engine_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/function"
	"jetstep/state"
)

// TestBeyondTime: a sleep or wait until a year whose milliseconds scripts of the
// original would damage is stored, at the latest time that they would not.
func TestBeyondTime(t *testing.T) {
	t.Parallel()
	s := open(t)
	run, lease := s.called()
	last := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMilli()
	tr := concluded(lease)
	tr.Jobs = []state.Job{{ID: function.SleepJob(run.Key(), "nap"), Kind: state.JobSleep, Due: last, MaxAttempts: 5, Step: "nap"}}
	tr.Waits = []state.NewWait{{
		Wait:    state.Wait{Kind: state.WaitEvent, Step: "w", Name: "never"},
		Timeout: state.Job{ID: function.PauseTimeoutJob(run.Key(), "w"), Kind: state.JobPause, Due: last, MaxAttempts: 5, Step: "w"},
	}}
	require.NoError(t, s.Commit(t.Context(), tr))
	run, err := s.Load(t.Context(), run.ID)
	require.NoError(t, err)
	require.Len(t, run.Jobs, 2)
	require.Len(t, run.Waits, 1)
	what := start(newEvent(t, "suite/start", nil))
	what.At, what.Cancels = last, []engine.Cancel{{Event: "stop", Expires: last}}
	_, _, err = s.Start(t.Context(), what)
	require.NoError(t, err)
	for id, text := range s.client.HGetAll(t.Context(), format.ItemsKey).Val() {
		require.NotContains(t, text, strconv.FormatInt(last, 10), id)
	}
	for _, key := range s.client.Keys(t.Context(), "{estate}:pauses:*").Val() {
		require.NotContains(t, s.client.Get(t.Context(), key).Val(), strconv.FormatInt(last, 10), key)
	}
}
