package drain_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/drain"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// holding is an item of a run that holds a place until its end.
func holding(kind string, run ulid.ULID, fn uuid.UUID, key, value string) *format.Item {
	item := &format.Item{ID: ulid.Make().String(), FunctionID: fn, Environment: function.EnvironmentID, At: time.Now().UnixMilli()}
	item.Data.Kind, item.Data.Environment = kind, function.EnvironmentID
	item.Data.Identifier = format.Identifier{
		RunID: run, FunctionID: fn, AccountID: function.AccountID, EnvironmentID: function.EnvironmentID, Key: ulid.Make().String(),
		Semaphores: []format.Semaphore{{ID: function.RunSemaphore(fn, key), Value: value, Weight: 1, Release: format.ReleaseManual}},
	}
	return item
}

// TestChargesTellOfRuns: a run has its place from its start on, unless that was not
// executed, until it has ended.
func TestChargesTellOfRuns(t *testing.T) {
	within(t, 9, func(t *testing.T, d *desk) {
		run := ulid.ULID{15: 1}
		start := holding(format.KindStart, run, fn, "k", "v")
		told := func() []queue.ForeignRun {
			time.Sleep(time.Second)
			latest, _ := d.owners.told()
			return latest.Runs
		}
		require.True(t, d.May(t.Context(), start))
		want := []queue.ForeignRun{{RunID: run, FunctionID: fn, Keys: []state.FlowKey{{Expr: function.RunSemaphore(fn, "k"), Value: "v"}}}}
		require.Equal(t, want, told())
		d.Over(start.ID, false)
		require.Empty(t, told(), "it was given back")
		require.True(t, d.May(t.Context(), start))
		d.Over(start.ID, true)
		require.Equal(t, want, told(), "it goes on")
		require.Equal(t, []ulid.ULID{run}, d.InProgress())

		retry := *start
		retry.ID, retry.Data.Attempt = "retry", 1
		require.True(t, d.May(t.Context(), &retry))
		d.Over(retry.ID, false)
		require.Equal(t, want, told(), "a retry takes no place, and gives none back")
		d.owners.set(func() { d.owners.limited = false })
		require.Empty(t, told(), "the function has no limits any more")
		d.owners.set(func() { d.owners.limited = true })
		require.Equal(t, want, told())
		d.Ended(run)
		d.Ended(run)
		require.Empty(t, told())
		other := queue.ForeignRun{RunID: ulid.ULID{15: 2}, FunctionID: fn}
		d.Begun(&other)
		d.Begun(&other)
		require.Equal(t, []queue.ForeignRun{other}, told())
	})
}

// TestPlaces: the runs in progress are found in the Redis, whoever began them, and
// forgotten when they are gone.
func TestPlaces(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	q := jobs.NewQueue(client)
	keyed, unlimited := uuid.UUID{15: 8}, uuid.UUID{15: 9}
	sleeping, waits, calls, tried, begins, queued, leased := ulid.Make(), ulid.Make(), ulid.Make(), ulid.Make(), ulid.Make(), ulid.Make(), ulid.Make()
	retry := holding(format.KindStart, tried, fn, "", "")
	retry.Data.Attempt = 1
	started := holding(format.KindStart, leased, fn, "", "")
	for _, item := range []*format.Item{
		holding(format.KindSleep, sleeping, fn, "", ""), holding(format.KindPause, waits, keyed, "k", "v"),
		holding(format.KindEdge, calls, fn, "", ""), retry, started, holding(format.KindStart, queued, fn, "", ""),
		holding(format.KindEdge, begins, unlimited, "", ""),
	} {
		_, err := q.Enqueue(t.Context(), time.Now(), item)
		require.NoError(t, err)
	}
	entry, err := q.Get(t.Context(), started.ID)
	require.NoError(t, err)
	_, err = q.Lease(t.Context(), entry, time.Now())
	require.NoError(t, err)
	c := drain.NewCharges(&fakeOwners{limited: true}, "me", nil, slog.New(slog.DiscardHandler))
	p := drain.NewPlaces(client, function.AccountID, c)
	require.NoError(t, p.Load(t.Context()))
	require.Empty(t, c.InProgress(), "no place is taken")

	set(t, client, format.SemaphoreUsageKey(function.AccountID, function.RunSemaphore(fn, ""), ""), "4")
	set(t, client, format.SemaphoreUsageKey(function.AccountID, function.RunSemaphore(unlimited, ""), ""), "0")
	for _, run := range []ulid.ULID{sleeping, waits, calls, tried, leased} {
		live(t, client, run)
	}
	require.NoError(t, p.Load(t.Context()))
	require.ElementsMatch(t, []ulid.ULID{sleeping, calls, tried, leased}, c.InProgress())
	set(t, client, format.SemaphoreUsageKey(function.AccountID, function.RunSemaphore(keyed, "k"), "v"), "1")
	require.NoError(t, p.Load(t.Context()))
	require.ElementsMatch(t, []ulid.ULID{sleeping, waits, calls, tried, leased}, c.InProgress())
	require.NoError(t, client.Del(t.Context(), format.MetadataKey(calls)).Err())
	require.NoError(t, p.Refresh(t.Context()))
	require.ElementsMatch(t, []ulid.ULID{sleeping, waits, tried, leased}, c.InProgress())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, p.Load(gone))
	require.Error(t, p.Refresh(gone))
}
