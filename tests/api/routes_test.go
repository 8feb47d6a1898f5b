package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// route is a route of the server. Parameters of the pattern begin with a colon.
type route struct {
	method, pattern string
	// kind is the content type of a body, empty for none; right is a body that
	// is understood, and limit how many bytes one may have at most.
	kind, right string
	limit       int
	// open routes ask for no signing key.
	open bool
	// takes names the bodies that are no nonsense to this route, and free the
	// parameters of the path that may be anything.
	takes, free string
	queries     string // names of the parameters of the query
}

const (
	jsonBody = "application/json"
	formBody = "application/x-www-form-urlencoded"
	anyBody  = "application/octet-stream"
)

// every is all bodies: the route looks at none of it.
const every = "*"

// routes are those of package api, with those below /v2.
var routes = []route{
	{method: "GET", pattern: "/health", open: true},
	{method: "GET", pattern: "/ready", open: true},
	{method: "GET", pattern: "/metrics", open: true},
	{method: "GET", pattern: "/"},
	{method: "GET", pattern: "/runs/:run"},
	{method: "POST", pattern: "/e/:key", kind: jsonBody, right: `{"name":"a"}`, open: true, takes: "empty,zero in names,no unicode"},
	{method: "POST", pattern: "/invoke/:slug", kind: jsonBody, right: `{"data":{}}`, limit: 4 << 20, free: "slug", takes: "zero in names,no unicode"},
	{method: "GET", pattern: "/dev"},
	{method: "POST", pattern: "/dev/traces", kind: jsonBody, right: `{}`, limit: 8 << 20, takes: "huge number,null,zero in names,no unicode"},
	{method: "POST", pattern: "/fn/register", kind: jsonBody, right: `{}`, limit: 8 << 20, takes: "no unicode"},
	{method: "DELETE", pattern: "/fn/remove", kind: formBody, limit: 64 << 10},
	{method: "POST", pattern: "/fn/step-limit", kind: formBody, limit: 64 << 10},
	{method: "DELETE", pattern: "/fn/step-limit", kind: formBody, limit: 64 << 10},
	{method: "POST", pattern: "/fn/state-size-limit", kind: formBody, limit: 64 << 10},
	{method: "DELETE", pattern: "/fn/state-size-limit", kind: formBody, limit: 64 << 10},
	{method: "GET", pattern: "/v0/"},
	{method: "GET", pattern: "/v0/gql", queries: "query,variables,operationName"},
	{method: "POST", pattern: "/v0/gql", kind: jsonBody, right: `{"query":"{apps{id}}"}`, limit: 4 << 20},
	{method: "GET", pattern: "/v0/runs/:run/batch"},
	{method: "GET", pattern: "/v0/runs/:run/actions"},
	{method: "DELETE", pattern: "/v0/runs/:run"},
	{method: "POST", pattern: "/v0/telemetry", kind: jsonBody, limit: 8 << 20, takes: every},
	{method: "POST", pattern: "/v0/connect/start", kind: anyBody},
	{method: "POST", pattern: "/v0/connect/flush", kind: anyBody},
	{method: "GET", pattern: "/v0/connect/envs/:env/conns"},
	{method: "GET", pattern: "/v0/connect/envs/:env/groups/:group"},
	{method: "GET", pattern: "/v1/events", queries: "limit,cursor,received_after,received_before,name"},
	{method: "GET", pattern: "/v1/events/:event"},
	{method: "GET", pattern: "/v1/events/:event/runs"},
	{method: "GET", pattern: "/v1/runs/:run"},
	{method: "DELETE", pattern: "/v1/runs/:run"},
	{method: "GET", pattern: "/v1/runs/:run/jobs"},
	{method: "GET", pattern: "/v1/runs/:run/stream"},
	{method: "POST", pattern: "/v1/runs/:run/metadata", kind: jsonBody, right: `{"metadata":[]}`, takes: "null,huge number,zero in names,no unicode"},
	{method: "GET", pattern: "/v1/apps/:app/functions", free: "app"},
	{method: "POST", pattern: "/v1/functions/:function/pause"},
	{method: "POST", pattern: "/v1/functions/:function/unpause"},
	{method: "POST", pattern: "/v1/cancellations", kind: jsonBody, right: `{}`, limit: 64 << 10},
	{method: "GET", pattern: "/v1/cancellations"},
	{method: "DELETE", pattern: "/v1/cancellations/:cancellation"},
	{method: "POST", pattern: "/v1/signals", kind: jsonBody, right: `{"signal":"nobody"}`, limit: 4 << 20},
	{method: "POST", pattern: "/v1/realtime/token", kind: jsonBody, right: `[]`, limit: 256 << 10},
	{method: "POST", pattern: "/v1/realtime/publish", kind: jsonBody, right: `{}`, limit: 512 << 10, takes: every, queries: "channel,topic,run_id,metadata"},
	{method: "POST", pattern: "/v1/realtime/publish/tee", kind: jsonBody, right: `{}`, takes: every, queries: "channel"},
	{method: "GET", pattern: "/v1/realtime/connect", open: true, queries: "token"},
	{method: "GET", pattern: "/v1/realtime/sse", open: true, queries: "token"},
	{method: "POST", pattern: "/v1/checkpoint", kind: jsonBody, right: `{}`, limit: 4 << 20},
	{method: "POST", pattern: "/v1/checkpoint/:run/steps", kind: jsonBody, right: `{}`, free: "run", takes: every},
	{method: "POST", pattern: "/v1/checkpoint/:run/async", kind: jsonBody, right: `{}`, free: "run", takes: "null,huge number,no unicode"},
	{method: "GET", pattern: "/v1/checkpoint/:run/output", open: true, queries: "token"},
	{method: "POST", pattern: "/v1/traces/userland", kind: jsonBody, right: `{}`, limit: 8 << 20, takes: "huge number,null,zero in names,no unicode"},
	{method: "GET", pattern: "/v1/prom/:env"},
	{method: "POST", pattern: "/mcp", kind: jsonBody, right: `{"jsonrpc":"2.0","id":1,"method":"ping"}`},
	{method: "GET", pattern: "/mcp"},
	{method: "DELETE", pattern: "/mcp"},

	{method: "GET", pattern: "/debug/pprof/*"},
	{method: "GET", pattern: "/debug/pprof/cmdline"},
	{method: "GET", pattern: "/debug/pprof/profile"},
	{method: "GET", pattern: "/debug/pprof/symbol"},
	{method: "GET", pattern: "/debug/pprof/trace"},
	{method: "GET", pattern: "/debug/vars"},

	{method: "GET", pattern: "/v2/health"},
	{method: "GET", pattern: "/v2/operations", open: true},
	{method: "GET", pattern: "/v2/account"},
	{method: "GET", pattern: "/v2/envs", queries: "limit"},
	{method: "GET", pattern: "/v2/keys/signing", queries: "limit"},
	{method: "GET", pattern: "/v2/keys/events", queries: "limit"},
	{method: "GET", pattern: "/v2/apps", queries: "limit,cursor,archived"},
	{method: "GET", pattern: "/v2/apps/:app"},
	{method: "GET", pattern: "/v2/apps/:app/functions", free: "app", queries: "limit,cursor"},
	{method: "GET", pattern: "/v2/apps/:app/functions/:function"},
	{method: "GET", pattern: "/v2/apps/:app/functions/:function/runs", free: "app,function", queries: "limit,cursor,from,until,timeField,status,order,isDeferred,includeOutput"},
	{method: "POST", pattern: "/v2/apps/:app/functions/:function/invoke", kind: jsonBody, right: `{"data":{}}`, limit: 3 << 20},
	{method: "POST", pattern: "/v2/apps/:app/functions/:function/replays", kind: jsonBody, right: `{"from":"2026-01-01T00:00:00Z"}`, limit: 3 << 20},
	{method: "POST", pattern: "/v2/events", kind: jsonBody, right: `{"name":"a"}`, limit: 3 << 20},
	{method: "POST", pattern: "/v2/events/:event/resend", kind: jsonBody, right: `{}`, limit: 3 << 20},
	{method: "GET", pattern: "/v2/events/:event/runs", queries: "limit,cursor,includeOutput"},
	{method: "GET", pattern: "/v2/runs", queries: "limit,cursor,from,until,timeField,status,order,appId,functionId,isDeferred,includeOutput"},
	{method: "GET", pattern: "/v2/runs/:run", queries: "includeOutput"},
	{method: "GET", pattern: "/v2/runs/:run/trace", queries: "includeOutput"},
	{method: "POST", pattern: "/v2/runs/:run/rerun", kind: jsonBody, right: `{}`, limit: 3 << 20},
	{method: "POST", pattern: "/v2/runs/:run/cancel"},
	{method: "POST", pattern: "/v2/runs/:run/scores", kind: jsonBody, right: `[{"name":"a","value":1}]`},
	{method: "POST", pattern: "/v2/envs", kind: jsonBody, right: `{"name":"a"}`, limit: 3 << 20},
}

