package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history"
	"jetstep/state"
)

// fakeEndpoints notes what apps say, and answers as it is told.
type fakeEndpoints struct {
	mu       sync.Mutex
	started  []EndpointStart
	reported []string // run and number of steps
	err      error
	report   error
	results  []EndpointResult // the last one is given again
	missing  []error          // of the first questions
	asked    ulid.ULID
}

func (e *fakeEndpoints) Begin(_ context.Context, s EndpointStart) (Begun, error) {
	e.started = append(e.started, s)
	return Begun{FunctionID: uuid.UUID{1}, AppID: uuid.UUID{2}}, e.err
}

func (e *fakeEndpoints) Report(_ context.Context, run ulid.ULID, steps []json.RawMessage) error {
	e.reported = append(e.reported, fmt.Sprintf("%s %d", run, len(steps)))
	return e.report
}

func (e *fakeEndpoints) Result(_ context.Context, run ulid.ULID) (EndpointResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = run
	if len(e.missing) > 0 {
		err := e.missing[0]
		e.missing = e.missing[1:]
		return EndpointResult{}, err
	}
	return e.results[0], nil
}

// withEndpoints makes a fixture have them.
func withEndpoints(e *fakeEndpoints) func(*Config) { return func(c *Config) { c.Endpoints = e } }

const (
	endpointRun = "01M8ACXK11QPZC2XFEA38EZN7D"
	// Captured, sdk-protocol §19.1.
	endpointStart = `{"run_id":"` + endpointRun + `","event":{"name":"inngest/http.request","data":{"content_type":"","domain":"http://127.0.0.1:18101",` +
		`"ip":"","method":"GET","path":"/simple","query_params":"x=1","body":"","fn":""}},"steps":[{"op":"StepRun","id":"a"}],"ts":1795645426744,"request_version":2,"retries":3}`
)

func TestStartOfAnEndpointsRun(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/checkpoint", "/v1/http/runs"} {
		e := &fakeEndpoints{}
		f := newFixture(t, withEndpoints(e))
		w := f.do(t, "POST", path, endpointStart, "X-Inngest-Sdk: inngest-js:v4.24.0")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		var answer struct {
			Data struct {
				FnID          uuid.UUID `json:"fn_id"`
				AppID         uuid.UUID `json:"app_id"`
				RunID         string    `json:"run_id"`
				Token         string
				RealtimeToken string `json:"realtime_token"`
			}
			Metadata struct {
				FetchedAt time.Time `json:"fetched_at"`
			}
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Equal(t, uuid.UUID{1}, answer.Data.FnID)
		require.Equal(t, uuid.UUID{2}, answer.Data.AppID)
		require.Equal(t, endpointRun, answer.Data.RunID)
		require.Equal(t, now, answer.Metadata.FetchedAt)
		require.NotEmpty(t, answer.Data.RealtimeToken)
		run, err := f.tokens.verify(answer.Data.Token)
		require.NoError(t, err)
		require.Equal(t, endpointRun, run.String())

		three, two := 3, 2
		require.Equal(t, []EndpointStart{{
			RunID: run, EventName: "inngest/http.request", SDK: "inngest-js:v4.24.0", Retries: &three, Version: &two, Data: e.started[0].Data,
		}}, e.started)
		require.Contains(t, string(e.started[0].Data), `"path":"/simple"`)
		require.Equal(t, []string{endpointRun + " 1"}, e.reported)
	}
}

func TestStartWithoutSteps(t *testing.T) {
	t.Parallel()
	e := &fakeEndpoints{}
	f := newFixture(t, withEndpoints(e))
	w := f.do(t, "POST", "/v1/http/runs", `{"run_id":"`+endpointRun+`","idempotency":"k","event":{"id":"i","ts":7,"v":"1","data":{}}}`, "User-Agent: Go-http-client/1.1")
	require.Equal(t, http.StatusOK, w.Code)
	require.NotContains(t, w.Body.String(), `"token"`)
	require.Equal(t, "go", e.started[0].SDK)
	require.Equal(t, EndpointStart{
		RunID: ulid.MustParse(endpointRun), Idempotency: "k", EventID: "i", EventTime: 7, EventV: "1", SDK: "go", Data: json.RawMessage(`{}`),
	}, e.started[0])
	require.Empty(t, e.reported)
	f.do(t, "POST", "/v1/checkpoint", endpointStart)
	require.Empty(t, e.started[1].SDK)
}

func TestStartsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		fails  *fakeEndpoints
		status int
		says   string
	}{
		"no JSON":            {`{`, &fakeEndpoints{}, 400, "Invalid request body"},
		"nothing":            {`{}`, &fakeEndpoints{}, 400, "Invalid request body"},
		"no run id":          {`{"run_id":"x"}`, &fakeEndpoints{}, 400, "Invalid request body"},
		"run zero":           {`{"run_id":"00000000000000000000000000"}`, &fakeEndpoints{}, 400, "Invalid request body"},
		"no request":         {endpointStart, &fakeEndpoints{err: ErrBadEndpoint}, 400, "Invalid request body"},
		"another run":        {endpointStart, &fakeEndpoints{err: ErrRunExists}, 409, "Run already exists"},
		"trouble":            {endpointStart, &fakeEndpoints{err: errors.New("secret")}, 500, "Failed to schedule run"},
		"trouble with steps": {endpointStart, &fakeEndpoints{report: errors.New("secret")}, 500, "Internal error"},
		"too large":          {`"` + strings.Repeat("x", maxEndpointStart) + `"`, &fakeEndpoints{}, 413, "cannot exceed"},
	} {
		f := newFixture(t, withEndpoints(c.fails))
		w := f.do(t, "POST", "/v1/checkpoint", c.body)
		require.Equal(t, c.status, w.Code, name)
		require.Contains(t, w.Body.String(), c.says, name)
		require.NotContains(t, w.Body.String(), "secret", name)
	}
}

// sdk-protocol §19.2: only what could not be recorded is reported again.
func TestReportedSteps(t *testing.T) {
	t.Parallel()
	body := `{"run_id":"` + endpointRun + `","fn_id":"` + uuid.NewString() + `","steps":[{},{}]}`
	for name, c := range map[string]struct {
		body   string
		err    error
		status int
		says   string
	}{
		"recorded":       {body, nil, 200, ""},
		"nothing":        {`{}`, nil, 200, ""},
		"unknown run":    {body, fmt.Errorf("x: %w", ErrRunNotFound), 200, ""},
		"dropped":        {body, ErrStepTooLarge, 200, ""},
		"not a sync run": {body, ErrRefusedStep, 200, ""},
		"too much":       {body, ErrStateTooLarge, 200, ""},
		"trouble":        {body, errors.New("secret"), 500, "Internal error"},
		"no JSON":        {`{`, nil, 400, "invalid request body: "},
	} {
		e := &fakeEndpoints{report: c.err}
		f := newFixture(t, withEndpoints(e))
		for _, prefix := range []string{"/v1/checkpoint/", "/v1/http/runs/"} {
			w := f.do(t, "POST", prefix+knownRun+"/steps", c.body)
			require.Equal(t, c.status, w.Code, name)
			require.Contains(t, w.Body.String(), c.says, name)
		}
		if c.body == body {
			require.Equal(t, []string{endpointRun + " 2", endpointRun + " 2"}, e.reported, "the run of the body counts")
		}
	}
}

