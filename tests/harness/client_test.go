package harness

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answers serves fixed bodies by method and path, and remembers what it got.
type answers struct {
	bodies map[string]string
	header http.Header
	body   string
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := a.bodies[r.Method+" "+r.URL.RequestURI()]
	if !ok {
		http.Error(w, "no such thing", http.StatusNotFound)
		return
	}
	content, _ := io.ReadAll(r.Body)
	a.header, a.body = r.Header, string(content)
	_, _ = io.WriteString(w, body)
}

func newAnswers(t *testing.T, bodies map[string]string) (*answers, *Client) {
	a := &answers{bodies: bodies}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return a, &Client{URL: server.URL}
}

func TestClientReads(t *testing.T) {
	t.Parallel()
	_, client := newAnswers(t, map[string]string{
		"GET /health":                 `{}`,
		"GET /v1/events/E/runs":       `{"data":[{"run_id":"R","status":"Running"}]}`,
		"GET /v1/runs/R":              `{"data":{"run_id":"R","status":"Completed","output":{"a":1},"ended_at":"2026-11-25T23:00:52Z"}}`,
		"GET /v1/runs/R/jobs":         `{"data":[{"kind":"sleep"},{"kind":"pause"}]}`,
		"DELETE /v1/runs/R":           ``,
		"POST /v1/signals":            `{"data":{"run_id":"R"}}`,
		"GET /dev":                    `{"functions":[{"slug":"a-f","triggers":[{"cron":"* * * * *"}]}]}`,
		"GET /v1/apps/a/functions":    `[{"config":{"slug":"a-f","triggers":[{"event":"e","expression":"x"}]}}]`,
		"GET /v1/apps/none/functions": `[]`,
	})
	ctx := t.Context()

	require.NoError(t, client.Health(ctx))
	runs, err := client.AwaitRuns(ctx, "E", 1)
	require.NoError(t, err)
	require.Equal(t, []Run{{ID: "R", Status: "Running"}}, runs)
	run, err := client.AwaitEnd(ctx, "R")
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, string(run.Output))
	kinds, err := client.JobKinds(ctx, "R")
	require.NoError(t, err)
	require.Equal(t, []string{"sleep", "pause"}, kinds)
	require.NoError(t, client.AwaitJob(ctx, "R", "pause"))
	require.NoError(t, client.Cancel(ctx, "R"))
	resumed, err := client.Signal(ctx, "s", 1)
	require.NoError(t, err)
	require.Equal(t, "R", resumed)
	functions, err := client.DevFunctions(ctx)
	require.NoError(t, err)
	require.Equal(t, "* * * * *", functions[0].Triggers[0].Cron)
	functions, err = client.AwaitApp(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "e", functions[0].Triggers[0].Event)

	ended, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = client.AwaitApp(ended, "none")
	require.ErrorContains(t, err, "it has none")
	_, err = client.AwaitRuns(ended, "E", 2)
	require.ErrorContains(t, err, "2 run(s) of event E")
}

func TestClientSends(t *testing.T) {
	t.Parallel()
	server, client := newAnswers(t, map[string]string{
		"POST /e/test":  `{"ids":["1","2"]}`,
		"POST /e/a%2Fb": `{"ids":["1"]}`,
	})
	ids, err := client.Send(t.Context(), Event{Name: "x", Data: map[string]any{"n": 1}, ID: "i"}, Event{Name: "y"})
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, ids)
	require.JSONEq(t, `[{"name":"x","data":{"n":1},"id":"i"},{"name":"y"}]`, server.body)
	require.Empty(t, server.header.Get("Authorization"))

	client.EventKey, client.SigningKey = "a/b", "key"
	_, err = client.Send(t.Context(), Event{Name: "x"})
	require.NoError(t, err)
	require.Equal(t, "Bearer key", server.header.Get("Authorization"))
	_, err = client.Send(t.Context(), Event{Name: "x"}, Event{Name: "y"})
	require.ErrorContains(t, err, "sent 2 events, got 1 ids")
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	_, client := newAnswers(t, map[string]string{"GET /v1/runs/R": `not JSON`})
	_, err := client.Run(t.Context(), "unknown")
	var status *StatusError
	require.ErrorAs(t, err, &status)
	require.Equal(t, http.StatusNotFound, status.Status)
	require.EqualError(t, err, "GET /v1/runs/unknown: status 404: no such thing\n")
	_, err = client.Run(t.Context(), "R")
	var syntax *json.SyntaxError
	require.ErrorAs(t, err, &syntax)
	_, err = client.Send(t.Context(), Event{Name: "x", Data: func() {}})
	require.ErrorContains(t, err, "unsupported type")
	client.URL = "http://127.0.0.1:1"
	require.Error(t, client.Health(t.Context()))
}