// elsewhere are patterns of package api that the table has in another form.
var elsewhere = map[string]string{
	"/v2/*": "each route by itself", "/api/v2/*": "the same as /v2", "/api/v2/operations": "the same as /v2", "/v1/http/runs": "the same as /v1/checkpoint",
	"/:run/steps": "after a prefix", "/:run/async": "after a prefix", "/:run/output": "after a prefix",
	"/test/": testMode, "/test/function/pause": testMode, "/test/function/runs/cancel": testMode, "/test/queue/function-queue-size": testMode, "/test/reset": testMode,
}

const testMode = "only with TEST_MODE"

// TestEveryRouteIsInTheTable compares with the text of the functions that list
// routes.
func TestEveryRouteIsInTheTable(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, r := range routes {
		known[r.pattern] = true
	}
	found := map[string]bool{}
	for _, file := range parsePackage(t, "../../api") {
		for _, declared := range file.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && listsRoutes(f) {
				collectPaths(f, found)
			}
		}
	}
	for path := range found {
		if _, ok := elsewhere[path]; !ok {
			require.True(t, known[path], "the route %s is not tested", path)
		}
	}
	for path := range elsewhere {
		require.True(t, found[path], "there is no route %s", path)
	}
	for _, path := range []string{"/health", "/debug/vars", "/v0/connect/start"} { // each of another function
		require.True(t, found[path], path)
	}
}

