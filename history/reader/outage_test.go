package reader_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/api/graph"
	v2 "jetstep/api/v2"
	"jetstep/history/database"
	"jetstep/history/reader"
	"jetstep/history/view"
)

// TestDatabaseOutOfReach says the same in each API, and nothing of why.
func TestDatabaseOutOfReach(t *testing.T) {
	t.Parallel()
	store, err := database.New(database.Options{Dir: t.TempDir()}) // not migrated
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	read := reader.New(store)
	const run = "01M8AFYQRBJYS7G4394TAY6VKP"
	ask := func(api http.Handler, method, path, body string) (int, string) {
		request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, request)
		return w.Code, w.Body.String()
	}
	for _, path := range []string{"/v2/runs", "/v2/runs/" + run, "/v2/runs/" + run + "/trace", "/v2/apps", "/v2/events/" + run + "/runs"} {
		status, answer := ask(v2.New(v2.Config{Reader: read}), http.MethodGet, path, "")
		require.Equal(t, http.StatusServiceUnavailable, status, path)
		require.JSONEq(t, `{"errors":[{"code":"internal_error","message":"`+view.ErrUnavailable.Error()+`"}]}`, answer, path)
	}
	const from = `filter:{from:\"2026-11-25T23:00:00Z\"}`
	for _, field := range []string{
		`run(runID:\"` + run + `\"){id}`, `runs(orderBy:[],` + from + `){edges{cursor}}`, `a:runs(orderBy:[],` + from + `){totalCount}`,
		`eventsV2(` + from + `){totalCount}`, `events(query:{}){id}`, `apps{id}`, `runTrace(runID:\"` + run + `\"){name}`,
		`workerConnections(orderBy:[],filter:{}){totalCount}`, `workerConnection(connectionId:\"` + run + `\"){id}`,
	} {
		status, answer := ask(graph.New(graph.Config{Reader: read}), http.MethodPost, "/v0/gql", `{"query":"{`+field+`}"}`)
		require.Equal(t, http.StatusOK, status, answer)
		require.Contains(t, answer, `"message":"`+view.ErrUnavailable.Error()+`"`, field)
		require.NotContains(t, answer, "opened")
	}
}
