package v2_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/v2"
	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
	"jetstep/history/view"
	"jetstep/history/view/viewtest"
)

const (
	root         = "../.."
	completedRun = "01M8AFYQRBJYS7G4394TAY6VKP" // of two-steps
	cancelledRun = "01M8AFYXWG3ZV2X8S6Y7WKM5JK"
	failedRun    = "01M8AFXH2TTMTB471120WCPH09"
	cronRun      = "01M8AFX6VRYA27ND8Y19ECVV4Y"
	batchRun     = "01M8AFXH90PD3E1Q41Y070SPWJ"
	noRun        = "01M8AFNA89V4FR54NKFFTV1PNK"
)

var captured = time.Date(2026, 11, 25, 23, 20, 27, 0, time.UTC)

func newAPI(t *testing.T) (http.Handler, *viewtest.Store, *commands) {
	store, told := viewtest.Load(t, root), &commands{}
	return v2.New(v2.Config{
		Reader: store, Commands: told, Now: func() time.Time { return captured }, Keys: v2.Keys{Signing: []string{"signkey-test-12"}},
	}), store, told
}

func ask(t *testing.T, api http.Handler, method, path, body string) (int, string) {
	request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

// TestCapturedAnswers compares with what the original answered about the
// captured database.
func TestCapturedAnswers(t *testing.T) {
	t.Parallel()
	api, _, _ := newAPI(t)
	files, err := filepath.Glob(filepath.Join(root, tracetest.Fixtures, "expected", "rest-v2-*.json"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var golden struct {
			Request  string
			Status   int
			Response map[string]any
		}
		require.NoError(t, json.Unmarshal(text, &golden))
		method, path, _ := strings.Cut(golden.Request, " ")
		status, answer := ask(t, api, method, path, "")
		require.Equal(t, golden.Status, status, file)
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(answer), &got))
		delete(golden.Response, "metadata")
		delete(got, "metadata")
		require.Equal(t, golden.Response, got, file)
	}
}

// fetched is the end of every success.
const fetched = `"metadata":{"fetchedAt":"2026-11-25T23:20:27Z"}`

