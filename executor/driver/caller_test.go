package driver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
)

const testKey = "0123456789abcdef0123456789abcdef"

// sdkAt serves handler and returns its URL; answers carry an SDK header.
func sdkAt(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerSDK, "inngest-js:v4.24.0")
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func newCaller(t *testing.T, config Config) *Caller {
	t.Helper()
	caller := New(config)
	t.Cleanup(caller.Close)
	return caller
}

func call(t *testing.T, caller *Caller, url string) *Response {
	t.Helper()
	r, err := caller.Call(t.Context(), smallRequest(url))
	require.NoError(t, err)
	return r
}

func TestCallSendsTheCapturedRequest(t *testing.T) {
	t.Parallel()
	type seen struct {
		request *http.Request
		body    []byte
	}
	requests := make(chan seen, 1)
	url := sdkAt(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r, body}
		w.Header().Set(headerVersion, "2")
		w.WriteHeader(206)
		_, _ = io.WriteString(w, smallAnswer)
	})
	now := time.Unix(1795645522, 0)
	caller := newCaller(t, Config{SigningKey: testKey, RequireSigning: true, Now: func() time.Time { return now }})
	req := smallRequest(url + "/api/inngest?fnId=cl-app-c1&stepId=step")
	req.StepID = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"
	r, err := caller.Call(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, KindSteps, r.Kind)

	got := <-requests
	want, _ := Body(req)
	require.Equal(t, string(want), string(got.body))
	require.Equal(t, "POST", got.request.Method)
	require.Equal(t, "HTTP/1.1", got.request.Proto)
	require.Equal(t, "/api/inngest?fnId=cl-app-c1&stepId="+req.StepID, got.request.RequestURI)
	header := got.request.Header
	for name, want := range map[string]string{
		"Accept-Encoding":         "gzip",
		"Account-Id":              "00000000-0000-4000-a000-000000000000",
		"Content-Length":          fmt.Sprint(len(want)),
		"Content-Type":            "application/json",
		"User-Agent":              "Inngest",
		"X-Inngest-Generation-Id": "1",
		"X-Inngest-Job-Id":        "2s7uvj2zcd8a7",
		"X-Inngest-Req-Version":   "2",
		"X-Inngest-Signature":     signing.Sign(testKey, want, now),
		"X-Inngest-Step-Id":       req.StepID,
		"X-Request-Id":            "01M8AD0GZ9C1JWS3XKQ9BBNHG9",
		"X-Run-Id":                "01M8AD0GK1ZSZ0XPTVGTRXPC9K",
	} {
		require.Equal(t, []string{want}, header[name], name)
		header.Del(name)
	}
	require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`, header.Get("Traceparent"))
	require.Contains(t, header.Get("Tracestate"), "inngest@fn=01c740f1-569c-56c1-9430-67b2462e0c33")
	header.Del("Traceparent")
	header.Del("Tracestate")
	require.Empty(t, header, "no other header is sent")
}

func TestCallOmitsWhatItDoesNotHave(t *testing.T) {
	t.Parallel()
	headers := make(chan http.Header, 1)
	url := sdkAt(t, func(_ http.ResponseWriter, r *http.Request) { headers <- r.Header })
	req := smallRequest(url)
	req.StepID, req.JobID, req.RequestID = "", "", ""
	req.Traceparent, req.Tracestate = "00-aa-bb-01", "mine=1"
	r, err := newCaller(t, Config{}).Call(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, KindDone, r.Kind)
	header := <-headers
	require.Equal(t, "step", header.Get("X-Inngest-Step-Id"))
	require.Equal(t, "00-aa-bb-01", header.Get("Traceparent"))
	require.Equal(t, "mine=1", header.Get("Tracestate"))
	for _, name := range []string{signing.Header, "X-Inngest-Job-Id", "X-Request-Id"} {
		require.NotContains(t, header, name)
	}
}

func TestCallVerifiesAnswersWhereSigningIsRequired(t *testing.T) {
	t.Parallel()
	url := sdkAt(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(signing.Header, signing.Sign("00", []byte("{}"), time.Now()))
		_, _ = io.WriteString(w, "{}")
	})
	require.Equal(t, "sig_verification_failed", call(t, newCaller(t, Config{SigningKey: testKey, RequireSigning: true}), url).Code)
	require.Equal(t, KindDone, call(t, newCaller(t, Config{SigningKey: testKey, RequireSigning: true, FallbackKey: "00"}), url).Kind)
	require.Equal(t, KindDone, call(t, newCaller(t, Config{SigningKey: testKey}), url).Kind)
}

func TestCallRefuses(t *testing.T) {
	t.Parallel()
	r := call(t, newCaller(t, Config{RequireSigning: true}), "http://localhost/")
	require.Equal(t, "server requires that a signing key is set to run functions", r.ErrorText)
	require.True(t, r.NoRetry)
	r = call(t, newCaller(t, Config{}), "ws://connect?fnId=a")
	require.Equal(t, KindError, r.Kind)
	require.Contains(t, r.ErrorText, "not an absolute http URL")
}

func TestCallEndsAfterTheRequestTimeout(t *testing.T) {
	t.Parallel()
	url := sdkAt(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	r := call(t, newCaller(t, Config{RequestTimeout: 20 * time.Millisecond}), url)
	require.Equal(t, "request_duration_too_long", r.Code)
	require.Positive(t, r.Duration)
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{})
	url := sdkAt(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(reached)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	r, err := newCaller(t, Config{}).Call(ctx, smallRequest(url))
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, r)
}

func TestResponseOfACallIsReady(t *testing.T) {
	t.Parallel()
	url := sdkAt(t, answerSteps)
	r := call(t, newCaller(t, Config{}), url)
	require.Equal(t, KindSteps, r.Kind)
	memo, err := MemoData(r.Ops[0].Data)
	require.NoError(t, err)
	require.Equal(t, json.RawMessage(`{"data":{"a":1}}`), memo)
}

// What was called stands in every response, whatever became of the call.
func TestResponseSaysWhatWasCalled(t *testing.T) {
	t.Parallel()
	url := sdkAt(t, answerSteps)
	caller := newCaller(t, Config{})
	for _, c := range []struct{ uri, step, want string }{
		{url + "/api?fnId=a", "", url + "/api?fnId=a&stepId=step"},
		{url + "/api?stepId=x&fnId=a&z=1", "e0 9", url + "/api?fnId=a&stepId=e0+9&z=1"},
		{"http://127.0.0.1:1/?fnId=a", "", "http://127.0.0.1:1/?fnId=a&stepId=step"},
		{"ws://connect?fnId=a", "", "ws://connect?fnId=a"},
	} {
		req := smallRequest(c.uri)
		req.StepID = c.step
		r, err := caller.Call(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, c.want, r.URL)
	}
	require.Equal(t, "http://h", call(t, newCaller(t, Config{RequireSigning: true}), "http://h").URL)
}
