package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	v2 "jetstep/api/v2"
	"jetstep/bus"
	"jetstep/function"
)

var eventID = ulid.MustParse("01M8AFXGSDDVY8CE8ZQ8SVBRWY")

const runID = "01M8AFXH2MZX2KYF8QXVZKBF7M"

// rest answers what it is told to, and keeps what it was asked.
type rest struct {
	mu      sync.Mutex
	asked   []string // "METHOD path body"
	answers map[string][]string
}

// ServeHTTP answers with the next of the answers for the path, and goes on with
// the last one. An answer is a status and a body.
func (s *rest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	answers := s.answers[r.URL.Path]
	if len(answers) == 0 {
		_, _ = io.WriteString(w, `{"data":{},"metadata":{}}`)
		return
	}
	if len(answers) > 1 {
		s.answers[r.URL.Path] = answers[1:]
	}
	var status int
	_, _ = fmt.Sscan(answers[0], &status)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answers[0][4:])
}

// events keeps what is sent.
type events struct {
	sent []string
	err  error
}

func (e *events) Send(_ context.Context, event []byte) (ulid.ULID, error) {
	e.sent = append(e.sent, string(event))
	return eventID, e.err
}

func (e *events) Invoke(_ context.Context, slug string, body []byte, _ string) (ulid.ULID, error) {
	e.sent = append(e.sent, slug+" "+string(body))
	return eventID, e.err
}

type catalog struct{ apps []*function.App }

func (c catalog) Catalog() *bus.Catalog { return bus.NewCatalog(c.apps) }

type fixture struct {
	rest   *rest
	events *events
	url    string
	client *mcp.ClientSession
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{rest: &rest{answers: map[string][]string{}}, events: &events{}}
	app := &function.App{ID: uuid.New(), Name: "shop", Functions: []function.Function{{
		ID: uuid.New(), Slug: "shop-pay", Triggers: []function.Trigger{{Event: "shop/paid"}},
	}}}
	server := New(Config{
		REST: f.rest, Events: f.events, Catalog: catalog{[]*function.App{app}}, Version: "1.2.3",
		Docs: fstest.MapFS{
			"a.md": {Data: []byte("# First page\n\nAbout runs.\n")}, "b.md": {Data: []byte("No heading\nRuns end.\nruns")}, "c.txt": {Data: []byte("runs")},
		},
	})
	mux := http.NewServeMux()
	mux.Handle("/mcp", server)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	t.Cleanup(server.Close) // first: it ends streams
	f.url = web.URL + "/mcp"
	var err error
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	f.client, err = client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: f.url}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.client.Close() })
	return f
}

// use calls a tool, and returns the text of its result.
func (f *fixture) use(t *testing.T, tool string, arguments any) (text string, isError bool) {
	t.Helper()
	got, err := f.client.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	require.NoError(t, err, tool)
	require.Len(t, got.Content, 1)
	text = got.Content[0].(*mcp.TextContent).Text
	if !got.IsError {
		structured, err := json.Marshal(got.StructuredContent)
		require.NoError(t, err)
		require.JSONEq(t, text, string(structured), "both forms say the same")
	}
	return text, got.IsError
}

type arguments map[string]any

