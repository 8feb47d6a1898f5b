package harness

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPostgresSurvivesAKill(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := StartPostgres(ctx)
	require.NoError(t, err)
	url, err := server.CreateDatabase(ctx, "kept")
	require.NoError(t, err)
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, `CREATE TABLE t AS SELECT 7 AS n`)
	require.NoError(t, err)
	_, err = db.ExecContext(ctx, `CHECKPOINT`)
	require.NoError(t, err)

	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(ctx))
	_, err = Await(ctx, "the table", func(ctx context.Context) (int, error) {
		var n int
		return n, db.QueryRowContext(ctx, `SELECT n FROM t`).Scan(&n)
	})
	require.NoError(t, err)

	require.NoError(t, server.Close())
	require.NoDirExists(t, server.dir)
	_, err = server.CreateDatabase(ctx, "late")
	require.Error(t, err)
	_, err = postgresBinary("no-such-program")
	require.ErrorContains(t, err, "install-test-tools")
	_, err = os.Stat(server.dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}
