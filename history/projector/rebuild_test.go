package projector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/database"
	"jetstep/state"
)

// TestRebuild has a log without its beginning: one run is gone from it, one is
// carried, the others are whole.
func TestRebuild(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o database.Options) {
		ctx := t.Context()
		s := newSite(t, o, 1)
		s.runs(0, 0, 1, 1)
		long := recordsOfRun(1, 2)
		s.append(0, long[:2]...)
		cut := s.last[0]
		_, stop := s.project(nil)
		s.awaitAll()
		run := long[0].Ops[0].(*state.RunPut).Run
		s.append(0, &state.Record{At: benchBegan + 10, Ops: []state.Op{&state.Carried{}, &state.RunPut{Run: run}}})
		s.append(0, long[2:]...)
		s.runs(0, 2, 6, 1)
		s.awaitAll()
		stop()
		require.NoError(t, s.logs[0].Purge(ctx, cut))

		look := func() map[int]int {
			entries := map[int]int{}
			for n := range 6 {
				found, err := s.store.History(ctx, aRun(n))
				require.NoError(t, err)
				entries[n] = len(found)
				finish, err := s.store.FunctionRun(ctx, aRun(n))
				require.NoError(t, err)
				require.NotNil(t, finish.Finish, "run %d", n)
			}
			return entries
		}
		before := look()
		require.Equal(t, map[int]int{0: 7, 1: 9, 2: 7, 3: 7, 4: 7, 5: 7}, before)

		plan, err := PlanRebuild(ctx, s.bus, s.store, false)
		require.NoError(t, err)
		require.Equal(t, 6, plan.Stored)
		require.Len(t, plan.Whole, 4)
		require.False(t, plan.Drops())
		require.NoError(t, plan.Do(ctx))
		_, err = s.store.Run(ctx, aRun(3))
		require.ErrorIs(t, err, database.ErrNotFound)
		_, err = s.store.Run(ctx, aRun(0))
		require.NoError(t, err)
		lags, err := Streams(ctx, s.bus, s.store)
		require.NoError(t, err)
		require.Equal(t, StreamLag{Source: LogSource(0), Last: s.last[0], Again: s.last[0]}, lags[0])

		_, stop = s.project(nil)
		s.awaitAll()
		stop()
		require.Equal(t, before, look())
		events, err := s.store.CountEvents(ctx, database.EventFilter{})
		require.NoError(t, err)
		require.Equal(t, 5, events)

		plan, err = PlanRebuild(ctx, s.bus, s.store, true)
		require.NoError(t, err)
		require.True(t, plan.Drops())
		require.NoError(t, plan.Do(ctx))
		_, stop = s.project(nil)
		s.awaitAll()
		stop()
		_, err = s.store.Run(ctx, aRun(0))
		require.ErrorIs(t, err, database.ErrNotFound)
		_, err = s.store.Run(ctx, aRun(5))
		require.NoError(t, err)
	})
}

// TestAServerHoldsTheDatabase seizes it while a projector runs, and after.
func TestAServerHoldsTheDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, options(t, postgres), 1)
	_, stop := s.project(nil)
	require.Eventually(t, func() bool {
		release, err := s.store.Seize(t.Context())
		if err == nil {
			release()
		}
		return err != nil
	}, patience, 10*time.Millisecond)
	_, err := s.store.Seize(t.Context())
	require.ErrorIs(t, err, database.ErrInUse)
	stop()
	var release func()
	require.Eventually(t, func() bool { // a hold that was cut off while it began ends with its connection
		release, err = s.store.Seize(t.Context())
		return err == nil
	}, patience, 10*time.Millisecond)
	_, again := s.project(nil)
	s.runs(0, 0, 1, 0)
	s.awaitAll() // a rebuild that is going on stops nobody
	again()
	release()
}

// TestPlacesOfSeveralNATS has a database into which this NATS and another one
// are projected, each under its own name.
func TestPlacesOfSeveralNATS(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSite(t, options(t, postgres), 2)
	own := instanceMark + s.bus.Installation()
	require.NoError(t, s.store.SetPosition(ctx, "TOLD"+own, 0))
	require.NoError(t, s.store.SetPosition(ctx, "TOLD"+instanceMark+"other", 7))
	require.NoError(t, s.store.SetPosition(ctx, againOf("TOLD"+instanceMark+"other"), 9))

	lags, err := Streams(ctx, s.bus, s.store)
	require.NoError(t, err)
	var names []string
	for _, lag := range lags {
		names = append(names, lag.Source)
	}
	other := "TOLD" + instanceMark + "other"
	require.Equal(t, []string{"LOG_0" + own, "LOG_1" + own, "EVENTS" + own, "TRACES" + own, "TOLD" + own, other}, names)
	require.True(t, lags[5].Elsewhere)
	require.NotZero(t, lags[5].WrittenAt)
	require.Equal(t, []uint64{7, 9}, []uint64{lags[5].Position, lags[5].Again})

	plan, err := PlanRebuild(ctx, s.bus, s.store, false)
	require.NoError(t, err)
	require.Equal(t, []string{"other"}, plan.Others)
	require.NoError(t, plan.Do(ctx))
	left, err := s.store.Position(ctx, other)
	require.NoError(t, err)
	require.Equal(t, uint64(7), left, "it can only be read by its own servers")

	// A server that was alone with the database before, too.
	require.NoError(t, s.store.SetPosition(ctx, "EVENTS", 0))
	lags, err = Streams(ctx, s.bus, s.store)
	require.NoError(t, err)
	require.Len(t, lags, 11)
	require.Equal(t, "LOG_0", lags[0].Source)
}