// TestHandshake is that of http-api §15.
func TestHandshake(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	post := func(body string, header map[string]string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		for name, value := range header {
			r.Header.Set(name, value)
		}
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer
	}
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
	answer := post(hello, nil)
	require.Equal(t, 200, answer.StatusCode)
	session := answer.Header.Get("Mcp-Session-Id")
	require.NotEmpty(t, session)
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"logging":{},"tools":{}},"protocolVersion":"2025-03-26","serverInfo":{"name":"jetstep","title":"Jetstep MCP tools","version":"1.2.3"}}}`, string(body))

	in := map[string]string{"Mcp-Session-Id": session}
	require.Equal(t, 202, post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, in).StatusCode)
	require.Equal(t, 400, post(hello, map[string]string{"Accept": "application/json"}).StatusCode)
	bad, err := http.Get(f.url)
	require.NoError(t, err)
	defer bad.Body.Close()
	require.Equal(t, 400, bad.StatusCode, "a stream needs a session")
}

// TestForeignHost: a page in a browser cannot reach a server without a key by
// a name that it has made point here.
func TestForeignHost(t *testing.T) {
	t.Parallel()
	for trusted, want := range map[bool]int{false: 403, true: 400} {
		server := New(Config{Docs: fstest.MapFS{}, Trusted: trusted})
		t.Cleanup(server.Close)
		web := httptest.NewServer(server)
		t.Cleanup(web.Close)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL, strings.NewReader("{"))
		require.NoError(t, err)
		r.Host = "evil.example"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_ = answer.Body.Close()
		require.Equal(t, want, answer.StatusCode)
	}
}

func TestTools(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	listed, err := f.client.ListTools(t.Context(), nil)
	require.NoError(t, err)
	var names []string
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
		require.NotEmpty(t, tool.Description, tool.Name)
	}
	require.ElementsMatch(t, []string{
		"send_event", "get_run_status", "poll_run_status", "invoke_function_sync", "grep_docs", "read_doc", "list_docs",
		"health", "get_run", "list_runs", "list_function_runs", "get_event_runs", "rerun", "cancel_run", "get_app", "get_apps",
		"get_run_trace", "get_function", "list_functions", "invoke_function",
	}, names)
}

// TestEveryToolOfREST has arguments for all that its path asks for.
func TestEveryToolOfREST(t *testing.T) {
	t.Parallel()
	listed, err := newFixture(t).client.ListTools(t.Context(), nil)
	require.NoError(t, err)
	required := map[string][]any{}
	for _, tool := range listed.Tools {
		schema := tool.InputSchema.(map[string]any)
		required[tool.Name], _ = schema["required"].([]any)
	}
	require.Len(t, v2.Tools(), len(restTools))
	for _, route := range v2.Tools() {
		require.Contains(t, restTools, route.Name)
		for _, parameter := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(route.Path, -1) {
			require.Contains(t, required[route.Name], parameter[1], route.Path)
		}
	}
}

// TestRESTTools: each is one call, whose answer is the tool's.
func TestRESTTools(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, test := range []struct {
		tool string
		args arguments
		want string
	}{
		{"health", arguments{}, "GET /v2/health"},
		{"get_run", arguments{"runId": runID, "includeOutput": true}, "GET /v2/runs/" + runID + "?includeOutput=true"},
		{"get_run_trace", arguments{"runId": "a/b c"}, "GET /v2/runs/a%2Fb%20c/trace"},
		{"list_runs", arguments{"limit": 2, "status": []string{"FAILED", "RUNNING"}, "isDeferred": false, "appId": []string{"shop"}}, "GET /v2/runs?appId=shop&isDeferred=false&limit=2&status=FAILED&status=RUNNING"},
		{"list_function_runs", arguments{"appId": "shop", "functionId": "pay", "from": "2026-01-01T00:00:00Z"}, "GET /v2/apps/shop/functions/pay/runs?from=2026-01-01T00%3A00%3A00Z"},
		{"get_event_runs", arguments{"eventId": eventID.String(), "cursor": "x"}, "GET /v2/events/" + eventID.String() + "/runs?cursor=x"},
		{"rerun", arguments{"runId": runID}, "POST /v2/runs/" + runID + "/rerun {}"},
		{"rerun", arguments{"runId": runID, "fromStep": arguments{"stepId": "a", "input": []any{1}}}, "POST /v2/runs/" + runID + `/rerun {"fromStep":{"input":[1],"stepId":"a"}}`},
		{"cancel_run", arguments{"runId": runID}, "POST /v2/runs/" + runID + "/cancel {}"},
		{"get_app", arguments{"appId": "shop"}, "GET /v2/apps/shop"},
		{"get_apps", arguments{"archived": true}, "GET /v2/apps?archived=true"},
		{"get_function", arguments{"appId": "shop", "functionId": "pay"}, "GET /v2/apps/shop/functions/pay"},
		{"list_functions", arguments{"appId": "shop"}, "GET /v2/apps/shop/functions"},
		{"invoke_function", arguments{"appId": "shop", "functionId": "pay", "data": arguments{"n": 9007199254740992}}, `POST /v2/apps/shop/functions/pay/invoke {"data":{"n":9007199254740992}}`},
	} {
		text, isError := f.use(t, test.tool, test.args)
		require.False(t, isError, test.tool)
		require.JSONEq(t, `{"data":{},"metadata":{}}`, text)
		require.Equal(t, test.want, f.rest.asked[len(f.rest.asked)-1], test.tool)
	}
	f.rest.answers["/v2/runs/x"] = []string{`404 {"errors":[{"code":"not_found","message":"Run not found"}]}` + "\n"}
	text, isError := f.use(t, "get_run", arguments{"runId": "x"})
	require.True(t, isError)
	require.Equal(t, `REST API v2 returned HTTP 404: {"errors":[{"code":"not_found","message":"Run not found"}]}`, text)
}

// TestArguments: what does not fit the schema is an error that says so.
func TestArguments(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for tool, args := range map[string]arguments{
		"get_run": {}, "send_event": {"data": arguments{}}, "list_runs": {"limit": "many"}, "invoke_function": {"appId": "shop", "functionId": "pay"},
	} {
		got, err := f.client.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
		require.True(t, err != nil || got.IsError, tool)
	}
	require.Empty(t, f.rest.asked)
	require.Empty(t, f.events.sent)
}

func TestSendEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	runs := "/v2/events/" + eventID.String() + "/runs"
	f.rest.answers[runs] = []string{`404 {}`, `200 {"metadata":{}}`, `200 {"data":[{"id":"` + runID + `"}]}`}
	text, isError := f.use(t, "send_event", arguments{"name": "shop/paid", "data": arguments{"n": 1}, "user": arguments{"id": "u"}, "eventIdSeed": "s"})
	require.False(t, isError)
	require.JSONEq(t, `{"eventId":"`+eventID.String()+`","runIds":["`+runID+`"],"status":"accepted","message":"Event \"shop/paid\" was accepted and has 1 runs so far."}`, text)
	require.JSONEq(t, `{"id":"s","name":"shop/paid","data":{"n":1},"user":{"id":"u"}}`, f.events.sent[0])

	text, isError = f.use(t, "send_event", arguments{"name": "shop/unheard"})
	require.False(t, isError)
	require.JSONEq(t, `{"eventId":"`+eventID.String()+`","runIds":[],"status":"accepted","message":"Event \"shop/unheard\" was accepted. No function is triggered by it."}`, text)
	require.Len(t, f.rest.asked, 3, "nothing to wait for")

	f.events.err = errors.New("event name is empty")
	text, isError = f.use(t, "send_event", arguments{"name": ""})
	require.True(t, isError)
	require.Equal(t, "The event was not accepted: event name is empty", text)
}

func TestInvokeSync(t *testing.T) {
	t.Parallel()
	runs := "/v2/events/" + eventID.String() + "/runs"
	made := []string{`200 {"data":[{"id":"` + runID + `"}]}`}
	for name, test := range map[string]struct {
		runs, states []string
		timeout      float64
		want         string
	}{
		"completed": {made, []string{`404 {}`, `200 {"data":{"status":"RUNNING"}}`, `200 {"data":{"status":"COMPLETED","output":{"a":1}}}`}, 20,
			`"runId":"` + runID + `","status":"COMPLETED","output":{"a":1},"message":"The run has completed."}`},
		"failed": {made, []string{`200 {"data":{"status":"FAILED","output":{"message":"no"}}}`}, 20,
			`"runId":"` + runID + `","status":"FAILED","output":{"message":"no"},"message":"The run has ended without success."}`},
		"slow": {made, []string{`200 {"data":{"status":"RUNNING"}}`}, 0.3,
			`"runId":"` + runID + `","status":"RUNNING","message":"The run had not ended when the time was over. poll_run_status waits for it."}`},
		"no run": {[]string{`200 {}`}, nil, 0.2, `"status":"UNKNOWN","message":"No run was made before the time was over."}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.rest.answers[runs], f.rest.answers["/v2/runs/"+runID] = test.runs, test.states
			text, isError := f.use(t, "invoke_function_sync", arguments{"functionId": "shop-pay", "data": arguments{"n": 1}, "timeout": test.timeout})
			require.False(t, isError)
			require.JSONEq(t, `{"eventId":"`+eventID.String()+`",`+test.want, text)
			require.Equal(t, []string{`shop-pay {"data":{"n":1}}`}, f.events.sent)
		})
	}
	f := newFixture(t)
	text, isError := f.use(t, "invoke_function_sync", arguments{"functionId": "nope"})
	require.True(t, isError)
	require.Contains(t, text, `There is no function "nope"`)
	f.events.err = errors.New("no leader")
	text, isError = f.use(t, "invoke_function_sync", arguments{"functionId": "shop-pay"})
	require.True(t, isError)
	require.Equal(t, "The function was not invoked: no leader", text)
}

