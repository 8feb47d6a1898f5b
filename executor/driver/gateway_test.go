package driver

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/jcs"
)

// remote is a third party's server that remembers the last request.
type remote struct {
	url  string
	last chan *http.Request
	body chan string
}

func newRemote(t *testing.T, answer http.HandlerFunc) remote {
	t.Helper()
	r := remote{last: make(chan *http.Request, 1), body: make(chan string, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.last <- req
		r.body <- string(body)
		w.Header()["Date"] = nil
		answer(w, req)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func TestGateway(t *testing.T) {
	t.Parallel()
	r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Add("X-Pong", "1")
		w.Header().Add("X-Pong", "2")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "pong!")
	})
	caller := newCaller(t, Config{SigningKey: testKey})
	answer, failed := caller.Gateway(t.Context(), GatewayOpts{
		URL: r.url + "/ping?x=1", Method: "PUT", Headers: map[string]string{"x-a": "b"}, Body: `{"q":1}`,
	})
	require.Nil(t, failed)
	require.Equal(t, `{"data":{"body":"pong!","headers":{"Content-Length":"5","Content-Type":"text/plain","X-Pong":"1,2"},"status_code":418,"url":"`+r.url+`/ping?x=1"}}`, string(answer.Memo))
	require.Equal(t, Sent{Status: http.StatusTeapot, Size: 5}, answer.Sent)
	canonical, err := jcs.Canonicalize(answer.Memo)
	require.NoError(t, err)
	require.Equal(t, string(canonical), string(answer.Memo))

	request := <-r.last
	require.Equal(t, "PUT", request.Method)
	require.Equal(t, `{"q":1}`, <-r.body)
	require.Equal(t, "b", request.Header.Get("X-A"))
	require.Equal(t, "Inngest", request.UserAgent())
	require.NotContains(t, request.Header, "Content-Type")
	require.NotContains(t, request.Header, "X-Inngest-Signature")
}

func TestGatewayBody(t *testing.T) {
	t.Parallel()
	r := newRemote(t, func(http.ResponseWriter, *http.Request) {})
	caller := newCaller(t, Config{})
	for body, want := range map[string]string{"hello txt": `"hello txt"`, `[1, 2]`: `[1, 2]`, "": ""} {
		_, failed := caller.Gateway(t.Context(), GatewayOpts{URL: r.url, Method: "POST", Body: body})
		require.Nil(t, failed)
		<-r.last
		require.Equal(t, want, <-r.body)
	}
}

func TestGatewayDecompresses(t *testing.T) {
	t.Parallel()
	r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header()["Content-Type"] = nil
		encoder := gzip.NewWriter(w)
		_, _ = io.WriteString(encoder, "pong!")
		_ = encoder.Close()
	})
	answer, failed := newCaller(t, Config{}).Gateway(t.Context(), GatewayOpts{URL: r.url, Method: "GET"})
	require.Nil(t, failed)
	require.Equal(t, `{"data":{"body":"pong!","headers":{},"status_code":200,"url":"`+r.url+`"}}`, string(answer.Memo))
	require.Equal(t, Sent{Status: http.StatusOK, Size: 5}, answer.Sent, "decoded")
}

func TestGatewayTrouble(t *testing.T) {
	t.Parallel()
	caller := newCaller(t, Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, io.EOF })})
	answer, failed := caller.Gateway(t.Context(), GatewayOpts{URL: "http://h/", Method: "POST"})
	require.Zero(t, answer)
	require.Zero(t, failed.Sent)
	require.Equal(t, `{"error":{"message":"Error making gateway request: Unable to reach SDK URL","name":"GatewayError"}}`, string(failed.Memo))
	require.EqualError(t, failed, "Error making gateway request: Unable to reach SDK URL")
	require.ErrorIs(t, failed, io.EOF)

	for _, opts := range []GatewayOpts{{URL: "http://h/", Method: "GET PUT"}, {URL: "::", Method: "GET"}} {
		_, failed = caller.Gateway(t.Context(), opts)
		require.Equal(t, "GatewayError", failed.Name)
		require.True(t, json.Valid(failed.Memo))
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, failed = newCaller(t, Config{}).Gateway(ctx, GatewayOpts{URL: "http://localhost/", Method: "GET"})
	require.ErrorIs(t, failed, context.Canceled)
}