func TestAnswers(t *testing.T) {
	t.Parallel()
	api, _, _ := newAPI(t)
	for path, want := range map[string]string{
		"/v2/health":              `{"data":{"status":"ok"},` + fetched + `}`,
		"/v2/account":             `{"data":{"createdAt":"2021-05-13T09:30:04Z","email":"dev@inngest.local","id":"00000000-0000-4000-a000-000000000000","name":"Dev Server","updatedAt":"2021-05-13T09:30:04Z"},` + fetched + `}`,
		"/v2/envs":                `{"data":[{"createdAt":"2021-05-13T09:30:04Z","id":"00000000-0000-4000-b000-000000000000","name":"dev","type":"TEST"}],` + fetched + `,"page":{"limit":20}}`,
		"/v2/keys/signing":        `{"data":[{"createdAt":"2026-11-25T23:20:27Z","environment":"dev","key":"signkey-test-12"}],` + fetched + `,"page":{"limit":20}}`,
		"/v2/keys/events":         `{` + fetched + `,"page":{"limit":20}}`,
		"/v2/apps?limit=1":        `{"data":[{"appVersion":"1.0.2","createdAt":"2026-11-25T23:15:51.347555Z","functionCount":19,"id":"fixture-app","latestSync":{"appVersion":"1.0.2","framework":"nodejs","sdkLanguage":"js","sdkVersion":"v4.24.0","url":"http://localhost:18650/api/inngest"},"method":"SERVE","name":"fixture-app"}],` + fetched + `,"page":{"cursor":"1ab94682-28f9-509b-8002-4ca7eb068275","hasMore":true,"limit":1}}`,
		"/v2/apps?archived=true":  `{` + fetched + `,"page":{"limit":20}}`,
		"/v2/apps/nope/functions": `{` + fetched + `,"page":{"limit":20}}`,
		"/v2/apps/fixture-app/functions/fixture-app-waiter":                    `{"data":{"app":{"id":"fixture-app"},"configuration":{"concurrency":[{"limit":{"isPlanLimit":true,"value":-1},"scope":"ACCOUNT"}],"retries":{"isDefault":false,"value":0}},"id":"waiter","name":"waiter","slug":"waiter","triggers":[{"type":"EVENT","value":"fx/wait"}]},` + fetched + `}`,
		"/v2/apps/1ab94682-28f9-509b-8002-4ca7eb068275/functions/every-minute": `{"data":{"app":{"id":"fixture-app"},"configuration":{"concurrency":[{"limit":{"isPlanLimit":true,"value":-1},"scope":"ACCOUNT"}],"retries":{"isDefault":false,"value":0}},"id":"every-minute","name":"every-minute","slug":"every-minute","triggers":[{"type":"CRON","value":"* * * * *"}]},` + fetched + `}`,
		"/api/v2/runs/" + batchRun + "?include_output=true":                    `{"data":{"app":{"id":"fixture-app"},"durationMs":"179","endedAt":"2026-11-25T23:16:10.988Z","function":{"id":"batched","name":"batched"},"id":"` + batchRun + `","output":{"count":3},"queuedAt":"2026-11-25T23:16:10.656Z","startedAt":"2026-11-25T23:16:10.809Z","status":"COMPLETED","trigger":{"batchId":"01M8AFXH3KE15B10TXV8HQ93ME","eventIds":["01M8AFXGYESGTV1KCFN4T248Q8"],"isBatch":true}},` + fetched + `}`,
		"/api/v2/runs/" + cronRun + "?includeOutput=true":                      `{"data":{"app":{"id":"fixture-app"},"durationMs":"53","endedAt":"2026-11-25T23:16:00.187Z","function":{"id":"every-minute","name":"every-minute"},"id":"` + cronRun + `","output":{"data":"tick"},"queuedAt":"2026-11-25T23:15:59.992Z","startedAt":"2026-11-25T23:16:00.134Z","status":"COMPLETED","trigger":{"cronSchedule":"* * * * *","eventIds":["01M8AFX6VRAV2WDF8E77KZQY74"]}},` + fetched + `}`,
	} {
		status, answer := ask(t, api, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, status, path)
		require.Equal(t, want, answer, path)
	}
	_, answer := ask(t, api, http.MethodGet, "/v2/apps?cursor=1ab94682-28f9-509b-8002-4ca7eb068275", "")
	require.Contains(t, answer, `"id":"fixture-worker"`)
	require.NotContains(t, answer, `"id":"fixture-app"`)
	_, answer = ask(t, api, http.MethodGet, "/v2/apps/fixture-app/functions?limit=2", "")
	require.Contains(t, answer, `"hasMore":true,"limit":2`)
	_, answer = ask(t, api, http.MethodGet, "/v2/runs/"+failedRun+"?includeOutput=1", "")
	require.Contains(t, answer, `"message":"always fails"`)
	_, answer = ask(t, api, http.MethodGet, "/v2/runs/"+failedRun+"/trace?includeOutput=1", "")
	require.Contains(t, answer, `"message":"always fails"`)
	require.Contains(t, answer, `"input":{"data":[{"id":`)
	_, answer = ask(t, api, http.MethodGet, "/v2/runs/"+cancelledRun+"/trace", "")
	require.Contains(t, answer, `"status":"WAITING"`)
}

