package readmodel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// backends are the databases that a history may be in. Each makes one with the
// captured rows and returns the options with which a server finds it.
var backends = map[string]func(t *testing.T) []string{
	"PostgreSQL": func(t *testing.T) []string { return []string{"--postgres-uri", capturedPostgres(t)} },
	"SQLite":     func(t *testing.T) []string { return []string{"--sqlite-dir", capturedSQLite(t)} },
}

// TestAdopted asks about the captured database what the original was asked.
func TestAdopted(t *testing.T) {
	t.Parallel()
	for name, captured := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, captured(t)...)
			t.Run("GraphQL", func(t *testing.T) { requireCapturedAnswers(t, server) })
			t.Run("outputs", func(t *testing.T) { requireCapturedOutputs(t, server) })
			t.Run("REST", func(t *testing.T) { requireCapturedREST(t, server) })
		})
	}
}

// golden is a request to the original and its answer.
type golden struct {
	Query     string
	Variables map[string]any
	Request   string
	Status    int
	Response  any
}

// goldens reads the captured answers whose names begin so.
func goldens(t *testing.T, prefix string) map[string]golden {
	t.Helper()
	files, err := filepath.Glob(fixture + "expected/" + prefix + "*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]golden{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var g golden
		require.NoError(t, json.Unmarshal(text, &g))
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = g
	}
	return all
}

func requireCapturedAnswers(t *testing.T, server *harness.Server) {
	for name, g := range goldens(t, "gql-") {
		t.Run(name, func(t *testing.T) {
			status, answer := query(t, server, g.Query, g.Variables)
			require.Equal(t, g.Status, status)
			switch {
			case name == "gql-runs-cel-event-custom-id":
				require.Len(t, foundRuns(answer, "id"), 1, "the run of an event with an id of its own, which the original misses")
			case strings.Contains(name, "-cel-"): // times and events of such a run are those of whichever row matched
				require.ElementsMatch(t, foundRuns(g.Response, "id"), foundRuns(answer, "id"))
			case name == "gql-runs-nopreview": // in the order of the start here
				require.ElementsMatch(t, foundRuns(g.Response, ""), foundRuns(answer, ""))
			default:
				require.Equal(t, g.Response, answer)
			}
		})
	}
}

// foundRuns are the runs of an answer, or one field of each.
func foundRuns(answer any, field string) []any {
	runs := answer.(map[string]any)["data"].(map[string]any)["runs"].(map[string]any)
	var found []any
	for _, edge := range runs["edges"].([]any) {
		run := edge.(map[string]any)["node"].(map[string]any)
		if field == "" {
			found = append(found, run)
		} else {
			found = append(found, run[field])
		}
	}
	return found
}

// spanOutput is the captured output of a span.
type spanOutput struct {
	Span     string
	OutputID string
	Result   map[string]map[string]any
}

// readOutputs reads the captured outputs of a run, masked, by the name of the
// span; ok is false where none were captured.
func readOutputs(t *testing.T, file string) (outputs map[string]any, ok bool) {
	t.Helper()
	list, err := capturedOutputs(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	require.NoError(t, err)
	outputs = map[string]any{}
	for _, output := range list {
		outputs[output.Span] = masked(any(output.Result["runTraceSpanOutputByID"]))
	}
	return outputs, true
}

func capturedOutputs(file string) ([]spanOutput, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var outputs []spanOutput
	err = json.Unmarshal(text, &outputs)
	return outputs, err
}

// requireCapturedOutputs reads every output by the id that its span has for it.
func requireCapturedOutputs(t *testing.T, server *harness.Server) {
	files, err := filepath.Glob(fixture + "expected/outputs-*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		outputs, err := capturedOutputs(file)
		require.NoError(t, err)
		for _, want := range outputs {
			_, answer := query(t, server, outputOf, map[string]any{"id": want.OutputID})
			got := answer.(map[string]any)["data"].(map[string]any)["runTraceSpanOutputByID"].(map[string]any)
			require.Equal(t, compact(want.Result["runTraceSpanOutputByID"]), compact(got), "%s %s", file, want.Span)
		}
	}
}

// compact makes texts of JSON comparable, whose spaces come from the database.
func compact(output map[string]any) map[string]any {
	for _, key := range []string{"input", "data"} {
		var value any
		if text, ok := output[key].(string); ok && json.Unmarshal([]byte(text), &value) == nil {
			output[key] = value
		}
	}
	return output
}

func requireCapturedREST(t *testing.T, server *harness.Server) {
	for name, g := range goldens(t, "rest-") {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(g.Request, " ")
			status, answer := request(t, server, method, path, nil)
			require.Equal(t, g.Status, status, "%v", answer)
			require.Equal(t, withoutClock(betterREST(name, g.Response)), withoutClock(answer))
		})
	}
}

// betterREST is a captured answer with what ours says more: the outputs of runs
// of the TypeScript SDK, which the original leaves empty, and the environment.
func betterREST(name string, response any) any {
	switch name {
	case "rest-run":
		run := response.(map[string]any)["data"].(map[string]any)
		run["environment_id"] = "00000000-0000-4000-b000-000000000000"
		run["output"] = map[string]any{"a": map[string]any{"a": 1.0}, "b": 2.0}
	case "rest-event-runs":
		run := response.(map[string]any)["data"].([]any)[0].(map[string]any)
		run["output"] = map[string]any{"hello": "Ada"}
	}
	return response
}

// withoutClock leaves out when an answer was made.
func withoutClock(answer any) any {
	all, ok := answer.(map[string]any)
	if !ok {
		return answer
	}
	if metadata, ok := all["metadata"].(map[string]any); ok {
		for _, key := range []string{"fetched_at", "fetchedAt", "cached_until", "cachedUntil"} {
			delete(metadata, key)
		}
	}
	return all
}

// query asks by GraphQL.
func query(t *testing.T, server *harness.Server, document string, variables map[string]any) (status int, answer any) {
	t.Helper()
	return request(t, server, http.MethodPost, "/v0/gql", map[string]any{"query": document, "variables": variables})
}

// request makes a request with the signing key and returns its status and the
// JSON of its answer.
func request(t *testing.T, server *harness.Server, method, path string, body any) (status int, answer any) {
	t.Helper()
	var content []byte
	if body != nil {
		var err error
		content, err = json.Marshal(body)
		require.NoError(t, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL()+path, bytes.NewReader(content))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+signingKey)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	content, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &answer), "%s", content)
	return res.StatusCode, answer
}
