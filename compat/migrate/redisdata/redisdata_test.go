package redisdata_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/migrate"
	"jetstep/compat/migrate/redisdata"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func side(client *redis.Client) *redisdata.Side {
	return redisdata.Open(redisdata.Config{
		Redis: client, Name: client.Options().Addr, Account: function.AccountID, Environment: function.EnvironmentID,
	})
}

// copied copies all and gives what was counted and reported.
func copied(t *testing.T, from, to *redisdata.Side) (*migrate.Summary, []migrate.Report) {
	t.Helper()
	var reports []migrate.Report
	summary, err := migrate.Copy(t.Context(), migrate.Copying{From: from, To: to, Report: func(r migrate.Report) error {
		reports = append(reports, r)
		return nil
	}})
	require.NoError(t, err)
	return summary, reports
}

// same requires that both sides hold the same.
func same(t *testing.T, a, b *redisdata.Side) {
	t.Helper()
	compared, err := migrate.Verify(t.Context(), migrate.Verifying{A: a, B: b, Differ: func(id migrate.ID, missing string, d []migrate.Difference) error {
		t.Errorf("%s %s: missing in %q, differences %+v", id.Kind, id.Key, missing, d)
		return nil
	}})
	require.NoError(t, err)
	require.Zero(t, compared.Differ)
}

// fixtures are the names of all captured databases.
func fixtures(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, dir := range []string{"redis-queue", "redis-state"} {
		files, err := filepath.Glob(filepath.Join("../../../tests/testdata/fixtures", dir, "*.json"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			names = append(names, dir+"/"+strings.TrimSuffix(filepath.Base(file), ".json"))
		}
	}
	return names
}

// TestCaptured: what the original left is the same in a second Redis: every item,
// and every key that does not end by itself.
func TestCaptured(t *testing.T) {
	t.Parallel()
	for _, name := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := redistest.Open(t), redistest.Open(t)
			redistest.Load(t, from, redistest.Captured(t, name))
			summary, reports := copied(t, side(from), side(to))
			require.Empty(t, reports)
			require.Zero(t, summary.Lost())
			same(t, side(from), side(to))
			sameKeys(t, redistest.Dump(t, from), redistest.Dump(t, to))
			if out := os.Getenv("SHOW"); out != "" {
				text, _ := json.Marshal(summary)
				t.Log(string(text))
			}
		})
	}
}

func sameKeys(t *testing.T, from, to map[string]redistest.Key) {
	for name, k := range from {
		have, ok := to[name]
		if !ok {
			t.Logf("missing %s", name)
			continue
		}
		if k.Type != have.Type {
			t.Errorf("type %s", name)
		}
		if k.Text != have.Text {
			t.Logf("%s: %q != %q", name, k.Text, have.Text)
		}
		for m, v := range k.Things {
			if have.Things[m] != v {
				t.Logf("%s[%s]:\n  %s\n  %s", name, m, v, have.Things[m])
			}
		}
	}
	for name := range to {
		if _, ok := from[name]; !ok {
			t.Logf("new %s", name)
		}
	}
}
