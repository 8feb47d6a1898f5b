package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// otherKeys are names that would be a second one for what has a key of the log
// already: whoever searches for a run must find all of it.
var otherKeys = map[string]string{
	"err": "error", "run": "run_id", "runid": "run_id", "function": "function_id", "fn": "function_id", "fn_id": "function_id",
	"slug": "function_id", "event_name": "event", "shard": "partition", "part": "partition", "p": "partition", "took": "duration",
	"elapsed": "duration", "sequence": "seq", "app_name": "app",
}

var logKey = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// TestLogKeys: keys of the log are written one way, and mean one thing.
func TestLogKeys(t *testing.T) {
	t.Parallel()
	checked := 0
	eachFile(t, parser.SkipObjectResolution, func(set *token.FileSet, file *ast.File) {
		for _, key := range logKeys(file) {
			checked++
			name, err := strconv.Unquote(key.Value)
			require.NoError(t, err)
			require.Regexp(t, logKey, name, set.Position(key.Pos()).String())
			if other := otherKeys[strings.ToLower(name)]; other != "" {
				t.Errorf("%s: %q is called %q in the log", set.Position(key.Pos()), name, other)
			}
		}
	})
	require.Greater(t, checked, 200, "the log is found")
}

func TestLogKeysAreFound(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
		func f() {
			log.Info("said", "run_id", id, "error", err)
			s.cfg.Logger.With("caller", "x").Warn("also", "partition", 1)
			fmt.Error("not", "this")
			slog.Default().Debug(text, key, 1, "seq", 2)
		}`, parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	for _, key := range logKeys(file) {
		found = append(found, key.Value)
	}
	require.ElementsMatch(t, []string{`"run_id"`, `"error"`, `"caller"`, `"partition"`, `"seq"`}, found)
}

// logKeys finds the keys in calls of a slog.Logger: those of something that is
// called log, logger or slog.
func logKeys(file *ast.File) (keys []*ast.BasicLit) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !isLogger(method.X) {
			return true
		}
		first := 1 // after the message
		switch method.Sel.Name {
		case "Debug", "Info", "Warn", "Error":
		case "With":
			first = 0
		default:
			return true
		}
		for i := first; i < len(call.Args); i += 2 {
			if key, ok := call.Args[i].(*ast.BasicLit); ok && key.Kind == token.STRING {
				keys = append(keys, key)
			}
		}
		return true
	})
	return keys
}

func isLogger(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		name := strings.ToLower(e.Name)
		return name == "log" || name == "logger" || name == "slog"
	case *ast.SelectorExpr:
		return isLogger(e.Sel)
	case *ast.CallExpr: // log.With(…), slog.Default()
		method, ok := e.Fun.(*ast.SelectorExpr)
		return ok && isLogger(method.X)
	}
	return false
}
