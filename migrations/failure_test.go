package migrations_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/migrations"
)

// TestFailures has databases that fail in the middle of something.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for name, c := range map[string]struct {
			change []string
			reason string
		}{
			"legacy": {
				[]string{`DROP TABLE goose_db_version`, `INSERT INTO migrations (version, dirty) VALUES (17, false)`, `DROP TABLE worker_connections`},
				"legacy migration 18",
			},
			"original": {
				[]string{`DELETE FROM goose_db_version WHERE version_id >= 2`, `DROP TABLE functions`, `DROP TABLE spans`},
				"migrating the database",
			},
			"own": {[]string{`DROP TABLE jetstep_migrations`}, "own/" + string(d)},
			"versions": {
				[]string{`ALTER TABLE goose_db_version RENAME COLUMN is_applied TO applied`}, "reading goose_db_version",
			},
			"legacy versions": {[]string{`ALTER TABLE migrations RENAME COLUMN dirty TO unclean`}, "reading migrations"},
		} {
			t.Run(string(d)+"/"+name, func(t *testing.T) {
				t.Parallel()
				db := openDatabase(t, d)
				migrate(t, db, d)
				execute(t, db, c.change...)
				require.ErrorContains(t, migrations.Migrate(t.Context(), db, d, quiet), c.reason)
			})
		}
		t.Run(string(d)+"/closed", func(t *testing.T) {
			t.Parallel()
			db := openDatabase(t, d)
			require.NoError(t, db.Close())
			require.ErrorContains(t, migrations.Migrate(t.Context(), db, d, quiet), "locking the database")
		})
	}
}

var errEnough = errors.New("enough")

// TestWaitingEndsWithItsContext waits for a lock that is never released.
func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	held := map[migrations.Dialect]func(*testing.T) error{
		migrations.Postgres: func(t *testing.T) error {
			db := openDatabase(t, migrations.Postgres)
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			_, err = conn.ExecContext(t.Context(), `SELECT pg_advisory_lock(x'6a657473746570'::bigint)`)
			require.NoError(t, err)
			return migrateFor(t, func(ctx context.Context) error { return migrations.Migrate(ctx, db, migrations.Postgres, quiet) })
		},
		migrations.SQLite: func(t *testing.T) error {
			file := filepath.Join(t.TempDir(), "main.db")
			guard := reopen(t, "sqlite", "file:"+file+".lock")
			guard.SetMaxOpenConns(1)
			execute(t, guard, `BEGIN EXCLUSIVE`)
			db := reopen(t, "sqlite", "file:"+file)
			return migrateFor(t, func(ctx context.Context) error { return migrations.Migrate(ctx, db, migrations.SQLite, quiet) })
		},
	}
	for d, run := range held {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, run(t), "locking the database")
		})
	}
}

// migrateFor gives a migration that cannot end by itself a little time.
func migrateFor(t *testing.T, migrate func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errEnough)
	defer cancel()
	return migrate(ctx)
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	db := reopen(t, "sqlite", "file::memory:")
	db.SetMaxOpenConns(1)
	migrate(t, db, migrations.SQLite)
	migrate(t, db, migrations.SQLite)
	require.Equal(t, versionsUpTo(5), list(t, db, gooseVersions))
}
