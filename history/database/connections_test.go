package database_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

func TestConnections(t *testing.T) {
	t.Parallel()
	original, err := openFixture(t).Connections(t.Context(), fixtureFrom, fixtureUntil)
	require.NoError(t, err)
	require.Len(t, original, 1)
	require.Equal(t, "fixture-worker", original[0].AppName)
	require.Equal(t, "8ec82174", original[0].GroupHash[:8])
	require.Equal(t, int64(25276510208), original[0].MemoryBytes)
	require.True(t, original[0].DisconnectedAt.IsZero())
	require.Equal(t, time.UnixMilli(1795648622324).UTC(), original[0].LastHeartbeatAt)

	each(t, func(t *testing.T, s *database.Store) {
		require.NoError(t, s.SaveConnections(t.Context(), original))
		got, err := s.Connections(t.Context(), fixtureFrom, fixtureUntil)
		require.NoError(t, err)
		require.Equal(t, original, got)

		changed := original[0]
		changed.Status, changed.DisconnectedAt, changed.AppID = 3, fixtureUntil, uuid.Nil
		other := changed
		other.AppName = "another"
		require.NoError(t, s.SaveConnections(t.Context(), []database.WorkerConnection{changed, other}))
		got, err = s.Connection(t.Context(), changed.ID)
		require.NoError(t, err)
		require.Equal(t, []database.WorkerConnection{other, changed}, got)
	})
}
