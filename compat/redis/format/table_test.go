package format_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
)

// row is a line of the table of keys: pattern, type, read, written, tested.
var row = regexp.MustCompile("(?m)^\\| `(\\{[^`]*)` \\| ([a-z]+|any) \\| ([^|]*) \\| ([^|]*) \\| ([^|]*) \\|$")

// TestTableOfKeys: the documentation lists every kind of keys, with its type, and
// says of just those that captured data have them which were captured.
func TestTableOfKeys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/compatibility.md")
	require.NoError(t, err)
	captured := map[string]bool{}
	for _, entries := range readCaptures(t) {
		for _, e := range entries {
			pattern, _, ok := format.Identify(e.Key)
			require.True(t, ok, e.Key)
			captured[pattern.Template] = true
		}
	}
	rows := map[string][]string{}
	for _, cells := range row.FindAllStringSubmatch(string(text), -1) {
		require.NotContains(t, rows, cells[1], "listed twice")
		rows[cells[1]] = cells[2:]
	}
	for _, pattern := range format.Patterns() {
		cells, ok := rows[pattern.Template]
		require.True(t, ok, "%s is not in the table", pattern.Template)
		delete(rows, pattern.Template)
		want := string(pattern.Type)
		if want == "" {
			want = "any"
		}
		require.Equal(t, want, cells[0], pattern.Template)
		require.Equal(t, captured[pattern.Template], strings.Contains(cells[3], "captured"), "%s: %s", pattern.Template, cells[3])
	}
	require.Empty(t, rows, "there are no such keys")
}
