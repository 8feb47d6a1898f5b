package v2

import (
	"net/http"
	"net/url"
	"strings"
)

// handler answers a request, given the values of the parameters in its path.
type handler func(r *http.Request, path []string) (*answer, error)

// route is a row of http-api §14. A segment {name} of the pattern is a parameter.
type route struct {
	method, pattern string
	handle          handler
	listed          *listed // nil: GET /operations does not name it
}

func (s *server) table() []route {
	return append([]route{
		{http.MethodGet, "/health", s.health, &listed{"Health", "health", "Tells whether the server answers"}},
		{http.MethodGet, "/account", s.account, &listed{"GetAccount", "", "Shows the account"}},
		{http.MethodGet, "/envs", s.environments, &listed{"ListEnvs", "", "Lists environments"}},
		{http.MethodGet, "/keys/signing", s.keys(s.Keys.Signing), &listed{"ListSigningKeys", "", "Lists signing keys"}},
		{http.MethodGet, "/keys/events", s.keys(s.Keys.Event), &listed{"ListEventKeys", "", "Lists event keys"}},
		{http.MethodGet, "/apps", s.apps, &listed{"GetApps", "get_apps", "Lists the registered apps"}},
		{http.MethodGet, "/apps/{appId}", s.app, &listed{"GetApp", "get_app", "Shows a registered app"}},
		{http.MethodGet, "/apps/{appId}/functions", s.functions, &listed{"ListFunctions", "list_functions", "Lists the functions of an app"}},
		{http.MethodGet, "/apps/{appId}/functions/{functionId}", s.function, &listed{"GetFunction", "get_function", "Shows a function: triggers and configuration"}},
		{http.MethodPost, "/apps/{appId}/functions/{functionId}/invoke", s.invoke, &listed{"InvokeFunction", "invoke_function", "Starts a run of a function, and does not wait for it"}},
		{http.MethodGet, "/apps/{appId}/functions/{functionId}/runs", s.functionRuns, &listed{"ListFunctionRuns", "list_function_runs", "Lists the runs of a function, the latest first"}},
		{http.MethodPost, "/events", s.sendEvent, &listed{"SendEvent", "", "Sends an event"}},
		{http.MethodGet, "/events/{eventId}/runs", s.eventRuns, &listed{"GetEventRuns", "get_event_runs", "Lists the runs that an event started"}},
		{http.MethodGet, "/runs", s.runs, &listed{"ListRuns", "list_runs", "Lists the runs of all functions, the latest first"}},
		{http.MethodGet, "/runs/{runId}", s.run, &listed{"GetFunctionRun", "get_run", "Shows a run: status, times, trigger and, if wanted, output"}},
		{http.MethodGet, "/runs/{runId}/trace", s.trace, &listed{"GetFunctionTrace", "get_run_trace", "Shows the steps of a run as a tree, with times and status"}},
		{http.MethodPost, "/runs/{runId}/rerun", s.rerun, &listed{"RerunFunctionRun", "rerun", "Makes a run again, from its beginning or from a step"}},
		{http.MethodPost, "/runs/{runId}/cancel", s.cancel, &listed{"CancelFunctionRun", "cancel_run", "Cancels a run that has not ended"}},
		{http.MethodPost, "/runs/{runId}/scores", s.scores, &listed{"AddScores", "", "Attaches scores to a run"}},
		{http.MethodGet, operationsPath, s.operations, nil},
		{http.MethodPost, "/events/{eventId}/resend", s.resendEvent, nil},
		{http.MethodPost, "/apps/{appId}/functions/{functionId}/replays", s.replay, nil},
		{http.MethodPost, "/envs", createEnvironment, nil},
		{http.MethodGet, "/env/webhooks", webhooks, nil},
		{http.MethodPost, "/env/webhooks", webhooks, nil},
	}, unimplemented()...)
}

// matched are the values of a path, or why there is no route.
type matched struct {
	values  []string
	problem *problem
}

func (s *server) match(method, path string) (handler, matched) {
	if path == "/sandboxes" || strings.HasPrefix(path, "/sandboxes/") {
		return nil, matched{problem: &problem{http.StatusNotImplemented, "api_error", "method " + sandboxMethod(method, path) + " not implemented"}}
	}
	known := false
	for _, r := range s.routes {
		values, ok := fit(r.pattern, path)
		if !ok {
			continue
		}
		known = true
		if r.method == method {
			return r.handle, matched{values: values}
		}
	}
	if known && path == operationsPath {
		return nil, matched{problem: &problem{http.StatusMethodNotAllowed, "api_error", "Method Not Allowed"}} // http-api §15
	}
	if known {
		return nil, matched{problem: &problem{http.StatusNotImplemented, "api_error", "Method Not Allowed"}}
	}
	return nil, matched{problem: &problem{http.StatusNotFound, "api_error", "Not Found"}}
}

// fit compares a path, still escaped, with a pattern.
func fit(pattern, path string) ([]string, bool) {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return nil, false
	}
	var values []string
	for i := range want {
		if !strings.HasPrefix(want[i], "{") {
			if want[i] != have[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(have[i])
		if err != nil || value == "" {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}
