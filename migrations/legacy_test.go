package migrations_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/migrations"
)

// beforeGoose takes a migrated database back to legacy version 6 (database §3).
var beforeGoose = map[migrations.Dialect][]string{
	migrations.Postgres: {
		`DROP INDEX idx_events_internal_id, idx_events_internal_id_received_range, idx_events_received_name,
			idx_function_runs_run_id, idx_function_runs_event_id, idx_function_runs_timebound,
			idx_function_finishes_run_id, idx_history_id, idx_history_run_id_created, idx_traces_trace_id`,
		`ALTER TABLE apps ADD COLUMN is_connect boolean NOT NULL DEFAULT false`,
	},
	migrations.SQLite: {
		`DROP INDEX jetstep_function_runs_run_id`, `DROP INDEX jetstep_function_runs_event_id`,
		`ALTER TABLE function_runs DROP COLUMN workspace_id`,
		`ALTER TABLE apps ADD COLUMN is_connect BOOLEAN NOT NULL DEFAULT 0`,
	},
}

// TestLegacy takes databases of the migration tool before goose.
func TestLegacy(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for _, version := range []int{6, 17, 18} {
			t.Run(fmt.Sprintf("%s at %d", d, version), func(t *testing.T) {
				t.Parallel()
				db := openDatabase(t, d)
				migrate(t, db, d)
				want := catalogOf(t, db, d)
				for v := lastVersions[d]; v > 1; v-- {
					execute(t, db, undo[d][v]...)
				}
				execute(t, db, `DROP TABLE goose_db_version`,
					fmt.Sprintf(`INSERT INTO migrations (version, dirty) VALUES (%d, false)`, version))
				switch version {
				case 17:
					execute(t, db, `ALTER TABLE worker_connections DROP COLUMN max_worker_concurrency`)
				case 6:
					toVersionSix(t, d, func(statements ...string) { execute(t, db, statements...) })
				}
				migrate(t, db, d)
				require.Equal(t, want, catalogOf(t, db, d))
				require.Equal(t, versionsUpTo(lastVersions[d]), list(t, db, gooseVersions))
				require.Equal(t, []string{"18"}, list(t, db, `SELECT version FROM migrations`))
				if version == 6 {
					require.Equal(t, []string{"connect", "serve"}, list(t, db, `SELECT method FROM apps ORDER BY 1`))
				}
			})
		}
	}
}

func toVersionSix(t *testing.T, d migrations.Dialect, run func(...string)) {
	t.Helper()
	run(beforeGoose[d]...)
	run(`DROP TABLE spans`, `ALTER TABLE apps DROP COLUMN method`, `ALTER TABLE apps DROP COLUMN app_version`,
		`ALTER TABLE worker_connections DROP COLUMN max_worker_concurrency`,
		`ALTER TABLE worker_connections RENAME COLUMN app_version TO build_id`)
	const app = `INSERT INTO apps (id, name, sdk_language, sdk_version, status, checksum, url, is_connect) VALUES `
	run(app+`('a1', 'served', '', '', '', '', '', false)`, app+`('a2', 'connected', '', '', '', '', '', true)`)
}
