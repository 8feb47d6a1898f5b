package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/compat/migrate"
)

func TestMigrateIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no source":    {[]string{"migrate", "redis-to-redis"}, "--redis-uri says which Redis it is"},
		"no such form": {[]string{"migrate", "redis-to-redis", "--redis-uri", "http://x"}, "begins with none of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := runCommand(t, nil, c.args...)
			require.Equal(t, 1, result.code)
			require.Contains(t, result.stderr, c.want)
		})
	}
}

// TestMigratePostgres adopts an empty database: a dry run changes nothing.
func TestMigratePostgres(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dry := runCommand(t, nil, "migrate", "postgres", "--data-dir", dir, "--sqlite-dir", dir, "--dry-run")
	require.Zero(t, dry.code, dry.stderr)
	require.Contains(t, dry.stdout, "the schema is made")
	require.Contains(t, dry.stdout, "Nothing was changed")
	done := runCommand(t, nil, "migrate", "postgres", "--data-dir", dir, "--sqlite-dir", dir)
	require.Zero(t, done.code, done.stderr)
	require.Contains(t, done.stdout, "0 apps with 0 functions")
	dry = runCommand(t, nil, "migrate", "postgres", "--data-dir", dir, "--sqlite-dir", dir, "--dry-run")
	require.Zero(t, dry.code, dry.stderr)
	require.Contains(t, dry.stdout, "up to date")
	require.Contains(t, dry.stdout, "It has 0 apps")
}

func TestProgressText(t *testing.T) {
	t.Parallel()
	require.Equal(t, " 25 %, 40 items, 10 keys/s, 15s left", progressText(50, 0, 200, 40, 5*time.Second))
	require.Equal(t, " 25 %, 40 items, 2 keys/s, 1m15s left", progressText(50, 40, 200, 40, 5*time.Second), "what was read before is no speed")
	require.Equal(t, "100 %, 9 items, 50 keys/s", progressText(250, 0, 200, 9, 5*time.Second), "more came")
	require.Equal(t, "  0 %, 0 items, 0 keys/s", progressText(0, 0, 0, 0, 0))
	require.Equal(t, "[###############...............]", bar(1, 2))
	require.Equal(t, "["+strings.Repeat("#", barWidth)+"]", bar(3, 2))
}

func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := progress{out: &out, terminal: true, total: 10, first: -1, begun: time.Now().Add(-time.Minute)}
	p.at(5, 3)
	require.Contains(t, out.String(), "\r[###############...............]")
	p.at(6, 3)
	require.Equal(t, 1, strings.Count(out.String(), "%"), "not too often")
	p.line("said")
	require.True(t, strings.HasSuffix(out.String(), "\r\x1b[Ksaid\n"))
}

func TestPrintSummary(t *testing.T) {
	t.Parallel()
	s := migrate.NewSummary()
	*s.Of(migrate.KindRun) = migrate.Tally{Found: 7, Written: 4, There: 2, WentOn: 1}
	s.Of(migrate.KindBad).Found = 1
	s.Parts["steps"] = 3
	var out bytes.Buffer
	require.NoError(t, printSummary(&out, s))
	require.Regexp(t, `run +7 +4 +2 +1 +0`, out.String())
	require.Regexp(t, `cannot be read +1`, out.String())
	require.NotContains(t, out.String(), "debounce")
	require.Contains(t, out.String(), "The runs have 3 steps.")
}

func TestReports(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.jsonl")
	r, err := openReports(path, false)
	require.NoError(t, err)
	require.NoError(t, r.close())
	require.NoFileExists(t, path, "it says nothing")
	for _, goOn := range []bool{false, true} {
		r, err = openReports(path, goOn)
		require.NoError(t, err)
		require.NoError(t, r.add(migrate.Report{ID: migrate.ID{Kind: migrate.KindRun, Key: "r"}, Result: migrate.Conflicts, Reason: "why"}))
		require.NoError(t, r.close())
	}
	require.FileExists(t, path)
	_, err = openReports(t.TempDir(), false)
	require.Error(t, err)
}

func TestDifferenceText(t *testing.T) {
	t.Parallel()
	id := migrate.ID{Kind: migrate.KindRun, Key: "r"}
	require.Equal(t, "run r: missing in there", differenceText(id, "there", nil))
	text := differenceText(id, "", []migrate.Difference{{Field: "slug", Here: "a", There: strings.Repeat("x", 300)}, {Field: "cron", There: "b"}})
	require.Contains(t, text, "\n  slug: a ≠ "+strings.Repeat("x", 200)+"…")
	require.Contains(t, text, "\n  cron: nothing ≠ b")
}
