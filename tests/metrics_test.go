package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMetricsAreDocumented: docs/metrics.md lists what the code registers, and
// nothing else. A metric's name stands as a literal in a call or as Name of
// options of Prometheus.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	require.NoError(t, err)
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)[`{]").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(documented)
	require.Equal(t, slices.Compact(slices.Clone(documented)), documented, "each once")
	require.Equal(t, registeredMetrics(t), documented)
}

// registeredMetrics finds the names in all packages that use Prometheus.
func registeredMetrics(t *testing.T) []string {
	var names []string
	eachFile(t, parser.SkipObjectResolution, func(_ *token.FileSet, file *ast.File) {
		if usesPrometheus(file) {
			names = append(names, metricNames(file)...)
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func usesPrometheus(file *ast.File) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		return i.Path.Value == `"github.com/prometheus/client_golang/prometheus"`
	})
}

var metricName = regexp.MustCompile(`^(jetstep|inngest)_[a-z_]+$`)

func metricNames(file *ast.File) (names []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		if name, err := strconv.Unquote(literal.Value); err == nil && metricName.MatchString(name) {
			names = append(names, name)
		}
		return true
	})
	return names
}
