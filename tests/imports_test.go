// Package tests guards what concerns the project as a whole: that its packages
// import each other only as docs/architecture.md says. The tests that run the
// real binary live in the directories below.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module      = "jetstep"
	root        = ".."
	packageDocs = "docs/architecture.md"
)

// layer is a row of the table: a directory with those below it that have no
// row of their own.
type layer struct {
	imports []string // layers
	any     bool     // may import everything
}

// TestImports fails for an arrow between packages that the table of
// docs/architecture.md does not have, and for a row without a package.
func TestImports(t *testing.T) {
	t.Parallel()
	layers := readLayers(t)
	used := map[string]bool{}
	for dir, imports := range readImports(t) {
		from, ok := layerOf(layers, dir)
		if !ok {
			t.Errorf("%s has no row in %s", dir, packageDocs)
			continue
		}
		used[from] = true
		for _, imported := range imports {
			to, ok := layerOf(layers, imported)
			if ok && (from == to || layers[from].any || slices.Contains(layers[from].imports, to)) {
				continue
			}
			t.Errorf("%s imports %s, an arrow that %s does not have", dir, imported, packageDocs)
		}
	}
	for name := range layers {
		require.True(t, used[name], "%s has a row for %s, where there is no package", packageDocs, name)
	}
}

func TestParseLayers(t *testing.T) {
	t.Parallel()
	layers := parseLayers("| `z` | before the heading |  |\n\n## Packages\n\n| package | what | imports |\n|---|---|---|\n" +
		"| `a` | reads `b` | – |\n| `a/b` | x | contracts of `a` and `c`, `d/e` |\n| `c` | x | everything |\n\n## More\n\n| `y` | | |\n")
	require.Equal(t, map[string]layer{"a": {}, "a/b": {imports: []string{"a", "c", "d/e"}}, "c": {any: true}}, layers)

	for dir, want := range map[string]string{"a": "a", "a/b": "a/b", "a/b/c": "a/b", "a/c": "a", "ab": ""} {
		name, ok := layerOf(layers, dir)
		require.Equal(t, want, name, dir)
		require.Equal(t, want != "", ok, dir)
	}
}

func readLayers(t *testing.T) map[string]layer {
	text, err := os.ReadFile(filepath.Join(root, packageDocs))
	require.NoError(t, err)
	layers := parseLayers(string(text))
	require.NotEmpty(t, layers)
	return layers
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// parseLayers reads the table below the heading "Packages".
func parseLayers(text string) map[string]layer {
	_, section, _ := strings.Cut(text, "\n## Packages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	layers := map[string]layer{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		l := layer{any: strings.Contains(cells[3], "everything")}
		for _, span := range codeSpan.FindAllStringSubmatch(cells[3], -1) {
			l.imports = append(l.imports, span[1])
		}
		layers[codeSpan.FindStringSubmatch(cells[1])[1]] = l
	}
	return layers
}

// layerOf finds the row of a package: its own, or that of the nearest
// directory above it.
func layerOf(layers map[string]layer, dir string) (name string, ok bool) {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := layers[dir]; ok {
			return dir, true
		}
	}
	return "", false
}

// readImports lists, for each package directory of the module, the packages of
// the module that its files import, on any platform. Tests do not count.
func readImports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	eachFile(t, parser.ImportsOnly, func(set *token.FileSet, file *ast.File) {
		name := set.Position(file.Package).Filename
		dir := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(name), root+string(filepath.Separator)))
		imports, err := moduleImports(file)
		require.NoError(t, err)
		found[dir] = append(found[dir], imports...)
	})
	require.NotEmpty(t, found)
	return found
}

func moduleImports(file *ast.File) ([]string, error) {
	var imports []string
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if inside, ok := strings.CutPrefix(name, module+"/"); ok {
			imports = append(imports, inside)
		}
	}
	return imports, nil
}

// eachFile parses and visits the module's files that are no tests.
func eachFile(t *testing.T, mode parser.Mode, visit func(*token.FileSet, *ast.File)) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return enter(file, entry)
		case path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(set, file, nil, mode)
		if err == nil {
			visit(set, parsed)
		}
		return err
	})
	require.NoError(t, err)
}

// enter skips what the go command skips, and other modules.
func enter(dir string, entry fs.DirEntry) error {
	if dir == root {
		return nil
	}
	name := entry.Name()
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	if err == nil || name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return filepath.SkipDir
	}
	return nil
}
