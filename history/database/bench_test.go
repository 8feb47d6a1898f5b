package database_test

import (
	"fmt"
	"os"
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

// BenchmarkRead reads the first page of lists, a page deep in one, and the rows
// of one run; p95-ms is the 95th percentile of one read.
func BenchmarkRead(b *testing.B) {
	for _, kind := range []string{sqlite, postgres} {
		s := open(b, options(b, kind))
		runs := benchRuns(b)
		for n := 0; n < runs; n += 2000 {
			require.NoError(b, s.Write(b.Context(), benchBatch(n, min(n+2000, runs))))
		}
		middle := &database.RunCursor{StartedAt: began.Add(time.Duration(runs/2) * time.Second)}
		for name, q := range map[string]database.RunQuery{
			"newest":              {},
			"middle":              {After: middle},
			"failed":              {RunFilter: database.RunFilter{Statuses: []database.RunStatus{database.Failed}}},
			"function":            {RunFilter: database.RunFilter{FunctionIDs: []uuid.UUID{{3}}}},
			"function and failed": {RunFilter: database.RunFilter{FunctionIDs: []uuid.UUID{{3}}, Statuses: []database.RunStatus{database.Failed}}},
			"time":                {RunFilter: database.RunFilter{Until: middle.StartedAt, From: began}},
		} {
			q.Limit = 40
			benchRead(b, kind+"/"+name, func() error {
				page, err := s.Runs(b.Context(), q)
				require.Len(b, page, 40)
				return err
			})
		}
		run := benchBatch(runs/2, runs/2+1).Spans[0].RunID
		benchRead(b, kind+"/trace", func() error {
			rows, err := s.Spans(b.Context(), run)
			require.Len(b, rows, 3)
			return err
		})
		benchRead(b, kind+"/count", func() error {
			_, err := s.CountRuns(b.Context(), database.RunFilter{})
			return err
		})
	}
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
