package sdk_test

import (
	"io"
	"maps"
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
		name: "infer recovering",
		whole: func(t *trial) {
			api := newRemote(t, http.StatusServiceUnavailable, `{"error":"busy"}`, `{"choices":[{"message":{"content":"at last"}}]}`)
			t.complete(t.start("/infer", map[string]any{"url": api.URL}), `{"said":"at last"}`)
			require.Len(t, api.requests(), 2)
			t.attempts(once("after"))
		},
	},
	{
		name: "infer unreachable",
		whole: func(t *trial) {
			api := newRemote(t, http.StatusOK, `{}`)
			api.Close()
			run := t.end(t.start("/infer", map[string]any{"url": api.URL}))
			require.Equal(t, "Completed", run.Status)
			require.Contains(t, string(run.Output), "Error making AI request")
		},
	},
	{
		name: "infer with Anthropic",
		skip: onlyNode,
		whole: func(t *trial) {
			const answer = `{"id":"m","content":[{"type":"text","text":"hello"}],"usage":{"input_tokens":3,"output_tokens":1}}`
			header := inferredBy(t, "anthropic", answer, "/messages", map[string]any{"defaultParameters": map[string]any{"max_tokens": 5}},
				`{"model":"m-1","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`)
			require.Equal(t, "KEY", header.Get("X-Api-Key"))
			require.Equal(t, "2023-06-01", header.Get("Anthropic-Version"))
			require.Empty(t, header.Get("Authorization"))
		},
	},
	{
		name: "infer with Gemini",
		skip: onlyNode,
		whole: func(t *trial) {
			header := inferredBy(t, "gemini", `{"candidates":[]}`, "/models/m-1:generateContent?key=KEY", nil,
				`{"messages":[{"role":"user","content":"hi"}]}`)
			require.Empty(t, header.Get("Authorization"))
		},
	},
	{
		name:     "ai-wrap-retry",
		output:   `{"text":"HI","usage":{"tokens":2}}`,
		attempts: map[string][]int{"wrapped": {0, 1}},
		gaps:     []gap{retryGap("wrapped", 1)},
		skip:     map[string]string{"go": "the Go SDK has no ai.wrap"},
	},
	{
		name:     "ai-wrap",
		output:   `{"upper":"LOUD"}`,
		attempts: once("wrapped"),
		skip:     map[string]string{"go": "the Go SDK has no ai.wrap"},
	},
}

var onlyNode = map[string]string{"go": "what differs is in the options, which the other SDKs make"}

// inferredBy has a provider's model answer, and returns the request's header.
// The SDK adds the options' defaults to the body.
func inferredBy(t *trial, provider, answer, uri string, options map[string]any, body string) http.Header {
	api := newRemote(t, http.StatusOK, answer)
	all := map[string]any{"model": "m-1"}
	maps.Copy(all, options)
	t.complete(t.start("/infer-as", map[string]any{
		"url": api.URL, "provider": provider, "options": all,
		"body": map[string]any{"messages": []any{map[string]any{"role": "user", "content": "hi"}}},
	}), answer)
	requests := api.requests()
	require.Len(t, requests, 1)
	require.Equal(t, http.MethodPost, requests[0].method)
	require.Equal(t, uri, requests[0].uri)
	require.Equal(t, "application/json", requests[0].header.Get("Content-Type"))
	require.JSONEq(t, body, requests[0].body)
	return requests[0].header
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

// remote is an HTTP API elsewhere, which gives one answer to everything, or
// another one to all requests but the first.
type remote struct {
	*httptest.Server
	mu  sync.Mutex
	got []request
}

type request struct {
	method, uri, body string
	header            http.Header
}

func newRemote(t *trial, status int, answer string, later ...string) *remote {
	r := &remote{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.mu.Lock()
		r.got = append(r.got, request{req.Method, req.URL.RequestURI(), string(body), req.Header.Clone()})
		again := len(r.got) > 1 && len(later) > 0
		r.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Pong", "1")
		if again {
			_, _ = io.WriteString(w, later[0])
			return
		}
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
