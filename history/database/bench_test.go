package database_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

// benchRuns is how many runs the lists are read from: JETSTEP_BENCH_RUNS, or
// fewer than the million that the targets are for, so that it takes seconds.
func benchRuns(b *testing.B) int {
	b.Helper()
	text := os.Getenv("JETSTEP_BENCH_RUNS")
	if text == "" {
		return 20_000
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err)
	return n
}

// benchBatch is the rows of runs from … to: three rows of the run itself each.
// 1 of 100 failed; there are 50 functions.
func benchBatch(from, to int) *database.Records {
	r := &database.Records{}
	for n := from; n < to; n++ {
		status := "Completed"
		if n%100 == 0 {
			status = "Failed"
		}
		for i, s := range []database.Span{runSpan(n, "Queued"), extension(n, 1, "Running", time.Second), extension(n, 2, status, 2*time.Second)} {
			s.FunctionID, s.SpanID = uuid.UUID{byte(n / 7 % 50)}, fmt.Sprintf("%015x%d", n, i)
			s.RunID[12], s.RunID[13], s.RunID[14] = byte(n>>24), byte(n>>16), byte(n>>8)
			r.Spans = append(r.Spans, s)
		}
	}
	return r
}

// BenchmarkWrite writes batches of 1,000 rows of spans.
func BenchmarkWrite(b *testing.B) {
	for _, kind := range []string{sqlite, postgres} {
		b.Run(kind, func(b *testing.B) {
			s := open(b, options(b, kind))
			n, rows := 0, 0
			for b.Loop() {
				batch := benchBatch(n, n+333)
				batch.Source, batch.From, batch.To = "LOG_0", uint64(n), uint64(n+333)
				require.NoError(b, s.Write(b.Context(), batch))
				n, rows = n+333, rows+len(batch.Spans)
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkRead reads the first page of lists, a page in the middle, and the rows
// of one run; p95-ms is the 95th percentile of one read.
func BenchmarkRead(b *testing.B) {
	for _, kind := range []string{sqlite, postgres} {
		b.Run(kind, func(b *testing.B) { benchReads(b, kind) })
	}
}

func benchReads(b *testing.B, kind string) {
	o, runs := options(b, kind), benchRuns(b)
	s := open(b, o)
	require.NoError(b, s.Write(b.Context(), benchBatch(0, 2000)))
	fillRuns(b, o, runs)
	middle := &database.RunCursor{At: began.Add(time.Duration(runs/2) * time.Second)}
	for name, q := range map[string]database.RunQuery{
		"newest":              {},
		"middle":              {After: middle},
		"failed":              {RunFilter: database.RunFilter{Statuses: []database.RunStatus{database.Failed}}},
		"function":            {RunFilter: database.RunFilter{FunctionIDs: []uuid.UUID{{7}}}},
		"function and failed": {RunFilter: database.RunFilter{FunctionIDs: []uuid.UUID{{7}}, Statuses: []database.RunStatus{database.Failed}}},
		"time":                {RunFilter: database.RunFilter{Until: middle.At, From: began}},
	} {
		q.Limit = 40
		if q.Until.IsZero() { // the APIs always ask for a span of time
			q.From, q.Until = began.Add(-time.Hour), began.Add(2*time.Duration(runs)*time.Second)
		}
		benchRead(b, name, func() error {
			page, err := s.Runs(b.Context(), q)
			require.NotEmpty(b, page)
			return err
		})
	}
	run := benchBatch(1000, 1001).Spans[0].RunID
	benchRead(b, "trace", func() error {
		rows, err := s.Spans(b.Context(), run)
		require.Len(b, rows, 3)
		return err
	})
	benchRead(b, "count", func() error {
		_, err := s.CountRuns(b.Context(), database.RunFilter{})
		return err
	})
}

// fillRuns copies the runs that were written until the index has n. Lists read
// nothing else but the events of the runs that they return.
func fillRuns(b *testing.B, o database.Options, n int) {
	b.Helper()
	driver, source, cast, then := "sqlite", "file:"+filepath.Join(o.Dir, "main.db"), "TEXT", `PRAGMA user_version`
	if o.URI != "" {
		driver, source, cast, then = "pgx", o.URI, "text", `ANALYZE` // as it does by itself
	}
	db, err := sql.Open(driver, source)
	require.NoError(b, err)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(b.Context(), fmt.Sprintf(`
		WITH RECURSIVE copies AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM copies WHERE n < %d)
		INSERT INTO jetstep_runs SELECT substr(run_id, 1, 16) || substr(CAST(1000000 + n AS %s), 2) || substr(run_id, 23),
			app_id, function_id, trace_id, started_at + CAST(n AS bigint) * 2000000000, ended_at + CAST(n AS bigint) * 2000000000, last_span_id, status,
			is_deferred, is_debug, cron, batch_id
		FROM jetstep_runs, copies WHERE true ON CONFLICT DO NOTHING`, n/2000-1, cast))
	require.NoError(b, err)
	_, err = db.ExecContext(b.Context(), then)
	require.NoError(b, err)
	var stored int
	require.NoError(b, db.QueryRowContext(b.Context(), `SELECT count(*) FROM jetstep_runs`).Scan(&stored))
	b.Logf("%d runs", stored)
}

func benchRead(b *testing.B, name string, read func() error) {
	b.Run(name, func(b *testing.B) {
		var times []time.Duration
		for b.Loop() {
			began := time.Now()
			require.NoError(b, read())
			times = append(times, time.Since(began))
		}
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)*95/100].Microseconds())/1000, "p95-ms")
	})
}
