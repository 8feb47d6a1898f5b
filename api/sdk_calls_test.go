package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/history"
	"jetstep/state"
)

func TestSendSignal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(t, "POST", "/v1/signals", `{"signal":"sig-1","data":{"hello":1}}`)
	require.Equal(t, 200, w.Code)
	require.Equal(t, `{"data":{"run_id":"`+knownRun+`"},"metadata":{"fetched_at":"2026-11-25T23:00:52.088477932Z"}}`+"\n", w.Body.String())
	require.Equal(t, "sig-1", f.signals.name)
	require.JSONEq(t, `{"hello":1}`, f.signals.data)
	f.do(t, "POST", "/v1/signals", `{"signal":"sig-2"}`)
	require.Empty(t, f.signals.data)

	f.signals.err = fmt.Errorf("signal: %w", ErrNoSignal)
	for _, test := range []struct {
		body    string
		err     error
		status  int
		message string
	}{
		{`{"signal":"s"}`, ErrNoSignal, 404, "No signal found"},
		{`{"signal":"s"}`, errors.New("no leader"), 500, "Failed to receive signal"},
		{`{"signal":""}`, nil, 400, "Invalid signal data"},
		{`x`, nil, 400, "Invalid signal data"},
		{`{"signal":1}`, nil, 400, "Invalid signal data"},
		{strings.Repeat(" ", maxSignal+1), nil, 413, "Request body cannot exceed 4194304 bytes"},
	} {
		f.signals.err = test.err
		w = f.do(t, "POST", "/v1/signals", test.body)
		require.Equal(t, test.status, w.Code)
		requireMessage(t, test.status, test.message, w.Body.String())
	}
	require.Contains(t, f.log.String(), "no leader")
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	const body = `{"run_id":"` + knownRun + `","fn_id":"1d096226-3dd8-522e-bf41-b1de71388121","qi_id":"NjFx","request_id":"01M8ACT9VTYGGW2FRZH4EJ8VH4","generation_id":1,` +
		`"request_started_at":1795645319040,"steps":[{"id":"a","op":"StepRun","data":1},{"id":"b"}],"ts":1795645319065}`
	for _, path := range []string{"/v1/checkpoint/" + knownRun + "/async", "/v1/http/runs/anything/async"} {
		f := newFixture(t)
		w := f.do(t, "POST", path, body)
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Body.String())
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, CheckpointRequest{RunID: ulid.MustParse(knownRun), FunctionID: uuid.MustParse("1d096226-3dd8-522e-bf41-b1de71388121"),
			QueueItemID: "NjFx", RequestID: "01M8ACT9VTYGGW2FRZH4EJ8VH4", Generation: 1, RequestStartedAt: 1795645319040,
			Steps: []json.RawMessage{json.RawMessage(`{"id":"a","op":"StepRun","data":1}`), json.RawMessage(`{"id":"b"}`)}}, f.runs.checkpoint)
	}
	f := newFixture(t)
	require.Equal(t, 200, f.do(t, "POST", "/v1/checkpoint/x/async", `{}`).Code, "no steps, nothing to do")
	require.Equal(t, 200, f.do(t, "POST", "/v1/checkpoint/x/async", `{"run_id":"`+knownRun+`","steps":[1]}`).Code)
}

func TestCheckpointOutlivesItsClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := httptest.NewRequestWithContext(ctx, "POST", "/v1/checkpoint/x/async", strings.NewReader(`{"run_id":"`+knownRun+`","steps":[1]}`))
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, req)
	require.Equal(t, 200, w.Code)
	require.Len(t, f.runs.checkpoint.Steps, 1)
}

func TestCheckpointErrors(t *testing.T) {
	t.Parallel()
	const valid = `{"run_id":"` + knownRun + `","steps":[{}]}`
	const data = `{"run_id":"` + knownRun + `"}`
	for _, test := range []struct {
		body    string
		err     error
		status  int
		message string
		data    string
	}{
		{`{x`, nil, 400, `invalid request body: invalid character 'x' looking for beginning of object key string`, `null`},
		{`{"steps":[1]}`, nil, 400, `invalid request body: run_id is not a ULID`, `null`},
		{`{"run_id":"` + knownRun + `","fn_id":"x","steps":[1]}`, nil, 400, `invalid request body: fn_id is not a UUID`, `null`},
		{strings.Repeat(" ", maxCheckpoint+1), nil, 413, `Request body cannot exceed 41943040 bytes`, `null`},
		{valid, fmt.Errorf("load: %w", ErrRunNotFound), 400, `run not found in state store`, data},
		{valid, ErrRunEnded, 400, `run not found in state store`, data},
		{valid, fmt.Errorf("%w: Sleep", ErrRefusedStep), 400, `step cannot be checkpointed: Sleep`, data},
		{valid, fmt.Errorf("step a %w", ErrStepTooLarge), 413, `step a step output too large`, data},
		{valid, ErrStateTooLarge, 413, `run state size limit exceeded`, data},
		{valid, ErrStaleDispatch, 409, `stale dispatch`, data},
		{valid, errors.New("no leader"), 500, `Internal error`, data},
	} {
		f := newFixture(t)
		f.runs.err = test.err
		w := f.do(t, "POST", "/v1/checkpoint/x/async", test.body)
		require.Equal(t, test.status, w.Code, test.message)
		require.Equal(t, fmt.Sprintf(`{"error":"%s","data":%s,"status":%d}`+"\n", test.message, test.data, test.status), w.Body.String())
		require.Equal(t, test.status == 500, strings.Contains(f.log.String(), "no leader"))
	}
}