func TestRunStatus(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.rest.answers["/v2/runs/"+runID] = []string{`200 {"data":{"id":"` + runID + `","status":"COMPLETED","function":{"id":"pay"},"queuedAt":"q","endedAt":"e","output":{"a":1}}}`}
	f.rest.answers["/v2/runs/x"] = []string{`400 no`}
	want := `{"runId":"` + runID + `","status":"COMPLETED","functionId":"pay","queuedAt":"q","endedAt":"e","output":{"a":1}}`
	text, isError := f.use(t, "get_run_status", arguments{"runId": runID})
	require.False(t, isError)
	require.JSONEq(t, want, text)
	text, isError = f.use(t, "get_run_status", arguments{"runId": "x"})
	require.True(t, isError)
	require.Equal(t, "REST API v2 returned HTTP 400: no", text)

	text, isError = f.use(t, "poll_run_status", arguments{"runIds": []string{runID}})
	require.False(t, isError)
	require.JSONEq(t, `{"runs":[`+want+`],"completed":true,"message":"All runs have ended."}`, text)
	text, isError = f.use(t, "poll_run_status", arguments{"runIds": []string{runID, "x"}, "timeout": 0.12, "pollInterval": 1})
	require.False(t, isError)
	require.JSONEq(t, `{"runs":[`+want+`,{"runId":"x","status":"UNKNOWN","error":"REST API v2 returned HTTP 400: no"}],"completed":false,"message":"Some runs had not ended when the time was over."}`, text)
	_, isError = f.use(t, "poll_run_status", arguments{"runIds": []string{}})
	require.True(t, isError)
}

