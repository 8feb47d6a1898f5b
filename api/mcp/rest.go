package mcp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	v2 "jetstep/api/v2"
)

// Arguments of the tools that are calls of REST v2, under the names that they
// have there (http-api §14).
type (
	noArguments struct{}

	runArguments struct {
		RunID         string `json:"runId" jsonschema:"id of the run, a ULID"`
		IncludeOutput bool   `json:"includeOutput,omitempty" jsonschema:"also what the run returned"`
	}
	onlyRun struct {
		RunID string `json:"runId" jsonschema:"id of the run, a ULID"`
	}
	rerunArguments struct {
		RunID    string    `json:"runId" jsonschema:"id of the run to repeat, a ULID"`
		FromStep *fromStep `json:"fromStep,omitempty" jsonschema:"the step to begin with; results of earlier ones are kept"`
	}
	fromStep struct {
		StepID string `json:"stepId" jsonschema:"name of the step"`
		Input  []any  `json:"input,omitempty" jsonschema:"new input of the step"`
	}
	runFilter struct {
		Limit         int      `json:"limit,omitempty" jsonschema:"runs on a page, 20 by default and at most 100"`
		Cursor        string   `json:"cursor,omitempty" jsonschema:"of the page before"`
		From          string   `json:"from,omitempty" jsonschema:"not before, RFC 3339"`
		Until         string   `json:"until,omitempty" jsonschema:"not after, RFC 3339"`
		TimeField     string   `json:"timeField,omitempty" jsonschema:"which time: queuedAt, startedAt or endedAt"`
		Status        []string `json:"status,omitempty" jsonschema:"QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED"`
		IsDeferred    *bool    `json:"isDeferred,omitempty"`
		Order         string   `json:"order,omitempty" jsonschema:"asc or desc"`
		IncludeOutput bool     `json:"includeOutput,omitempty" jsonschema:"also what the runs returned"`
	}
	listRunsArguments struct {
		runFilter
		AppID      []string `json:"appId,omitempty" jsonschema:"names of apps"`
		FunctionID []string `json:"functionId,omitempty" jsonschema:"functions, needs appId"`
	}
	functionRunsArguments struct {
		runFilter
		AppID      string `json:"appId" jsonschema:"name of the app"`
		FunctionID string `json:"functionId" jsonschema:"id of the function within the app"`
	}
	eventRunsArguments struct {
		EventID       string `json:"eventId" jsonschema:"internal id of the event, a ULID"`
		IncludeOutput bool   `json:"includeOutput,omitempty" jsonschema:"also what the runs returned"`
		Limit         int    `json:"limit,omitempty" jsonschema:"runs on a page, 20 by default and at most 40"`
		Cursor        string `json:"cursor,omitempty" jsonschema:"of the page before"`
	}
	appArguments struct {
		AppID string `json:"appId" jsonschema:"name or UUID of the app"`
	}
	appsArguments struct {
		Limit    int    `json:"limit,omitempty" jsonschema:"apps on a page, 20 by default and at most 100"`
		Cursor   string `json:"cursor,omitempty" jsonschema:"of the page before"`
		Archived bool   `json:"archived,omitempty" jsonschema:"archived apps instead"`
	}
	functionArguments struct {
		AppID      string `json:"appId" jsonschema:"name or UUID of the app"`
		FunctionID string `json:"functionId" jsonschema:"id of the function, with or without the app's prefix"`
	}
	functionsArguments struct {
		AppID  string `json:"appId" jsonschema:"name or UUID of the app"`
		Limit  int    `json:"limit,omitempty" jsonschema:"functions on a page, 20 by default and at most 100"`
		Cursor string `json:"cursor,omitempty" jsonschema:"of the page before"`
	}
	invokeArguments struct {
		AppID          string         `json:"appId" jsonschema:"name or UUID of the app"`
		FunctionID     string         `json:"functionId" jsonschema:"id of the function"`
		Data           map[string]any `json:"data" jsonschema:"input of the function"`
		IdempotencyKey string         `json:"idempotencyKey,omitempty" jsonschema:"excludes a second run with the same key"`
	}
)