// problemOf is a refusal.
func problemOf(code, message string) string {
	text, _ := json.Marshal(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
	return string(text)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	api, _, _ := newAPI(t)
	cases := []struct {
		method, path, body string
		status             int
		code, message      string
	}{
		{"GET", "/v2/nope", "", 404, "api_error", "Not Found"},
		{"PUT", "/v2/apps", "", 501, "api_error", "Method Not Allowed"},
		{"GET", "/v2/sessions", "", 501, "not_implemented", "Sessions not implemented in OSS"},
		{"GET", "/v2/apps/nope", "", 404, "not_found", "App not found"},
		{"GET", "/v2/apps/nope/functions/x", "", 404, "not_found", "Function not found"},
		{"GET", "/v2/apps/fixture-app/functions/x%2Fy", "", 404, "not_found", "Function not found"},
		{"GET", "/v2/apps?limit=x", "", 400, "api_error", `parsing field "limit": strconv.ParseInt: parsing "x": invalid syntax`},
		{"GET", "/v2/apps?limit=-1", "", 400, "invalid_field_format", "Limit must be at least 1"},
		{"GET", "/v2/apps?limit=101", "", 400, "invalid_field_format", "Limit cannot exceed 100"},
		{"GET", "/v2/envs?limit=0", "", 400, "invalid_field_format", "Limit must be at least 1"},
		{"GET", "/v2/envs?limit=251", "", 400, "invalid_field_format", "Limit cannot exceed 250"},
		{"GET", "/v2/keys/signing?limit=0", "", 400, "invalid_field_format", "Limit must be at least 1"},
		{"GET", "/v2/apps?cursor=x", "", 400, "invalid_field_format", "Cursor is invalid"},
		{"GET", "/v2/apps?archived=x", "", 400, "api_error", `parsing field "archived": strconv.ParseBool: parsing "x": invalid syntax`},
		{"GET", "/v2/apps/fixture-app/functions?cursor=x", "", 400, "invalid_field_format", "Cursor is invalid"},
		{"GET", "/v2/runs?cursor=x", "", 400, "invalid_field_format", "Cursor is invalid"},
		{"GET", "/v2/runs?limit=101", "", 400, "invalid_field_format", "Limit cannot exceed 100"},
		{"GET", "/v2/runs?status=SKIPPED", "", 400, "invalid_field_format", "Status is invalid"},
		{"GET", "/v2/runs?functionId=x", "", 400, "invalid_field_format", "appId is required when filtering by functionId"},
		{"GET", "/v2/runs?timeField=x", "", 400, "invalid_field_format", "timeField is invalid"},
		{"GET", "/v2/runs?order=x", "", 400, "invalid_field_format", "order is invalid"},
		{"GET", "/v2/runs?from=2026-11-25T23:00:00Z&until=2026-11-25T22:00:00Z", "", 400, "invalid_field_format", "from must be before until"},
		{"GET", "/v2/runs?isDeferred=x", "", 400, "api_error", `parsing field "isDeferred": strconv.ParseBool: parsing "x": invalid syntax`},
		{"GET", "/v2/runs?includeOutput=x", "", 400, "api_error", `parsing field "includeOutput": strconv.ParseBool: parsing "x": invalid syntax`},
		{"GET", "/v2/runs?from=x", "", 400, "api_error", `parsing field "from": parsing time "x" as "2006-01-02T15:04:05.999999999Z07:00": cannot parse "x" as "2006"`},
		{"GET", "/v2/runs?until=x", "", 400, "api_error", `parsing field "until": parsing time "x" as "2006-01-02T15:04:05.999999999Z07:00": cannot parse "x" as "2006"`},
		{"GET", "/v2/runs/x", "", 400, "invalid_field_format", "Run ID must be a valid ULID"},
		{"GET", "/v2/runs/" + noRun, "", 404, "not_found", "Run not found"},
		{"GET", "/v2/runs/x/trace", "", 400, "invalid_field_format", "Run ID must be a valid ULID"},
		{"GET", "/v2/runs/" + noRun + "/trace", "", 404, "not_found", "Trace not found"},
		{"GET", "/v2/events/x/runs", "", 400, "invalid_field_format", "Event ID must be a valid ULID"},
		{"GET", "/v2/events/" + noRun + "/runs?limit=41", "", 400, "invalid_field_format", "Limit cannot exceed 40"},
		{"GET", "/v2/events/" + noRun + "/runs?cursor=x", "", 400, "invalid_field_format", "Cursor is invalid"},
		{"POST", "/v2/runs/" + cancelledRun + "/cancel", "", 409, "run_already_cancelled", "Run is already cancelled"},
		{"POST", "/v2/runs/" + completedRun + "/cancel", "", 409, "run_already_ended", "Cannot cancel an ended run"},
		{"POST", "/v2/runs/" + cronRun + "/rerun", "{}", 501, "not_implemented", "Rerunning cron-triggered runs is not yet supported"},
		{"POST", "/v2/runs/x/cancel", "", 400, "invalid_field_format", "Run ID must be a valid ULID"},
		{"POST", "/v2/runs/x/rerun", "", 400, "invalid_field_format", "Run ID must be a valid ULID"},
		{"POST", "/v2/runs/" + completedRun + "/rerun", `{} {}`, 400, "api_error", "unexpected text after the top-level value"},
		{"POST", "/v2/runs/" + completedRun + "/rerun", `{"fromStep":{"stepId":"a","input":{}}}`, 400, "invalid_field_format", "Step input must be an array"},
		{"POST", "/v2/envs", "{}", 400, "missing_field", "Environment name is required"},
		{"POST", "/v2/envs", `{"name":"x"}`, 501, "not_implemented", "Environments not implemented in OSS"},
		{"POST", "/v2/envs", `{"title":"x"}`, 400, "api_error", `json: unknown field "title"`},
		{"GET", "/v2/env/webhooks", "", 400, "missing_field", "X-Inngest-Env header is required"},
		{"GET", "/v2/sandboxes", "", 501, "api_error", "method ListSandboxes not implemented"},
		{"POST", "/v2/sandboxes/1/exec", "", 501, "api_error", "method Sandboxes not implemented"},
		{"POST", "/v2/events", "{}", 400, "missing_field", "Event name is required"},
		{"POST", "/v2/events", `{"name":"` + strings.Repeat("x", 513) + `"}`, 400, "invalid_field_format", "Event name cannot exceed 512 characters"},
		{"POST", "/v2/events", `{"name":"x","ts":"soon"}`, 400, "validation_error", "timestamp is not a number"},
		{"POST", "/v2/events", `{"name":"x","v":"1"}`, 400, "api_error", `json: unknown field "v"`},
		{"POST", "/v2/events/x/resend", "", 400, "invalid_field_format", "Event ID must be a valid ULID"},
		{"POST", "/v2/events/" + noRun + "/resend", `{"x":1}`, 400, "api_error", `json: unknown field "x"`},
		{"POST", "/v2/apps/fixture-app/functions/hello/invoke", "", 400, "missing_field", "Input data is required"},
		{"POST", "/v2/apps/fixture-app/functions/hello/invoke", `{"data":null}`, 400, "missing_field", "Input data is required"},
		{"POST", "/v2/apps/fixture-app/functions/hello/invoke", `{"data":[1]}`, 400, "invalid_field_format", "Input data must be an object"},
		{"POST", "/v2/apps/fixture-app/functions/nope/invoke", `{"data":{}}`, 404, "not_found", "Function not found"},
		{"POST", "/v2/apps/nope/functions/hello/invoke", `{"data":{}}`, 404, "not_found", "Function not found"},
		{"POST", "/v2/apps/fixture-app/functions/hello/replays", `{}`, 400, "missing_field", "from is required"},
		{"POST", "/v2/apps/fixture-app/functions/nope/replays", `{"from":"2026-11-25T23:00:00Z"}`, 404, "not_found", "Function not found"},
		{"POST", "/v2/apps/fixture-app/functions/hello/replays", `{"from":"2026-11-25T23:00:00Z","until":"2026-11-25T23:00:00Z"}`, 400, "invalid_field_format", "from must be before until"},
		{"POST", "/v2/apps/fixture-app/functions/hello/replays", `{"from":"2026-11-25T23:00:00Z","limit":501}`, 400, "invalid_field_format", "Limit cannot exceed 500"},
		{"POST", "/v2/apps/fixture-app/functions/hello/replays", `{"from":"2026-11-25T23:00:00Z","limit":0}`, 400, "invalid_field_format", "Limit must be at least 1"},
		{"POST", "/v2/apps/fixture-app/functions/hello/replays", `{"from":"2026-11-25T23:00:00Z","cursor":"x"}`, 400, "invalid_field_format", "Cursor is invalid"},
		{"POST", "/v2/apps/fixture-app/functions/hello/replays", `{"from":"2026-11-25T23:00:00Z","status":["RUNNING"]}`, 400, "invalid_field_format", "Status is invalid"},
		{"POST", "/v2/runs/" + completedRun + "/rerun", `{"fromStep":{}}`, 400, "missing_field", "Step ID is required"},
		{"POST", "/v2/runs/" + completedRun + "/rerun", `{"bogus":1}`, 400, "api_error", `json: unknown field "bogus"`},
		{"POST", "/v2/runs/" + completedRun + "/rerun", strings.Repeat(" ", 4<<20), 413, "invalid_request", "Request body cannot exceed 3145728 bytes"},
	}
	for _, c := range cases {
		status, answer := ask(t, api, c.method, c.path, c.body)
		require.Equal(t, c.status, status, c.path)
		require.Equal(t, problemOf(c.code, c.message), answer, c.path)
	}
}

type page struct {
	Data []struct{ ID, Status string }
	Page struct {
		Cursor  string
		HasMore bool
		Limit   int
	}
	Metadata struct{ TimeRange map[string]string }
}

func list(t *testing.T, api http.Handler, path string) page {
	status, answer := ask(t, api, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, status, answer)
	var p page
	require.NoError(t, json.Unmarshal([]byte(answer), &p))
	return p
}

func TestRunLists(t *testing.T) {
	t.Parallel()
	api, _, _ := newAPI(t)
	for path, want := range map[string]int{
		"/v2/runs?limit=100":                                            27,
		"/v2/runs?limit=0":                                              20,
		"/v2/runs?status=failed&status=CANCELLED":                       4,
		"/v2/runs?appId=fixture-worker":                                 1,
		"/v2/runs?app_id=fixture-app&function_id=hello":                 2,
		"/v2/runs?appId=fixture-app&functionId=fixture-app-hello":       0, // only without the app
		"/v2/runs?appId=nope":                                           0,
		"/v2/runs?isDeferred=true":                                      0,
		"/v2/runs?limit=100&timeField=ENDED_AT&order=asc":               27,
		"/v2/runs?from=2026-11-25T23:16:50Z&until=2026-11-25T23:17:30Z": 6,
		"/v2/apps/fixture-app/functions/hello/runs":                     2,
		"/v2/apps/fixture-app/functions/fixture-app-hello/runs":         0,
		"/v2/events/01M8AFXGYESGTV1KCFN4T248Q8/runs":                    1,
		"/v2/events/" + noRun + "/runs":                                 0,
	} {
		require.Len(t, list(t, api, path).Data, want, path)
	}
	require.Equal(t, map[string]string{"from": "2026-11-25T23:16:50Z", "until": "2026-11-25T23:17:30Z"},
		list(t, api, "/v2/runs?from=2026-11-25T23:16:50Z&until=2026-11-25T23:17:30Z").Metadata.TimeRange)

	seen, cursor := map[string]bool{}, ""
	for {
		p := list(t, api, "/v2/runs?limit=9&cursor="+cursor)
		for _, run := range p.Data {
			require.False(t, seen[run.ID])
			seen[run.ID] = true
		}
		if !p.Page.HasMore {
			break
		}
		cursor = p.Page.Cursor
	}
	require.Len(t, seen, 27)
}

type down struct{ *viewtest.Store }

func (down) Apps(context.Context) ([]view.App, error) { return nil, errors.New("database is down") }

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	api := v2.New(v2.Config{Reader: down{viewtest.Load(t, root)}})
	for _, path := range []string{"/v2/apps", "/v2/apps/x", "/v2/apps/x/functions", "/v2/apps/x/functions/y", "/v2/runs", "/v2/runs/" + completedRun, "/v2/events/" + noRun + "/runs"} {
		status, answer := ask(t, api, http.MethodGet, path, "")
		require.Equal(t, 500, status)
		require.Equal(t, problemOf("internal_error", "Internal error"), answer, "details are for the log")
	}
}

