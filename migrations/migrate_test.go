package migrations_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/migrations"
)

const fixture = "../tests/testdata/fixtures/postgres/"

var lastVersions = map[migrations.Dialect]int{migrations.Postgres: 10, migrations.SQLite: 5}

const (
	gooseVersions = `SELECT version_id FROM goose_db_version ORDER BY id`
	countFixture  = `SELECT (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ' || table_name, false, true, '')))[1]::text || ' ' || table_name
		FROM information_schema.tables WHERE table_schema = 'public' AND table_name NOT LIKE 'jetstep\_%' ORDER BY table_name`
)

func versionsUpTo(last int) []string {
	var lines []string
	for v := range last + 1 {
		lines = append(lines, fmt.Sprint(v))
	}
	return lines
}

// TestNewDatabase compares with the schema that was read out of a database of
// the original.
func TestNewDatabase(t *testing.T) {
	t.Parallel()
	original, ours := openDatabase(t, migrations.Postgres), openDatabase(t, migrations.Postgres)
	executeFile(t, original, fixture+"schema.sql")
	migrate(t, ours, migrations.Postgres)
	want := catalogOf(t, original, migrations.Postgres)
	require.Greater(t, len(want), 150)
	require.Equal(t, want, catalogOf(t, ours, migrations.Postgres))
	const order = `SELECT table_name || '.' || column_name || ordinal_position FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'jetstep\_%' ORDER BY table_name, ordinal_position`
	require.Equal(t, list(t, original, order), list(t, ours, order))

	require.Equal(t, versionsUpTo(10), list(t, ours, gooseVersions))
	next := list(t, ours, `SELECT nextval(pg_get_serial_sequence('goose_db_version', 'id'))::text`)
	require.Equal(t, []string{"12"}, next, "a later migration of the original takes the next id")
}

func TestNewSQLite(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, migrations.SQLite)
	migrate(t, db, migrations.SQLite)
	catalog := strings.Join(catalogOf(t, db, migrations.SQLite), "\n")
	for _, part := range []string{
		"column function_runs.workspace_id UUID 0", "column functions.id CHAR(36) 1  1", "column spans.is_deferred BOOLEAN",
		"column worker_connections.gateway_id CHAR(26) 1", "column spans.start_time DATETIME 1",
		"INDEX apps_name_unique_key ON apps (name) WHERE name <> ''", "INDEX version_unique", "INDEX idx_spans_account_status_time",
	} {
		require.Contains(t, catalog, part)
	}
	require.Equal(t, versionsUpTo(5), list(t, db, gooseVersions))
}

// TestFixture adopts a database of the original without changing a row of it.
func TestFixture(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, migrations.Postgres)
	executeFile(t, db, fixture+"schema.sql")
	executeFile(t, db, fixture+"data.sql")
	catalog, counts := catalogOf(t, db, migrations.Postgres), list(t, db, countFixture)
	require.Contains(t, counts, "350 spans")
	migrate(t, db, migrations.Postgres)
	migrate(t, db, migrations.Postgres)
	require.Equal(t, catalog, catalogOf(t, db, migrations.Postgres))
	require.Equal(t, counts, list(t, db, countFixture))
	require.Equal(t, versionsUpTo(10), list(t, db, gooseVersions))
}

// undo takes a migrated database back to an earlier version, newest first.
var undo = map[migrations.Dialect]map[int][]string{
	migrations.Postgres: {
		10: {`DROP INDEX idx_trace_runs_acct_ws_queued, idx_trace_runs_acct_ws_started, idx_trace_runs_acct_ws_ended`},
		9: {`DROP INDEX idx_spans_run_dynamic_endtime_status, idx_spans_executor_run_start,
			idx_spans_dynamic_debug_starttime, idx_spans_name_dynamic_span_id`},
		8: {`DROP INDEX idx_spans_run_inner_lookup`},
		7: {`ALTER TABLE spans DROP COLUMN is_deferred`},
		6: {`DROP INDEX apps_name_unique_key`},
		5: {`DROP INDEX functions_app_id_slug_active_key`},
		4: {`ALTER TABLE functions DROP CONSTRAINT functions_pkey`},
		3: {`DROP INDEX idx_spans_active_start_time`},
		2: {`DROP INDEX idx_spans_name_start_time_dynamic_span_id`},
	},
	migrations.SQLite: {
		5: {`ALTER TABLE spans DROP COLUMN is_deferred`},
		4: {`DROP INDEX apps_name_unique_key`},
		3: {`DROP INDEX functions_app_id_slug_active_key`},
		2: {
			`CREATE TABLE f (id CHAR(36) NOT NULL, app_id CHAR(36), name VARCHAR NOT NULL, slug VARCHAR NOT NULL,
				config VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, archived_at TIMESTAMP)`,
			`DROP TABLE functions`, `ALTER TABLE f RENAME TO functions`,
		},
	},
}

