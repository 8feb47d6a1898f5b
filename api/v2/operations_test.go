package v2

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOperations goes through the list: each entry is a route.
func TestOperations(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.routes = s.table()
	a, err := s.operations(nil, nil)
	require.NoError(t, err)
	text, err := json.Marshal(a)
	require.NoError(t, err)
	require.Contains(t, string(text), `{"id":"GetFunctionRun","summary":"Shows a run: status, times, trigger and, if wanted, output","http":{"method":"GET","path":"/api/v2/runs/{runId}"},"mcp":{"name":"get_run"}}`)
	seen := map[string]bool{}
	for _, o := range a.Data.(map[string]any)["operations"].([]operation) {
		require.False(t, seen[o.ID], o.ID)
		seen[o.ID] = true
		path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(o.HTTP.Path[len("/api/v2"):], "x")
		handle, args := s.match(o.HTTP.Method, path)
		require.NotNil(t, handle, "%s: %v", o.ID, args.problem)
	}
	require.Len(t, seen, 19)
	_, args := s.match(http.MethodPost, "/operations")
	require.Equal(t, http.StatusMethodNotAllowed, args.problem.status)
	require.Equal(t, "public, max-age=300, stale-while-revalidate=3600", a.cache)
}
