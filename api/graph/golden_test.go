package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/api/graph"
	"jetstep/history/trace/tracetest"
	"jetstep/history/view/viewtest"
)

const root = "../.."

// captured is when the fixture was read.
var captured = time.Date(2026, 11, 25, 23, 17, 30, 0, time.UTC)

func newAPI(t *testing.T, commands graph.Commands) (http.Handler, *viewtest.Store) {
	store := viewtest.Load(t, root)
	return graph.New(graph.Config{Reader: store, Commands: commands, Now: func() time.Time { return captured }}), store
}

func post(t *testing.T, api http.Handler, document string, variables any) (status int, answer string) {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	require.NoError(t, err)
	return send(t, api, bytes.NewReader(body), "application/json")
}

func send(t *testing.T, api http.Handler, body *bytes.Reader, kind string) (int, string) {
	request := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, "/v0/gql", body)
	request.Header.Set("Content-Type", kind)
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

// TestCapturedAnswers asks what the original was asked about the captured
// database, and expects its answers.
func TestCapturedAnswers(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	files, err := filepath.Glob(filepath.Join(root, tracetest.Fixtures, "expected", "gql-*.json"))
	require.NoError(t, err)
	require.Len(t, files, 63)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var golden struct {
				Query     string
				Variables map[string]any
				Status    int
				Response  json.RawMessage
			}
			require.NoError(t, json.Unmarshal(text, &golden))
			status, answer := post(t, api, golden.Query, golden.Variables)
			require.Equal(t, golden.Status, status)
			if strings.Contains(file, "-cel-") {
				requireSameRuns(t, string(golden.Response), answer)
				return
			}
			require.JSONEq(t, string(golden.Response), answer)
		})
	}
}

// requireSameRuns compares which runs were found. The original takes the times
// and events of a run that a query found from whichever row matched, which is
// not copied.
func requireSameRuns(t *testing.T, want, got string) {
	require.ElementsMatch(t, foundRuns(t, want), foundRuns(t, got))
}

func foundRuns(t *testing.T, answer string) []string {
	var decoded struct {
		Data struct {
			Runs struct {
				TotalCount int
				Edges      []struct {
					Node struct{ ID, Status, TraceID string }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &decoded))
	require.Len(t, decoded.Data.Runs.Edges, decoded.Data.Runs.TotalCount)
	var runs []string
	for _, edge := range decoded.Data.Runs.Edges {
		runs = append(runs, strings.Join([]string{edge.Node.ID, edge.Node.Status, edge.Node.TraceID}, " "))
	}
	return runs
}

// TestCapturedOutputs reads every output by the id that the tree has for it.
func TestCapturedOutputs(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	files, err := filepath.Glob(filepath.Join(root, tracetest.Fixtures, "expected", "outputs-*.json"))
	require.NoError(t, err)
	require.Len(t, files, 5)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var golden []struct {
			Span     string
			OutputID string
			Result   map[string]map[string]any
		}
		require.NoError(t, json.Unmarshal(text, &golden))
		for _, want := range golden {
			_, answer := post(t, api, `query($id: String!){runTraceSpanOutputByID(outputID:$id){input data error{message name stack cause}}}`,
				map[string]string{"id": want.OutputID})
			var got struct{ Data map[string]map[string]any }
			require.NoError(t, json.Unmarshal([]byte(answer), &got), answer)
			compact(want.Result["runTraceSpanOutputByID"])
			compact(got.Data["runTraceSpanOutputByID"])
			require.Equal(t, want.Result, got.Data, "%s %s", file, want.Span)
		}
	}
}

// compact makes texts of JSON comparable, whose spaces the original takes from
// its database.
func compact(output map[string]any) {
	for _, key := range []string{"input", "data"} {
		if text, ok := output[key].(string); ok {
			var value any
			if json.Unmarshal([]byte(text), &value) == nil {
				output[key] = value
			}
		}
	}
}
