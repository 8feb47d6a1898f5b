package migrations_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/migrations"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	const (
		forget = `DROP TABLE goose_db_version`
		newer  = `INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, %s)`
		legacy = `INSERT INTO migrations (version, dirty) VALUES (%d, %s)`
	)
	truth := map[migrations.Dialect][2]string{migrations.Postgres: {"false", "true"}, migrations.SQLite: {"0", "1"}}
	for _, d := range dialects {
		last, no, yes := lastVersions[d], truth[d][0], truth[d][1]
		for name, c := range map[string]struct {
			change []string
			reason string // empty: accepted
		}{
			"no version":         {[]string{forget}, "no record of their version"},
			"newer":              {[]string{fmt.Sprintf(newer, yes)}, ""},
			"newer, rolled back": {[]string{fmt.Sprintf(newer, yes), fmt.Sprintf(newer, no)}, ""},
			"newer, one missing": {
				[]string{fmt.Sprintf(newer, yes), fmt.Sprintf(`DELETE FROM goose_db_version WHERE version_id = %d`, last)},
				fmt.Sprintf("version %d is missing", last),
			},
			"one missing": {[]string{`DELETE FROM goose_db_version WHERE version_id = 3`}, "version 3 is missing"},
			"newer, no column": {
				[]string{fmt.Sprintf(newer, yes), `ALTER TABLE events DROP COLUMN source_id`}, "events has no column source_id",
			},
			"newer, no table": {[]string{fmt.Sprintf(newer, yes), `DROP TABLE traces`}, "no table traces"},
			"column missing":  {[]string{`ALTER TABLE history DROP COLUMN step_type`}, "history has no column step_type"},
			"legacy, dirty":   {[]string{forget, fmt.Sprintf(legacy, 18, yes)}, "interrupted"},
			"legacy, unknown": {[]string{forget, fmt.Sprintf(legacy, 19, no)}, "not known"},
			"legacy, too old": {[]string{forget, fmt.Sprintf(legacy, 5, no)}, "too old"},
		} {
			t.Run(string(d)+"/"+name, func(t *testing.T) {
				t.Parallel()
				db := openDatabase(t, d)
				migrate(t, db, d)
				execute(t, db, c.change...)
				before := catalogOf(t, db, d)
				err := migrations.Migrate(t.Context(), db, d, quiet)
				if c.reason == "" {
					require.NoError(t, err)
				} else {
					var refused *migrations.RefusedError
					require.ErrorAs(t, err, &refused)
					require.Regexp(t, regexp.MustCompile(c.reason), refused.Reason)
				}
				require.Equal(t, before, catalogOf(t, db, d))
			})
		}
	}
}
