package migrations_test

import (
	"database/sql"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/migrations"
	"jetstep/tests/harness"
)

// server is the PostgreSQL of all tests of the package.
var server harness.SharedPostgres

func TestMain(m *testing.M) { os.Exit(server.Run(m)) }

var dialects = []migrations.Dialect{migrations.Postgres, migrations.SQLite}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// openDatabase makes an empty database.
func openDatabase(t *testing.T, d migrations.Dialect) *sql.DB {
	t.Helper()
	driver, source := "sqlite", "file:"+filepath.Join(t.TempDir(), "main.db")
	if d == migrations.Postgres {
		var err error
		driver = "pgx"
		source, err = server.NewDatabase(t.Context())
		require.NoError(t, err)
	}
	return reopen(t, driver, source)
}

func reopen(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

func executeFile(t *testing.T, db *sql.DB, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	execute(t, db, string(text))
}

// list returns the rows of a query of one text column.
func list(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err, query)
	defer func() { _ = rows.Close() }()
	var lines []string
	for rows.Next() {
		var line sql.NullString
		require.NoError(t, rows.Scan(&line))
		lines = append(lines, line.String)
	}
	require.NoError(t, rows.Err())
	return lines
}

func migrate(t *testing.T, db *sql.DB, d migrations.Dialect) {
	t.Helper()
	require.NoError(t, migrations.Migrate(t.Context(), db, d, quiet))
}

// Columns with type, nullability and default; indexes and keys as the database
// prints them. What is ours, and the order of columns, is left out.
const postgresCatalog = `
SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(character_maximum_length::text, '')
  || ' ' || is_nullable || ' ' || coalesce(column_default, '') || ' ' || is_identity || coalesce(identity_generation, '')
FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'jetstep\_%'
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE 'jetstep\_%'
UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'jetstep\_%' AND conrelid <> 0
ORDER BY 1`

const sqliteCatalog = `
SELECT 'column ' || m.name || '.' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || coalesce(c.dflt_value, '') || ' ' || c.pk
FROM sqlite_master AS m, pragma_table_info(m.name) AS c
WHERE m.type = 'table' AND m.name NOT LIKE 'jetstep_%' AND m.name NOT LIKE 'sqlite_%'
UNION ALL SELECT 'index ' || sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND name NOT LIKE 'jetstep_%'
ORDER BY 1`

func catalogOf(t *testing.T, db *sql.DB, d migrations.Dialect) []string {
	t.Helper()
	if d == migrations.SQLite {
		return list(t, db, sqliteCatalog)
	}
	return list(t, db, postgresCatalog)
}