func TestAIGateway(t *testing.T) {
	t.Parallel()
	r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"x", "choices":[]}`) })
	caller := newCaller(t, Config{})
	for _, tc := range []struct {
		format, uri string
		header      string
		want        []string
	}{
		{"", "/ai?v=1", "Authorization", []string{"Bearer KEY"}},
		{"openai-chat", "/ai?v=1", "Authorization", []string{"Bearer KEY", "Mine"}},
		{"anthropic", "/ai?v=1", "X-Api-Key", []string{"KEY"}},
		{"bedrock", "/ai?v=1", "Authorization", []string{"KEY"}},
		{"gemini", "/ai?key=KEY&v=1", "Authorization", nil},
	} {
		opts := AIGatewayOpts{
			URL: r.url + "/ai?v=1", Format: tc.format, AuthKey: "KEY", Body: json.RawMessage(`{"messages":[]}`),
			Headers: map[string]string{"anthropic-version": "2023-06-01"},
		}
		if len(tc.want) > 1 {
			opts.Headers[tc.header] = tc.want[1]
		}
		answer, failed := caller.AIGateway(t.Context(), opts)
		require.Nil(t, failed)
		require.Equal(t, `{"data":{"choices":[],"id":"x"}}`, string(answer.Memo))
		request := <-r.last
		require.Equal(t, `{"messages":[]}`, <-r.body)
		require.Equal(t, "POST", request.Method)
		require.Equal(t, tc.uri, request.RequestURI)
		require.Equal(t, tc.want, request.Header[tc.header], tc.format)
		require.Equal(t, "application/json", request.Header.Get("Content-Type"))
		require.Equal(t, "2023-06-01", request.Header.Get("Anthropic-Version"))
	}
}

func TestAIGatewayAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		status int
		body   string
		memo   string
		failed string
	}{
		{"text", 200, `hi`, `{"data":"hi"}`, ""},
		{"nothing", 204, ``, `{"data":null}`, ""},
		{"number out of range", 200, `1e999`, "", "Error making AI request: canonicalize JSON: number at byte 0 is out of range"},
		{
			"error", 429, `{"error":{"message":"rate"}}`,
			`{"error":{"data":{"error":{"message":"rate"}},"message":"Error making AI request: unsuccessful status code: 429","name":"AIGatewayError","stack":"{\"error\":{\"message\":\"rate\"}}"}}`,
			"Error making AI request: unsuccessful status code: 429",
		},
		{
			"text of an error", 500, `oops`,
			`{"error":{"data":"oops","message":"Error making AI request: unsuccessful status code: 500","name":"AIGatewayError","stack":"oops"}}`,
			"Error making AI request: unsuccessful status code: 500",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			answer, failed := newCaller(t, Config{}).AIGateway(t.Context(), AIGatewayOpts{URL: r.url, Body: json.RawMessage(`{}`)})
			if tc.failed == "" {
				require.Nil(t, failed)
				require.Equal(t, tc.memo, string(answer.Memo))
				require.Equal(t, Sent{tc.status, len(tc.body)}, answer.Sent)
				return
			}
			require.Equal(t, Sent{tc.status, len(tc.body)}, failed.Sent)
			require.EqualError(t, failed, tc.failed)
			require.True(t, json.Valid(failed.Memo))
			if tc.memo != "" {
				require.Equal(t, tc.memo, string(failed.Memo))
			}
		})
	}
}

func TestAIGatewayTrouble(t *testing.T) {
	t.Parallel()
	caller := newCaller(t, Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, io.EOF })})
	_, failed := caller.AIGateway(t.Context(), AIGatewayOpts{URL: "http://h/"})
	require.Equal(t, `{"error":{"data":{"error":"Error making AI request"},"message":"Error making AI request: Unable to reach SDK URL","name":"AIGatewayError","stack":"{\"error\":\"Error making AI request\"}"}}`, string(failed.Memo))
	for _, opts := range []AIGatewayOpts{{URL: "::"}, {URL: "::", Format: "gemini"}} {
		_, failed = caller.AIGateway(t.Context(), opts)
		require.Equal(t, "AIGatewayError", failed.Name)
	}
}
