package driver

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
)

// repeated is a request as an app got it.
type repeated struct {
	*http.Request
	body string
}

// endpointApp answers re-entries, and hands out what it got.
func endpointApp(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (url string, got <-chan repeated) {
	t.Helper()
	requests := make(chan repeated, 8)
	return sdkAt(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- repeated{r, string(body)}
		answer(w, r)
	}), requests
}

// sdk-protocol §19.6.
func TestReentry(t *testing.T) {
	t.Parallel()
	url, requests := endpointApp(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Inngest-Req-Version", "2")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, `{"op":"RunComplete","id":"c","data":{"status":200,"headers":{},"body":"null"}}`)
	})
	now := time.Unix(1_795_645_522, 0)
	c := newCaller(t, Config{SigningKey: testKey, Now: func() time.Time { return now }})
	req := smallRequest(url)
	req.URL = url + "/pay?x=1"
	req.StepID, req.DisableImmediateExecution = "", true
	req.Reentry = &Reentry{Method: http.MethodPost, Body: []byte(`{"b": 1, "a": 2}`), ContentType: "application/json", SDK: "inngest-js:v4.24.0"}
	answer, err := c.Call(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, KindSteps, answer.Kind)
	require.Equal(t, OpRunComplete, answer.Ops[0].Op, "one op need not be in an array")
	require.Equal(t, req.URL, answer.URL)

	got := <-requests
	require.Equal(t, http.MethodPost, got.Method)
	require.Equal(t, "/pay?x=1", got.RequestURI)
	require.Equal(t, `{"b": 1, "a": 2}`, got.body, "the body is as it was")
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Equal(t, req.RunID.String(), got.Header.Get("X-Run-Id"))
	require.Equal(t, req.RequestID, got.Header.Get("X-Request-Id"))
	require.Equal(t, req.JobID, got.Header.Get("X-Inngest-Job-Id"))
	require.Equal(t, "true", got.Header.Get("X-Inngest-Force-Step-Plan"))
	require.NotContains(t, got.Header, "X-Inngest-Step-Id")
	require.Equal(t, signing.Sign(testKey, []byte(`{"a":2,"b":1}`), now), got.Header.Get(signing.Header))

	req.StepID, req.DisableImmediateExecution = "p1", false
	req.Reentry = &Reentry{Method: http.MethodGet, SDK: "go"}
	_, err = c.Call(t.Context(), req)
	require.NoError(t, err)
	got = <-requests
	require.Equal(t, "p1", got.Header.Get("X-Inngest-Step-Id"))
	require.NotContains(t, got.Header, "X-Inngest-Force-Step-Plan")
	require.NotContains(t, got.Header, "Content-Type")
	require.Empty(t, got.body)
	require.Equal(t, signing.Sign(testKey, nil, now), got.Header.Get(signing.Header))
}

func TestReentryWithoutKey(t *testing.T) {
	t.Parallel()
	url, requests := endpointApp(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "went through")
	})
	req := smallRequest(url)
	req.URL, req.Reentry = url, &Reentry{Method: http.MethodGet}
	answer, err := newCaller(t, Config{}).Call(t.Context(), req)
	require.NoError(t, err)
	got := <-requests
	require.Equal(t, []string{""}, got.Header["X-Inngest-Signature"], "SDKs look for the header")
	require.Equal(t, KindDone, answer.Kind)
	require.JSONEq(t, `{"status":200,"headers":{"content-type":"text/plain"},"body":"went through","duration":0}`, string(answer.Output))

	req.URL = "http://127.0.0.1:0"
	answer, err = newCaller(t, Config{}).Call(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, KindError, answer.Kind)
	req.Reentry.Method = "no method"
	answer, err = newCaller(t, Config{}).Call(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, KindError, answer.Kind)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	req.Reentry.Method = http.MethodGet
	_, err = newCaller(t, Config{}).Call(ended, req)
	require.ErrorIs(t, err, context.Canceled)
}

func TestReentryWithTheOtherKey(t *testing.T) {
	t.Parallel()
	const newKey = "fedcba9876543210fedcba9876543210"
	url, _ := endpointApp(t, func(w http.ResponseWriter, r *http.Request) {
		if signing.Verify(r.Header.Get(signing.Header), nil, time.Now(), newKey) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, `[]`)
	})
	req := smallRequest(url)
	req.URL, req.Reentry = url, &Reentry{Method: http.MethodGet, SDK: "inngest-js:v4.24.0"}
	answer, err := newCaller(t, Config{SigningKey: testKey, FallbackKey: newKey}).Call(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, KindSteps, answer.Kind)
}

func TestWhatReentriesSign(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r    Reentry
		want string
	}{
		"of the Go SDK":   {Reentry{Method: "POST", SDK: "go:v0.15.1", Body: []byte("x")}, ""},
		"of JSON":         {Reentry{Method: "PUT", Body: []byte(`{"b":1,"a":1.50}`)}, `{"a":1.5,"b":1}`},
		"of text":         {Reentry{Method: "POST", Body: []byte(`a=1`)}, `a=1`},
		"of what is read": {Reentry{Method: "PATCH", Body: []byte(`{}`)}, ``},
	} {
		require.Equal(t, c.want, string(c.r.signed()), name)
	}
}
