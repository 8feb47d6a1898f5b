package v2

import "net/http"

// unimplemented are the routes that a server on its own does not have.
func unimplemented() []route {
	refuse := func(message string) handler {
		return func(*http.Request, []string) (*answer, error) {
			return nil, &problem{http.StatusNotImplemented, "not_implemented", message}
		}
	}
	var routes []route
	for _, r := range []struct{ method, pattern, message string }{
		{http.MethodPatch, "/envs/{envId}", "Environments not implemented in OSS"},
		{http.MethodPost, "/apps/{appId}/syncs", "App sync not implemented in OSS"},
		{http.MethodGet, "/partner/accounts", "Accounts not implemented in OSS"},
		{http.MethodPost, "/partner/accounts", "Accounts not implemented in OSS"},
		{http.MethodGet, "/insights/tables", "Insights not implemented in OSS"},
		{http.MethodGet, "/insights/events/schemas", "Insights not implemented in OSS"},
		{http.MethodPost, "/insights/query", "Insights not implemented in OSS"},
		{http.MethodPost, "/insights/query/prompt", "Insights not implemented in OSS"},
		{http.MethodGet, "/experiments", "Experiments not implemented in OSS"},
		{http.MethodGet, "/apps/{appId}/functions/{functionId}/experiments/{experimentId}", "Experiments not implemented in OSS"},
		{http.MethodGet, "/sessions", "Sessions not implemented in OSS"},
		{http.MethodGet, "/sessions/{key}", "Sessions not implemented in OSS"},
		{http.MethodGet, "/sessions/{key}/{id}/runs", "Sessions not implemented in OSS"},
	} {
		routes = append(routes, route{r.method, r.pattern, refuse(r.message), nil})
	}
	return routes
}

// sandboxMethod names what is asked of a sandbox, as far as clients can tell.
func sandboxMethod(method, path string) string {
	if method == http.MethodGet && path == "/sandboxes" {
		return "ListSandboxes"
	}
	return "Sandboxes"
}

// createEnvironment refuses, but looks at what it is asked first.
func createEnvironment(r *http.Request, _ []string) (*answer, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.Name == "" {
		return nil, refused("missing_field", "Environment name is required")
	}
	return nil, &problem{http.StatusNotImplemented, "not_implemented", "Environments not implemented in OSS"}
}

// webhooks refuses, but wants to know the environment first.
func webhooks(r *http.Request, _ []string) (*answer, error) {
	if r.Header.Get("X-Inngest-Env") == "" {
		return nil, refused("missing_field", "X-Inngest-Env header is required")
	}
	return nil, &problem{http.StatusNotImplemented, "not_implemented", "Webhooks not implemented in OSS"}
}