// TestOlderVersions takes databases of each version that a release had.
func TestOlderVersions(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for version := 1; version < lastVersions[d]; version++ {
			t.Run(fmt.Sprintf("%s at %d", d, version), func(t *testing.T) {
				t.Parallel()
				db := openDatabase(t, d)
				migrate(t, db, d)
				want := catalogOf(t, db, d)
				for v := lastVersions[d]; v > version; v-- {
					execute(t, db, undo[d][v]...)
				}
				execute(t, db, fmt.Sprintf(`DELETE FROM goose_db_version WHERE version_id > %d`, version))
				require.NotEqual(t, want, catalogOf(t, db, d))
				migrate(t, db, d)
				require.Equal(t, want, catalogOf(t, db, d))
				require.Equal(t, versionsUpTo(lastVersions[d]), list(t, db, gooseVersions))
			})
		}
	}
}

// TestDuplicatesAreResolved has what the unique indexes forbid (database §3).
func TestDuplicatesAreResolved(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			db := openDatabase(t, d)
			migrate(t, db, d)
			for v := lastVersions[d]; v > 1; v-- {
				execute(t, db, undo[d][v]...)
			}
			const function, app = `INSERT INTO functions (id, app_id, name, slug, config, created_at, archived_at) VALUES `,
				`INSERT INTO apps (id, name, sdk_language, sdk_version, status, checksum, url, created_at, archived_at) VALUES `
			execute(t, db, `DELETE FROM goose_db_version WHERE version_id > 1`,
				function+`('f1', 'a2', 'first', 'one', '{}', '2026-01-01 00:00:00', NULL), ('f1', 'a2', 'last', 'one', '{}', '2026-01-01 00:00:00', NULL)`,
				function+`('f2', 'a2', 'new', 'two', '{}', '2026-01-02 00:00:00', NULL), ('f3', 'a2', 'old', 'two', '{}', '2026-01-01 00:00:00', NULL)`,
				app+`('a1', 'x', '', '', '', '', '', '2026-01-03 00:00:00', NULL), ('a2', 'x', '', '', '', '', '', '2026-01-01 00:00:00', NULL)`,
				app+`('a3', 'x', '', '', '', '', '', '2026-01-04 00:00:00', '2026-01-05 00:00:00')`,
				app+`('a4', '', '', '', '', '', '', '2026-01-04 00:00:00', NULL), ('a5', '', '', '', '', '', '', '2026-01-04 00:00:00', NULL)`)
			migrate(t, db, d)
			require.Equal(t, []string{"last true", "new true", "old false"},
				list(t, db, `SELECT name || CASE WHEN archived_at IS NULL THEN ' true' ELSE ' false' END FROM functions ORDER BY 1`))
			id := func(short string) string { return fmt.Sprintf("%-36s", short) }
			if d == migrations.SQLite {
				id = func(short string) string { return short }
			}
			got := list(t, db, `SELECT name || CASE WHEN archived_at IS NULL THEN '' ELSE ' archived' END FROM apps ORDER BY id`)
			trim := func(s string) string { return strings.ReplaceAll(s, " ", "") }
			want := []string{"x (id:" + id("a1") + ") archived", "x", "x (id:" + id("a3") + ") archived", "", ""}
			for i := range want {
				require.Equal(t, trim(want[i]), trim(got[i]))
			}
		})
	}
}

func TestSeveralServersAtOnce(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			db := openDatabase(t, d)
			var group sync.WaitGroup
			errs := make([]error, 4)
			for i := range errs {
				group.Go(func() { errs[i] = migrations.Migrate(t.Context(), db, d, quiet) })
			}
			group.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.Equal(t, versionsUpTo(lastVersions[d]), list(t, db, gooseVersions))
		})
	}
}

func TestInterruptedIndexIsBuiltAgain(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, migrations.Postgres)
	migrate(t, db, migrations.Postgres)
	want := catalogOf(t, db, migrations.Postgres)
	execute(t, db, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_trace_runs_acct_ws_ended'::regclass`,
		`DELETE FROM goose_db_version WHERE version_id = 10`)
	migrate(t, db, migrations.Postgres)
	require.Equal(t, want, catalogOf(t, db, migrations.Postgres))
	require.Empty(t, list(t, db, `SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid`))
}
