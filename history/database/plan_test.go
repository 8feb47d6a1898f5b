package database

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/migrations"
)

// TestListsReadOnlyTheirPage looks at how SQLite answers lists: each part from an
// index that has its order, entered at the tightest bound of the time.
func TestListsReadOnlyTheirPage(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	at := time.UnixMicro(1_700_000_000_000_000)
	span := RunFilter{From: at.Add(-time.Hour), Until: at.Add(time.Hour)}
	function, failed := []uuid.UUID{{7}}, []RunStatus{Failed}
	const started, status, of = "jetstep_runs_started (", "jetstep_runs_status (status=? AND ", "jetstep_runs_function (function_id=? AND status=? AND "
	for name, c := range map[string]struct {
		filter RunFilter
		enters string
		parts  int
	}{
		"all":                 {span, started, 1},
		"status":              {RunFilter{From: span.From, Until: span.Until, Statuses: failed}, status, 1},
		"function":            {RunFilter{From: span.From, Until: span.Until, FunctionIDs: function}, of, 5},
		"function and status": {RunFilter{From: span.From, Until: span.Until, FunctionIDs: function, Statuses: failed}, of, 1},
		"very many functions": {RunFilter{From: span.From, Until: span.Until, FunctionIDs: slices.Repeat(function, maxBranches)}, started, 1},
	} {
		for _, oldestFirst := range []bool{false, true} {
			for _, after := range []*RunCursor{nil, {At: at, ID: ulid.Make()}} {
				q := RunQuery{RunFilter: c.filter, OldestFirst: oldestFirst, After: after, Limit: 40}
				text, args := q.statement(migrations.SQLite)
				bounds := strings.Count(text, "started_at >= ?") + strings.Count(text, "started_at <= ?")
				require.Equal(t, 2*c.parts, bounds, "%s: bounds of the time", name)
				if after != nil {
					require.Contains(t, args, at.UnixMicro(), name)
				}
				plan, err := collect(t.Context(), s, "plan", "EXPLAIN QUERY PLAN "+text, args, func(row scanner, detail *string) error {
					var skipped int
					return row.Scan(&skipped, &skipped, &skipped, detail)
				})
				require.NoError(t, err)
				searches := slices.DeleteFunc(plan, func(step string) bool { return !strings.Contains(step, "jetstep_runs") })
				want := "SEARCH jetstep_runs USING INDEX " + c.enters + "started_at>? AND started_at<?)"
				require.Equal(t, slices.Repeat([]string{want}, c.parts), searches, name)
			}
		}
	}
}

// TestListsByEndReadOnlyTheirPage is the same for lists that are sorted and
// selected by the end.
func TestListsByEndReadOnlyTheirPage(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	at := time.UnixMicro(1_700_000_000_000_000)
	for _, oldestFirst := range []bool{false, true} {
		q := RunQuery{
			RunFilter:   RunFilter{From: at.Add(-time.Hour), Until: at.Add(time.Hour), ByEnd: true, Statuses: []RunStatus{Failed}},
			OldestFirst: oldestFirst, SortByEnd: true, After: &RunCursor{At: at, ID: ulid.Make()}, Limit: 40,
		}
		text, args := q.statement(migrations.SQLite)
		plan, err := collect(t.Context(), s, "plan", "EXPLAIN QUERY PLAN "+text, args, func(row scanner, detail *string) error {
			var skipped int
			return row.Scan(&skipped, &skipped, &skipped, detail)
		})
		require.NoError(t, err)
		require.Contains(t, plan, "SEARCH jetstep_runs USING INDEX jetstep_runs_ended (ended_at>? AND ended_at<?)")
	}
}