// parsePackage reads the files of a package without its tests.
func parsePackage(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// listsRoutes tells whether a function returns routes.
func listsRoutes(f *ast.FuncDecl) bool {
	if f.Type.Results == nil || len(f.Type.Results.List) != 1 {
		return false
	}
	list, ok := f.Type.Results.List[0].Type.(*ast.ArrayType)
	if !ok {
		return false
	}
	element, ok := list.Elt.(*ast.Ident)
	return ok && element.Name == "route"
}

// collectPaths finds the paths that a function has in its text, but for
// arguments of calls.
func collectPaths(f *ast.FuncDecl, found map[string]bool) {
	ast.Inspect(f.Body, func(node ast.Node) bool {
		if call, ok := node.(*ast.CallExpr); ok {
			if _, ok := call.Fun.(*ast.Ident); !ok || call.Fun.(*ast.Ident).Name != "append" {
				return false
			}
		}
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(literal.Value); err == nil && strings.HasPrefix(text, "/") {
			found[text] = true
		}
		return true
	})
}

// fill puts values into the parameters of a pattern.
func fill(pattern string, value func(name string) string) string {
	segments := strings.Split(pattern, "/")
	for i, segment := range segments {
		if name, ok := strings.CutPrefix(segment, ":"); ok {
			segments[i] = value(name)
		}
	}
	return strings.Join(segments, "/")
}

// nobody are values that a route understands, of things that are not there.
func (to target) nobody(name string) string {
	switch name {
	case "key":
		return to.eventKey
	case "run", "event", "cancellation":
		return "01M8AFNA89V4FR54NKFFTV1PNK"
	}
	return "nobody"
}

// path is where a route is, with parameters that it understands.
func (to target) path(r *route) string {
	path := to.URL() + fill(r.pattern, to.nobody)
	if strings.HasPrefix(r.pattern, "/v1/realtime/publish") {
		path += "?channel=c&topic=t"
	}
	return path
}

// has tells whether a list of names has one.
func has(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item == name || item == every {
			return true
		}
	}
	return false
}

// methods are those that a path answers.
func methods(pattern string) map[string]bool {
	known := map[string]bool{}
	for _, r := range routes {
		if r.pattern == pattern {
			known[r.method] = true
		}
	}
	if known[http.MethodGet] {
		known[http.MethodHead] = true
	}
	return known
}
