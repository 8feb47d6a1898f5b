package database_test

import (
	"database/sql"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/history/database"
	"jetstep/tests/harness"
)

// server is the PostgreSQL of all tests of the package.
var server harness.SharedPostgres

func TestMain(m *testing.M) { os.Exit(server.Run(m)) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

const postgres, sqlite, memory = "postgres", "sqlite", "memory"

// each runs a test against an empty database of every kind.
func each(t *testing.T, test func(*testing.T, *database.Store)) {
	t.Helper()
	for _, kind := range []string{postgres, sqlite, memory} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, options(t, kind)))
		})
	}
}

func options(t testing.TB, kind string) database.Options {
	t.Helper()
	switch kind {
	case postgres:
		url, err := server.NewDatabase(t.Context())
		require.NoError(t, err)
		return database.Options{URI: url, Log: quiet, MaxOpen: 8}
	case sqlite:
		return database.Options{Dir: t.TempDir(), Log: quiet}
	}
	return database.Options{Log: quiet}
}

func open(t testing.TB, o database.Options) *database.Store {
	t.Helper()
	store, err := database.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// openFixture opens the captured database of the original.
func openFixture(t *testing.T) *database.Store {
	t.Helper()
	o := options(t, postgres)
	db, err := sql.Open("pgx", o.URI)
	require.NoError(t, err)
	for _, file := range []string{"schema.sql", "data.sql"} {
		text, err := os.ReadFile("../../tests/testdata/fixtures/postgres/" + file)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), string(text))
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	return open(t, o)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for uri, reason := range map[string]string{
		"mysql://u:secret@h/d":         `unsupported database URL: scheme "mysql"`,
		"postgres://u:secret@h:port/d": "parsing the database URL",
		"postgres://u@127.0.0.1:1/d":   "locking the database",
	} {
		_, err := database.Open(t.Context(), database.Options{URI: uri, Log: quiet})
		require.ErrorContains(t, err, reason)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := database.Open(t.Context(), database.Options{Dir: t.TempDir() + "/missing"})
	require.Error(t, err)
}

func TestReopen(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := options(t, kind)
			first := open(t, o)
			require.NoError(t, first.Ping(t.Context()))
			require.NoError(t, first.Write(t.Context(), &database.Records{Source: "EVENTS", To: 3, Events: []database.Event{anEvent(1)}}))
			require.NoError(t, first.Close())
			second := open(t, o)
			position, err := second.Position(t.Context(), "EVENTS")
			require.NoError(t, err)
			require.EqualValues(t, 3, position)
			got, err := second.Event(t.Context(), anEvent(1).InternalID)
			require.NoError(t, err)
			require.Equal(t, anEvent(1), got)
		})
	}
}
