package readmodel_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"jetstep/migrations"
)

const fixture = "../testdata/fixtures/postgres/"

// tables are those of the captured database that have rows, but for goose's.
var tables = []string{
	"apps", "functions", "events", "event_batches", "function_runs", "function_finishes", "history",
	"trace_runs", "traces", "spans", "worker_connections",
}

// capturedPostgres makes a database with the captured rows.
func capturedPostgres(t *testing.T) string {
	t.Helper()
	uri := newPostgres(t)
	db := openDB(t, "pgx", uri)
	for _, file := range []string{"schema.sql", "data.sql"} {
		text, err := os.ReadFile(fixture + file)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), string(text))
		require.NoError(t, err)
	}
	return uri
}

// capturedSQLite makes a database as the original would have it in SQLite: the
// captured rows, in the encodings of database §4. It returns its directory.
func capturedSQLite(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	from := openDB(t, "pgx", capturedPostgres(t))
	to := openDB(t, "sqlite", "file:"+filepath.Join(dir, "main.db"))
	require.NoError(t, migrations.Migrate(t.Context(), to, migrations.SQLite, quiet))
	for _, table := range tables {
		copyTable(t, from, to, table)
	}
	require.NoError(t, to.Close()) // which writes its log into the file
	return dir
}

func openDB(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func copyTable(t *testing.T, from, to *sql.DB, table string) {
	t.Helper()
	rows, err := from.QueryContext(t.Context(), "SELECT * FROM "+table)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.ColumnTypes()
	require.NoError(t, err)
	var names, marks []string
	for _, c := range columns {
		names, marks = append(names, c.Name()), append(marks, "?")
	}
	insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(names, ", "), strings.Join(marks, ", "))
	tx, err := to.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for rows.Next() {
		values := make([]any, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		require.NoError(t, rows.Scan(targets...))
		for i, c := range columns {
			values[i] = sqliteValue(t, table, c, values[i])
		}
		_, err := tx.ExecContext(context.WithoutCancel(t.Context()), insert, values...)
		require.NoError(t, err, table)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, tx.Commit())
}

// monotonic are the columns in which the original leaves what Go prints of its
// monotonic clock.
var monotonic = map[string]bool{"functions.created_at": true, "events.received_at": true, "function_finishes.created_at": true}

// sqliteValue encodes a value of PostgreSQL as SQLite has it.
func sqliteValue(t *testing.T, table string, c *sql.ColumnType, value any) any {
	t.Helper()
	switch v := value.(type) {
	case time.Time:
		text := v.UTC().String()
		if monotonic[table+"."+c.Name()] {
			text += " m=+5.251017825"
		}
		return text
	case string:
		if length, _ := c.Length(); c.DatabaseTypeName() == "BPCHAR" && (length == ulid.EncodedSize || len(v) == ulid.EncodedSize) {
			id, err := ulid.Parse(v)
			require.NoError(t, err)
			return id[:]
		}
	case []byte:
		if c.DatabaseTypeName() == "JSONB" {
			return string(v)
		}
	}
	return value
}
