package v2

import "net/http"

// operation is one call of this API as GET /operations lists it (http-api §15),
// for tools that are made from the list.
type operation struct {
	ID      string    `json:"id"`
	Summary string    `json:"summary"`
	HTTP    operated  `json:"http"`
	MCP     *toolName `json:"mcp,omitempty"` // nil for what is no tool of /mcp
}

type operated struct {
	Method string `json:"method"`
	Path   string `json:"path"`
}

type toolName struct {
	Name string `json:"name"`
}

// listed makes an operation; tool is "" for none.
func listed(id, method, path, tool, summary string) operation {
	o := operation{ID: id, Summary: summary, HTTP: operated{method, "/api/v2" + path}}
	if tool != "" {
		o.MCP = &toolName{tool}
	}
	return o
}

var operations = []operation{
	listed("Health", http.MethodGet, "/health", "health", "Tells whether the API answers"),
	listed("GetAccount", http.MethodGet, "/account", "", "Shows the account"),
	listed("ListEnvs", http.MethodGet, "/envs", "", "Lists environments"),
	listed("ListSigningKeys", http.MethodGet, "/keys/signing", "", "Lists signing keys"),
	listed("ListEventKeys", http.MethodGet, "/keys/events", "", "Lists event keys"),
	listed("GetApps", http.MethodGet, "/apps", "get_apps", "Lists apps"),
	listed("GetApp", http.MethodGet, "/apps/{appId}", "get_app", "Shows an app"),
	listed("ListFunctions", http.MethodGet, "/apps/{appId}/functions", "list_functions", "Lists the functions of an app"),
	listed("GetFunction", http.MethodGet, "/apps/{appId}/functions/{functionId}", "get_function", "Shows a function"),
	listed("InvokeFunction", http.MethodPost, "/apps/{appId}/functions/{functionId}/invoke", "invoke_function", "Starts a run of a function"),
	listed("ListFunctionRuns", http.MethodGet, "/apps/{appId}/functions/{functionId}/runs", "list_function_runs", "Lists the runs of a function"),
	listed("SendEvent", http.MethodPost, "/events", "", "Sends an event"),
	listed("GetEventRuns", http.MethodGet, "/events/{eventId}/runs", "get_event_runs", "Lists the runs that an event started"),
	listed("ListRuns", http.MethodGet, "/runs", "list_runs", "Lists runs"),
	listed("GetFunctionRun", http.MethodGet, "/runs/{runId}", "get_run", "Shows a run"),
	listed("GetFunctionTrace", http.MethodGet, "/runs/{runId}/trace", "get_run_trace", "Shows the trace of a run"),
	listed("RerunFunctionRun", http.MethodPost, "/runs/{runId}/rerun", "rerun", "Makes a run again, from its beginning or from a step"),
	listed("CancelFunctionRun", http.MethodPost, "/runs/{runId}/cancel", "cancel_run", "Cancels a run"),
	listed("AddScores", http.MethodPost, "/runs/{runId}/scores", "", "Attaches scores to a run"),
}

// listOperations answers GET /operations, which needs no key.
func listOperations(*http.Request, []string) (*answer, error) {
	return single(map[string]any{"operations": operations})
}
