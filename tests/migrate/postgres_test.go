package migrate_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

const capturedDatabase = "../testdata/fixtures/postgres/"

// TestPostgres: the database of a server of the original is adopted with its apps,
// functions and history, once, and stays one that the original accepts.
func TestPostgres(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	defer cancel()
	uri, err := databases.NewDatabase(ctx)
	require.NoError(t, err)
	db, err := sql.Open("pgx", uri)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	for _, file := range []string{"schema.sql", "data.sql"} {
		text, err := os.ReadFile(capturedDatabase + file)
		require.NoError(t, err)
		_, err = db.ExecContext(ctx, string(text))
		require.NoError(t, err)
	}
	before := contents(t, ctx, db)
	require.NotEmpty(t, before["spans"])

	dir, data := t.TempDir(), t.TempDir()
	adopting := []string{"migrate", "postgres", "--postgres-uri", uri, "--data-dir", data}
	out, code := run(t, ctx, dir, append(adopting, "--dry-run")...)
	require.Zero(t, code, out)
	require.Contains(t, out, "It has 2 apps with 23 functions")
	require.Contains(t, out, "http://localhost:18650/api/inngest")
	require.Contains(t, out, "Nothing was changed.")
	require.Equal(t, before, contents(t, ctx, db), "nothing was")

	out, code = run(t, ctx, dir, adopting...)
	require.Zero(t, code, out)
	require.Contains(t, out, "2 apps with 23 functions are registered, of which 2 apps were taken over now")
	require.Contains(t, out, "27 runs")
	out, code = run(t, ctx, dir, adopting...)
	require.Zero(t, code, out)
	require.Contains(t, out, "of which 0 apps were taken over now", "once")
	after := contents(t, ctx, db)
	for table, rows := range before {
		require.Equal(t, rows, after[table], "%s has what it had, and nothing else", table)
	}

	server, err := harness.StartServer(ctx, harness.ServerConfig{
		Binary: mustPath(t), Mode: harness.ModeStart, Dir: t.TempDir(), SigningKey: signingKey, EventKey: eventKey,
		Args: []string{"--postgres-uri", uri, "--data-dir", data},
	})
	require.NoError(t, err)
	defer func() { _ = server.Kill() }()
	functions, err := server.Client().AppFunctions(ctx, "fixture-app")
	require.NoError(t, err)
	require.Len(t, functions, 19)
	shown, err := server.Client().Run(ctx, runOf(t, ctx, db))
	require.NoError(t, err)
	require.Equal(t, "Completed", shown.Status)
}

func mustPath(t *testing.T) string {
	t.Helper()
	path, err := binary.Path()
	require.NoError(t, err)
	return path
}

// runOf is a run of the captured database.
func runOf(t *testing.T, ctx context.Context, db *sql.DB) string {
	t.Helper()
	var id []byte
	require.NoError(t, db.QueryRowContext(ctx, "SELECT run_id FROM function_finishes WHERE status = 'Completed' ORDER BY run_id LIMIT 1").Scan(&id))
	return ulid.ULID(id).String()
}

// contents are the rows of the tables of the original, as JSON, in an order.
func contents(t *testing.T, ctx context.Context, db *sql.DB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, table := range []string{
		"apps", "functions", "events", "event_batches", "function_runs", "function_finishes", "history", "trace_runs", "traces", "spans",
		"worker_connections", "goose_db_version",
	} {
		var text []byte
		require.NoError(t, db.QueryRowContext(ctx, "SELECT coalesce(json_agg(r ORDER BY r), '[]') FROM (SELECT to_jsonb(x)::text AS r FROM "+table+" x) y").Scan(&text))
		var rows []string
		require.NoError(t, json.Unmarshal(text, &rows))
		all[table] = rows
	}
	return all
}