func TestBodiesThatBreakOff(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/v1/signals":         `{"error":"Unable to read request body","data":null,"status":400}` + "\n",
		"/v1/traces/userland": `{"message":"Error reading body"}`,
		"/e/x":                `{"ids":[""],"status":400,"error":"Unable to read request body"}` + "\n",
	} {
		req := httptest.NewRequestWithContext(t.Context(), "POST", path, iotest.ErrReader(io.ErrUnexpectedEOF))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		newFixture(t).Handler().ServeHTTP(w, req)
		require.Equal(t, 400, w.Code)
		require.Equal(t, want, w.Body.String())
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(t, "GET", "/", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/html; charset=UTF-8", w.Header().Get("Content-Type"))
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, w.Body.String(), "No app is registered")
	require.Contains(t, w.Body.String(), "Nothing has run yet")
	require.Contains(t, w.Body.String(), "No event came in the last hour")
	require.Equal(t, 200, f.do(t, "HEAD", "/", "").Code)

	app := demoApp()
	app.Error = `<script>alert("x")</script>`
	f.catalog.apps = []*function.App{app, {URL: "http://localhost:3001/x", Error: "unreachable"}}
	f.notReady = []string{"partition 1 is loading"}
	app.Archived = []function.Function{{ID: uuid.NameSpaceURL, Slug: "demo-removed"}}
	old := ranRun()
	old.ID, old.FunctionID, old.QueuedAt = ulid.Make(), uuid.NameSpaceURL, now.Add(-time.Hour)
	running := ranRun()
	f.history.RunScheduled(running)
	f.history.RunWaits(running.ID, "waits for concurrency")
	f.history.RunScheduled(old) // read late, from another log
	ended := ranRun()
	ended.ID, ended.FunctionID = ulid.MustParse(goneRun), uuid.NameSpaceOID
	f.history.RunScheduled(ended)
	f.history.RunFinished(ended.ID, state.Failed, json.RawMessage(`{"error":{"name":"Error","message":"<b>boom"}}`), now.Add(1500*time.Millisecond))
	f.history.EventReceived(ulid.MustParse(eventText), 7, 0, now)
	f.past.events = []history.Event{{InternalID: ulid.MustParse(eventText), Name: "demo/unheard", ReceivedAt: now}}
	page := f.do(t, "GET", "/", "").Body.String()
	for _, text := range []string{
		"1.2.3", "demo", "js v4.24.0", "&lt;script&gt;", "demo-sleeper", "demo/sleep if event.data.ok == true, cron * * * * *, demo/other",
		"not registered yet", "http://localhost:3001/x", "unreachable", "Not ready: partition 1 is loading",
		knownRun, "waits for concurrency", "Scheduled", goneRun, "Failed", "1.5s", uuid.NameSpaceOID.String(), "2026-11-25 23:00:52",
		"&lt;b&gt;boom", "demo/unheard", eventText, "matched no function and no wait",
	} {
		require.Contains(t, page, text)
	}
	require.NotContains(t, page, "<script>")
	require.Less(t, strings.Index(page, knownRun), strings.Index(page, "demo-removed"), "the latest first")
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		`{"message":"boom"}`:            "boom",
		`{"error":{"message":"inner"}}`: "inner",
		`{"error":"text","message":""}`: "",
		`"text"`:                        "",
		``:                              "",
		`{"message":"` + strings.Repeat("é", 200) + `"}`: strings.Repeat("é", maxErrorText/2) + "\u2026",
	} {
		require.Equal(t, want, errorText(json.RawMessage(output)), output)
	}
}

func TestPageInStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	w := f.do(t, "GET", "/", "")
	require.Equal(t, 401, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), "Basic realm=")
	require.Equal(t, 401, f.do(t, "GET", "/", "", "Authorization: Basic dTp3cm9uZw==").Code)
	require.Equal(t, 200, f.do(t, "GET", "/", "", "Authorization: Basic OmFiY2RlZjAxMjM0NTY3ODk=").Code, "the key as a password")
	require.Equal(t, 200, f.do(t, "GET", "/", "", "Authorization: Bearer "+testKey).Code)

	f = newFixture(t, func(cfg *Config) { cfg.UI = false })
	require.Equal(t, 404, f.do(t, "GET", "/", "").Code)
}