func TestTimes(t *testing.T) {
	t.Parallel()
	require.Equal(t, defaultTimeout, seconds(0))
	require.Equal(t, 1500*time.Millisecond, seconds(1.5))
	require.Equal(t, maxTimeout, seconds(1e9))
	require.Equal(t, defaultPoll, pollInterval(-1))
	require.Equal(t, minPoll, pollInterval(1))
	require.Equal(t, maxTimeout, pollInterval(1e12))
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, test := range []struct {
		tool    string
		args    arguments
		isError bool
		want    string
	}{
		{"list_docs", arguments{}, false, `{"documents":[{"path":"a.md","title":"First page","size":26},{"path":"b.md","title":"b.md","size":25}]}`},
		{"read_doc", arguments{"path": "b.md"}, false, `{"path":"b.md","content":"No heading\nRuns end.\nruns"}`},
		{"read_doc", arguments{"path": "d.md"}, true, `There is no document "d.md". The tool list_docs tells which there are.`},
		{"read_doc", arguments{"path": "../x/a.md"}, true, `There is no document "../x/a.md". The tool list_docs tells which there are.`},
		{"read_doc", arguments{"path": "c.txt"}, true, `There is no document "c.txt". The tool list_docs tells which there are.`},
		{"grep_docs", arguments{"pattern": "RUNS?"}, false, `{"matches":[{"path":"a.md","line":3,"text":"About runs."},{"path":"b.md","line":2,"text":"Runs end."},{"path":"b.md","line":3,"text":"runs"}],"more":false}`},
		{"grep_docs", arguments{"pattern": "runs", "limit": 1}, false, `{"matches":[{"path":"a.md","line":3,"text":"About runs."}],"more":true}`},
		{"grep_docs", arguments{"pattern": "nothing"}, false, `{"matches":[],"more":false}`},
		{"grep_docs", arguments{"pattern": "("}, true, `pattern is not a regular expression`},
		{"grep_docs", arguments{"pattern": ""}, true, `pattern is not a regular expression`},
	} {
		text, isError := f.use(t, test.tool, test.args)
		require.Equal(t, test.isError, isError, test.tool)
		require.Equal(t, test.want, compact(t, text, isError), test.tool)
	}
}

func compact(t *testing.T, text string, plain bool) string {
	t.Helper()
	if plain {
		return text
	}
	var out bytes.Buffer
	require.NoError(t, json.Compact(&out, []byte(text)))
	return out.String()
}

// TestClose ends the stream of a client that listens.
func TestClose(t *testing.T) {
	t.Parallel()
	handling := make(chan struct{})
	server := New(Config{Docs: fstest.MapFS{}})
	server.handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(handling)
		<-r.Context().Done()
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/mcp", http.NoBody))
	}()
	<-handling
	server.Close()
	<-done
}
