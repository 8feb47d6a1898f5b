package sdk_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/stretchr/testify/require"
)

var gatewayScenarios = []scenario{
	{name: "fetch", whole: fetches},
	{
		name: "fetch an error status",
		whole: func(t *trial) {
			api := newRemote(t, http.StatusTeapot, "short and stout")
			t.complete(t.start("/fetch", map[string]any{"url": api.URL, "body": map[string]any{}}),
				`{"status":418,"pong":"1","body":"short and stout"}`)
			require.Len(t, api.requests(), 1) // any status is an answer
		},
	},
	{
		name: "infer",
		whole: func(t *trial) {
			api := newRemote(t, http.StatusOK, `{"id":"x","choices":[{"message":{"role":"assistant","content":"hello"}}]}`)
			t.complete(t.start("/infer", map[string]any{"url": api.URL}), `{"said":"hello"}`)
			requests := api.requests()
			require.Len(t, requests, 1)
			require.Equal(t, "Bearer KEY", requests[0].header.Get("Authorization"))
			require.JSONEq(t, `{"model":"m-1","messages":[{"role":"user","content":"hi"}]}`, requests[0].body)
			t.attempts(once("after"))
		},
	},
	{
		name: "infer failing",
		whole: func(t *trial) {
			api := newRemote(t, http.StatusTooManyRequests, `{"error":{"message":"rate"}}`)
			t.complete(t.start("/infer", map[string]any{"url": api.URL}),
				`{"error":"Error making AI request: unsuccessful status code: 429"}`)
			require.Len(t, api.requests(), 2)
		},
	},
	{
		name:     "ai-wrap",
		output:   `{"upper":"LOUD"}`,
		attempts: once("wrapped"),
		skip:     map[string]string{"go": "the Go SDK has no ai.wrap"},
	},
}

func fetches(t *trial) {
	api := newRemote(t, http.StatusOK, "pong!")
	data := map[string]any{"url": api.URL + "/ping?x=1", "body": map[string]any{"q": "é"}}
	t.complete(t.start("/fetch", data), `{"status":200,"pong":"1","body":"pong!"}`)
	requests := api.requests()
	require.Len(t, requests, 1)
	require.Equal(t, http.MethodPost, requests[0].method)
	require.Equal(t, "/ping?x=1", requests[0].uri)
	require.Equal(t, "Inngest", requests[0].header.Get("User-Agent"))
	require.Equal(t, "sent", requests[0].header.Get("X-Test"))
	require.JSONEq(t, `{"q":"é"}`, requests[0].body)
	t.attempts(once("after"))
}

// remote is an HTTP API elsewhere, which gives one answer to everything.
type remote struct {
	*httptest.Server
	mu  sync.Mutex
	got []request
}

type request struct {
	method, uri, body string
	header            http.Header
}

func newRemote(t *trial, status int, answer string) *remote {
	r := &remote{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.mu.Lock()
		r.got = append(r.got, request{req.Method, req.URL.RequestURI(), string(body), req.Header.Clone()})
		r.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Pong", "1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *remote) requests() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.got...)
}