func TestResultOfAnEndpointsRun(t *testing.T) {
	t.Parallel()
	e := &fakeEndpoints{
		missing: []error{ErrRunLive, ErrRunNotFound, history.ErrUnavailable},
		results: []EndpointResult{{
			Output: json.RawMessage(`{}`), Status: 201, Body: []byte("made"),
			Headers: map[string]string{"content-type": "text/plain", "x-own": "yes", "content-length": "99", "content-security-policy": "none"},
		}},
	}
	f := newFixture(t, withEndpoints(e), inStart)
	token, err := f.tokens.mint(ulid.MustParse(endpointRun))
	require.NoError(t, err)
	w := f.do(t, "GET", "/v1/http/runs/"+knownRun+"/output?token="+token, "")
	require.Equal(t, 201, w.Code, w.Body)
	require.Equal(t, "made", w.Body.String())
	require.Equal(t, "text/plain", w.Header().Get("Content-Type"))
	require.Equal(t, "yes", w.Header().Get("X-Own"))
	require.Empty(t, w.Header().Get("Content-Length"))
	require.Equal(t, "sandbox", w.Header().Get("Content-Security-Policy"))
	require.Equal(t, endpointRun, e.asked.String(), "the run of the token counts")

	e.results[0] = EndpointResult{Output: json.RawMessage(`{"x":1}`)}
	w = f.do(t, "GET", "/v1/checkpoint/"+knownRun+"/output?token="+token, "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, `{"x":1}`, w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))

	e.results[0] = EndpointResult{}
	w = f.do(t, "GET", "/v1/checkpoint/"+knownRun+"/output?token="+token, "")
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Body.String())

	e.missing = []error{errors.New("secret")}
	w = f.do(t, "GET", "/v1/checkpoint/"+knownRun+"/output?token="+token, "")
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "secret")
}