// restTools are what each tool that is a route of REST v2 takes.
var restTools = map[string]func(s *Server, tools *mcp.Server, route v2.Tool){
	"health":             addREST[noArguments],
	"get_run":            addREST[runArguments],
	"list_runs":          addREST[listRunsArguments],
	"list_function_runs": addREST[functionRunsArguments],
	"get_event_runs":     addREST[eventRunsArguments],
	"rerun":              addREST[rerunArguments],
	"cancel_run":         addREST[onlyRun],
	"get_app":            addREST[appArguments],
	"get_apps":           addREST[appsArguments],
	"get_run_trace":      addREST[runArguments],
	"get_function":       addREST[functionArguments],
	"list_functions":     addREST[functionsArguments],
	"invoke_function":    addREST[invokeArguments],
}

// addRESTTools adds the tools that REST v2 says it has.
func (s *Server) addRESTTools(tools *mcp.Server) {
	s.routes = map[string]v2.Tool{}
	for _, route := range v2.Tools() {
		s.routes[route.Name] = route
		restTools[route.Name](s, tools, route)
	}
}

// addREST adds a tool that is one call: arguments that stand in the path go
// there, others into the query of a GET or the body of a POST.
func addREST[Arguments any](s *Server, tools *mcp.Server, route v2.Tool) {
	reads := route.Method == http.MethodGet
	tool := &mcp.Tool{Name: route.Name, Description: route.Summary, Annotations: &mcp.ToolAnnotations{ReadOnlyHint: reads}}
	mcp.AddTool(tools, tool, func(ctx context.Context, _ *mcp.CallToolRequest, in Arguments) (result, any, error) {
		body, err := s.call(ctx, route.Name, in)
		var refused *restError
		if errors.As(err, &refused) {
			return failed(refused.Error()), nil, nil
		}
		return nil, body, err
	})
}

// restError is an answer of the REST API that is no success.
type restError struct {
	status int
	body   string
}

func (e *restError) Error() string {
	return fmt.Sprintf("REST API v2 returned HTTP %d: %s", e.status, strings.TrimSpace(e.body))
}

// call makes the call of REST v2 that a tool is. It fails with a restError.
func (s *Server) call(ctx context.Context, tool string, arguments any) (json.RawMessage, error) {
	request, err := restRequest(ctx, s.routes[tool], arguments)
	if err != nil {
		return nil, err
	}
	answer := &recorder{header: http.Header{}}
	s.cfg.REST.ServeHTTP(answer, request)
	if status := cmp.Or(answer.status, http.StatusOK); status < 200 || status > 299 {
		return nil, &restError{status, answer.body.String()}
	}
	return answer.body.Bytes(), nil
}

// restRequest makes the request for arguments, a struct of the above.
func restRequest(ctx context.Context, route v2.Tool, arguments any) (*http.Request, error) {
	text, err := json.Marshal(arguments)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // numbers keep their digits
	rest := map[string]any{}
	if err := decoder.Decode(&rest); err != nil {
		return nil, err
	}
	path := fill(route.Path, rest)
	if route.Method != http.MethodGet {
		body, err := json.Marshal(rest)
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequestWithContext(ctx, route.Method, path, bytes.NewReader(body))
		if err == nil {
			request.Header.Set("Content-Type", "application/json")
		}
		return request, err
	}
	if query := queryOf(rest); query != "" {
		path += "?" + query
	}
	return http.NewRequestWithContext(ctx, route.Method, path, http.NoBody)
}

// fill puts arguments into the path, and takes those out.
func fill(path string, arguments map[string]any) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		name, ok := strings.CutPrefix(segment, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		segments[i] = url.PathEscape(fmt.Sprint(arguments[name]))
		delete(arguments, name)
	}
	return strings.Join(segments, "/")
}

func queryOf(arguments map[string]any) string {
	query := url.Values{}
	for name, value := range arguments {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			query.Add(name, fmt.Sprint(v))
		}
	}
	return query.Encode()
}

// recorder is an http.ResponseWriter that keeps the answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}
