package database_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

// TestTakeUpOfOthersRows takes up rows that another server wrote: a run that is not in the
// index, with its attributes and event ids encoded twice, and the end of one
// that is.
func TestTakeUpOfOthersRows(t *testing.T) {
	t.Parallel()
	const columns = `INSERT INTO spans (span_id, trace_id, parent_span_id, name, start_time, end_time, attributes, links,
		dynamic_span_id, account_id, app_id, function_id, run_id, env_id, event_ids, status) VALUES `
	for _, kind := range []string{postgres, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			o := options(t, kind)
			s := open(t, o)
			require.NoError(t, s.Write(ctx, &database.Records{Spans: []database.Span{runSpan(1, "Running")}}))

			at := "2027-01-01 00:00:00 +0000 UTC"
			driver, source := "sqlite", "file:"+filepath.Join(o.Dir, "main.db")
			if kind == postgres {
				driver, source, at = "pgx", o.URI, "2027-01-01T00:00:00Z"
			}
			db, err := sql.Open(driver, source)
			require.NoError(t, err)
			defer func() { _ = db.Close() }()
			_, err = db.ExecContext(ctx, columns+
				`('a000000000000001', 't1', '0000000000000000', 'EXTEND', '`+at+`', '`+at+`',
					'{}', 'null', 'd', '', '`+app.String()+`', '`+function.String()+`', '`+id(1).String()+`', '', NULL, 'Completed')`)
			require.NoError(t, err)
			_, err = db.ExecContext(ctx, columns+
				`('a000000000000002', 't2', '0000000000000000', 'executor.run', '`+at+`', '`+at+`',
					'"{\"_inngest.cron.schedule\":\"* * * * *\"}"', 'null', 'd', '', '', '', '`+id(2).String()+`', '', '"[\"`+id(7).String()+`\"]"', NULL)`)
			require.NoError(t, err)

			n, err := s.TakeUp(ctx)
			require.NoError(t, err)
			require.Equal(t, 3, n, "one missing; it and another are not ended")
			ended, err := s.Run(ctx, id(1))
			require.NoError(t, err)
			require.Equal(t, database.Completed, ended.Status)
			require.Equal(t, 2027, ended.EndedAt.Year())
			missing, err := s.Run(ctx, id(2))
			require.NoError(t, err)
			require.Equal(t, database.Running, missing.Status)
			require.Equal(t, "* * * * *", missing.Cron)
			require.Equal(t, []ulid.ULID{id(7)}, missing.EventIDs)
		})
	}
}

// TestTakeUp takes up an adopted history once.
func TestTakeUp(t *testing.T) {
	t.Parallel()
	original := openFixture(t)
	n, err := original.TakeUp(t.Context())
	require.NoError(t, err)
	require.Equal(t, 28, n)
	n, err = original.TakeUp(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}