// TestPausedAndArchived is what is only said of functions and apps that are it.
func TestPausedAndArchived(t *testing.T) {
	t.Parallel()
	api, store, _ := newAPI(t)
	_, answer := ask(t, api, http.MethodGet, "/v2/apps/fixture-app/functions?limit=100", "")
	require.NotContains(t, answer, "isPaused")
	for i := range store.FunctionRows {
		store.FunctionRows[i].Paused = true
	}
	_, answer = ask(t, api, http.MethodGet, "/v2/apps/fixture-app/functions/hello", "")
	require.Contains(t, answer, `"isPaused":true`)

	_, answer = ask(t, api, http.MethodGet, "/v2/apps/fixture-app", "")
	require.NotContains(t, answer, "rchived")
	for i := range store.AppRows {
		store.AppRows[i].Archived, store.AppRows[i].ArchivedAt = true, captured
	}
	_, answer = ask(t, api, http.MethodGet, "/v2/apps?archived=true", "")
	require.Contains(t, answer, `"archivedAt":"2026-11-25T23:20:27Z"`)
	require.Contains(t, answer, `"isArchived":true`)
}

// ahead is a reader that knows how a run has ended before its rows say so.
type ahead struct {
	*viewtest.Store
	status view.Status
	output string
}

func (r ahead) Run(ctx context.Context, id ulid.ULID) (view.Run, error) {
	run, err := r.Store.Run(ctx, id)
	run.Status, run.Output = r.status, json.RawMessage(r.output)
	return run, err
}

func (r ahead) Spans(ctx context.Context, id ulid.ULID) ([]trace.Row, error) {
	rows, err := r.Store.Spans(ctx, id)
	return slices.DeleteFunc(slices.Clone(rows), func(row trace.Row) bool {
		return row.Name != trace.NameStep // of the steps, whose results are there
	}), err
}

// TestOutputBeforeItIsWritten wants the run's output and not that of its last step.
func TestOutputBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	for status, want := range map[view.Status]string{view.Completed: `{"b":2}`, view.Running: ""} {
		api := v2.New(v2.Config{Reader: ahead{viewtest.Load(t, root), status, `{"b":2}`}})
		code, answer := ask(t, api, http.MethodGet, "/v2/runs/"+completedRun+"?includeOutput=true", "")
		require.Equal(t, http.StatusOK, code)
		var shown struct {
			Data struct{ Output json.RawMessage }
		}
		require.NoError(t, json.Unmarshal([]byte(answer), &shown))
		require.Equal(t, want, string(shown.Data.Output), status)
	}
}
