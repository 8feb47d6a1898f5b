package database_test

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

// TestAFullDatabase fills a file of SQLite: a batch that has no room fails with
// that alone, leaves nothing behind, and is written once there is room.
func TestAFullDatabase(t *testing.T) {
	t.Parallel()
	o := options(t, sqlite)
	s := open(t, o)
	batch := &database.Records{Source: "EVENTS", To: 1}
	for i := range 200 {
		event := anEvent(i)
		event.Data = json.RawMessage(`"` + strings.Repeat("x", 8<<10) + `"`)
		batch.Events = append(batch.Events, event)
	}
	s.LimitPages(t, 200)
	err := s.Write(t.Context(), batch)
	require.ErrorContains(t, err, "full")
	require.NotContains(t, err.Error(), "no transaction is active")
	require.False(t, database.Refused(err), "it is no row's fault")

	db, err := sql.Open("sqlite", "file:"+filepath.Join(o.Dir, "main.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	var events int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM events`).Scan(&events))
	require.Zero(t, events)

	s.LimitPages(t, 1<<20)
	require.NoError(t, s.Write(t.Context(), batch))
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM events`).Scan(&events))
	require.Equal(t, 200, events)
}
