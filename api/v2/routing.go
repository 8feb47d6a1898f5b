package v2

import (
	"net/http"
	"net/url"
	"strings"
)

// handler answers a request, given the values of the parameters in its path.
type handler func(r *http.Request, path []string) (*answer, error)

// route is a row of http-api §14. A segment * of the pattern is a parameter.
type route struct {
	method, pattern string
	handle          handler
}

func (s *server) table() []route {
	return append([]route{
		{http.MethodGet, "/health", s.health},
		{http.MethodGet, "/operations", listOperations},
		{http.MethodGet, "/account", s.account},
		{http.MethodGet, "/envs", s.environments},
		{http.MethodGet, "/keys/signing", s.keys(s.Keys.Signing)},
		{http.MethodGet, "/keys/events", s.keys(s.Keys.Event)},
		{http.MethodGet, "/apps", s.apps},
		{http.MethodGet, "/apps/*", s.app},
		{http.MethodGet, "/apps/*/functions", s.functions},
		{http.MethodGet, "/apps/*/functions/*", s.function},
		{http.MethodGet, "/apps/*/functions/*/runs", s.functionRuns},
		{http.MethodGet, "/events/*/runs", s.eventRuns},
		{http.MethodGet, "/runs", s.runs},
		{http.MethodGet, "/runs/*", s.run},
		{http.MethodGet, "/runs/*/trace", s.trace},
		{http.MethodPost, "/runs/*/rerun", s.rerun},
		{http.MethodPost, "/runs/*/cancel", s.cancel},
		{http.MethodPost, "/runs/*/scores", s.scores},
		{http.MethodPost, "/events", s.sendEvent},
		{http.MethodPost, "/events/*/resend", s.resendEvent},
		{http.MethodPost, "/apps/*/functions/*/invoke", s.invoke},
		{http.MethodPost, "/apps/*/functions/*/replays", s.replay},
		{http.MethodPost, "/envs", createEnvironment},
		{http.MethodGet, "/env/webhooks", webhooks},
		{http.MethodPost, "/env/webhooks", webhooks},
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
		if want[i] != "*" {
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
