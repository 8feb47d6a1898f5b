package database_test

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

// TestNamesWithZeroBytes looks for events by names that PostgreSQL cannot store
// as they are.
func TestNamesWithZeroBytes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *database.Store) {
		event := database.Event{InternalID: ulid.Make(), ReceivedAt: time.Now(), ID: "a\x00", Name: "zero\x00 \xff", Data: []byte(`{}`), Timestamp: time.Now()}
		records := &database.Records{Events: []database.Event{event}}
		if err := s.Write(t.Context(), records); err != nil {
			require.True(t, database.Refused(err))
			_, err = s.WriteEach(t.Context(), records)
			require.NoError(t, err)
		}
		found, err := s.Events(t.Context(), database.EventFilter{Names: []string{event.Name}})
		require.NoError(t, err)
		require.Len(t, found, 1)
		found, err = s.Events(t.Context(), database.EventFilter{Names: []string{"other\x00"}})
		require.NoError(t, err)
		require.Empty(t, found)
	})
}