func TestResultThatDoesNotCome(t *testing.T) {
	t.Parallel()
	e := &fakeEndpoints{missing: make([]error, 1000)}
	for i := range e.missing {
		e.missing[i] = ErrRunLive
	}
	f := newFixture(t, withEndpoints(e))
	f.outputWait = 30 * time.Millisecond
	token, err := f.tokens.mint(ulid.MustParse(endpointRun))
	require.NoError(t, err)
	w := f.do(t, "GET", "/v1/checkpoint/"+endpointRun+"/output?token="+token, "")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"status":"running","message":"run did not end within 5 minutes"}`, w.Body.String())
}

func TestRunTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withEndpoints(&fakeEndpoints{}), inStart)
	run := ulid.MustParse(endpointRun)
	at := now
	clock := func() time.Time { return at }
	own := newRunTokens([]string{testKey}, clock)
	good, err := own.mint(run)
	require.NoError(t, err)
	older, err := newRunTokens([]string{testKey}, func() time.Time { return at.Add(-2 * runTokenLife) }).mint(run)
	require.NoError(t, err)
	foreign, err := newRunTokens(nil, clock).mint(run)
	require.NoError(t, err)
	nobody, err := own.mint(ulid.ULID{})
	require.NoError(t, err)
	got, err := newRunTokens([]string{"0123", testKey}, clock).verify(good)
	require.NoError(t, err, "keys may be rotated")
	require.Equal(t, run, got)
	for name, token := range map[string]string{"none": "", "no token": "x", "expired": older, "of another key": foreign, "of no run": nobody} {
		w := f.do(t, "GET", "/v1/checkpoint/"+endpointRun+"/output?token="+token, "")
		require.Equal(t, 401, w.Code, name)
		require.JSONEq(t, `{"error":"Unable to find run with auth token","data":null,"status":401}`, w.Body.String(), name)
	}
}

// fakeMetadata notes what is attached.
type fakeMetadata struct {
	put *state.MetadataPut
	err error
}

func (m *fakeMetadata) AddMetadata(_ context.Context, put *state.MetadataPut) error {
	m.put = put
	return m.err
}

// http-api §10.
func TestAddMetadata(t *testing.T) {
	t.Parallel()
	item := `{"kind":"userland.x","op":"merge","values":{"a":1}}`
	list := `"metadata":[` + item + `]`
	const hashA, hashA1 = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8", "de89bfaf06245091a7873290a793604612302247"
	put := func(scope, step string, attempt int, span string) *state.MetadataPut {
		return &state.MetadataPut{RunID: ulid.MustParse(knownRun), Step: step, Attempt: attempt, Span: span, Items: []state.Metadata{
			{Scope: scope, Kind: "userland.x", Op: "merge", Values: json.RawMessage(`{"a":1}`)},
		}}
	}
	target := `{"error":"Invalid metadata target","data":null,"status":400}`
	large := strings.Repeat("x", state.MaxMetadata)
	for name, c := range map[string]struct {
		body   string
		err    error
		want   *state.MetadataPut
		status int
		says   string
	}{
		"of the run":           {body: `{` + list + `}`, want: put("run", "", -1, ""), status: 200},
		"as the SDK sends it":  {body: `{"target":{"run_id":"x"},` + list + `}`, want: put("run", "", -1, ""), status: 200},
		"of a step":            {body: `{"target":{"step_id":"a"},` + list + `}`, want: put("step", hashA, -1, ""), status: 200},
		"of a repeated step":   {body: `{"target":{"step_id":"a","step_index":1,"step_attempt":2},` + list + `}`, want: put("step", hashA1, 2, ""), status: 200},
		"of a span":            {body: `{"target":{"step_id":"a","step_index":0,"step_attempt":-1,"span_id":"s"},` + list + `}`, want: put("extended_trace", hashA, -1, "s"), status: 200},
		"nothing":              {body: `{"metadata":[]}`, status: 200},
		"no JSON":              {body: `{`, status: 400, says: target},
		"target no object":     {body: `{"target":1}`, status: 400, says: target},
		"index without a step": {body: `{"target":{"step_index":1},` + list + `}`, status: 400, says: target},
		"span without a step":  {body: `{"target":{"span_id":"s"},` + list + `}`, status: 400, says: target},
		"negative index":       {body: `{"target":{"step_id":"a","step_index":-1},` + list + `}`, status: 400, says: target},
		"reserved kind":        {body: `{"metadata":[{"kind":"inngest.usage","op":"set","values":{}}]}`, status: 400, says: `{"error":"Invalid metadata","data":null,"status":400}`},
		"too large": {body: `{"metadata":[{"kind":"k","op":"set","values":{"a":"` + large + `"}}]}`, status: 413,
			says: `{"error":"Metadata span exceeds maximum size of 64KB","data":null,"status":413}`},
		"too large together": {body: `{"metadata":[{"kind":"k","op":"set","values":{"a":"` + large[:40000] + `"}},{"kind":"l","op":"set","values":{"a":"` + large[:40000] + `"}}]}`, status: 413,
			says: `{"error":"Metadata span exceeds maximum size of 64KB","data":null,"status":413}`},
		"too much of the run": {body: `{` + list + `}`, err: state.ErrRunMetadataTooLarge, want: put("run", "", -1, ""), status: 413,
			says: `{"error":"Cumulative metadata size exceeds limit","data":null,"status":413}`},
		"trouble": {body: `{` + list + `}`, err: errors.New("secret"), want: put("run", "", -1, ""), status: 500, says: `{"error":"Internal error","data":null,"status":500}`},
	} {
		m := &fakeMetadata{err: c.err}
		f := newFixture(t, func(cfg *Config) { cfg.Metadata = m })
		w := f.do(t, "POST", "/v1/runs/"+knownRun+"/metadata", c.body)
		require.Equal(t, c.status, w.Code, "%s: %s", name, w.Body)
		require.Equal(t, c.want, m.put, name)
		if c.says != "" {
			require.JSONEq(t, c.says, w.Body.String(), name)
		} else {
			require.Empty(t, w.Body.String(), name)
		}
	}
	f := newFixture(t)
	require.Equal(t, 400, f.do(t, "POST", "/v1/runs/x/metadata", `{}`).Code)
	require.Equal(t, 413, f.do(t, "POST", "/v1/runs/"+knownRun+"/metadata", `"`+strings.Repeat("x", maxMetadataBody)+`"`).Code)
}
