package api

import (
	"context"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql/playground"
	"github.com/labstack/echo/v4"
)

// route is one row of http-api §2.
type route struct {
	method, path string
	access       access
	handler      echo.HandlerFunc
}

// access is who may use a route where keys are configured.
type access int

const (
	keyed   access = iota // needs the signing key, as a bearer token
	open                  // needs nothing, or looks after that itself
	browser               // needs the signing key, which a browser can send as a password
)

// routes lists all routes. Unlike in the original, /invoke needs the signing
// key, as it starts functions, and so do /dev/traces, GraphQL, MCP and
// what is for profiling (http-api §19 no. 2).
func (s *Server) routes() []route {
	routes := []route{
		{http.MethodGet, "/health", open, s.health},
		{http.MethodHead, "/health", open, s.health},
		{http.MethodGet, "/ready", open, s.ready},
		{http.MethodHead, "/ready", open, s.ready},
		{http.MethodGet, "/metrics", open, s.metrics()},

		{http.MethodPost, "/e/:key", open, s.receiveEvents}, // checks the event key
		{http.MethodPost, "/invoke/:slug", keyed, s.invoke},

		{http.MethodGet, "/dev", keyed, s.devInfo},
		{http.MethodPost, "/dev/traces", keyed, handle(s.cfg.Traces.Dev)},
		{http.MethodPost, "/fn/register", keyed, s.register},
		{http.MethodDelete, "/fn/remove", keyed, s.remove},
		{http.MethodPost, "/fn/step-limit", keyed, s.setLimit(s.cfg.Limits.SetStepLimit)},
		{http.MethodDelete, "/fn/step-limit", keyed, s.clearLimit("step", s.cfg.Limits.ClearStepLimit)},
		{http.MethodPost, "/fn/state-size-limit", keyed, s.setLimit(s.cfg.Limits.SetStateSizeLimit)},
		{http.MethodDelete, "/fn/state-size-limit", keyed, s.clearLimit("state size", s.cfg.Limits.ClearStateSizeLimit)},

		{http.MethodGet, "/v0/runs/:run/batch", keyed, s.runEvents},
		{http.MethodGet, "/v0/runs/:run/actions", keyed, s.runSteps},
		{http.MethodDelete, "/v0/runs/:run", keyed, s.cancelRunV0},
		{http.MethodPost, "/v0/telemetry", keyed, s.discard},

		{http.MethodGet, "/v1/events", keyed, reading(s.listEvents)},
		{http.MethodGet, "/v1/events/:event", keyed, reading(s.getEvent)},
		{http.MethodGet, "/v1/events/:event/runs", keyed, reading(s.eventRuns)},
		{http.MethodGet, "/v1/runs/:run", keyed, reading(s.getRun)},
		{http.MethodDelete, "/v1/runs/:run", keyed, s.cancelRun},
		{http.MethodGet, "/v1/runs/:run/jobs", keyed, s.runJobs},
		{http.MethodGet, "/v1/runs/:run/stream", keyed, s.streamRun},
		{http.MethodGet, "/v1/apps/:app/functions", keyed, s.appFunctions},
		{http.MethodPost, "/v1/functions/:function/pause", keyed, s.setPaused(true)},
		{http.MethodPost, "/v1/functions/:function/unpause", keyed, s.setPaused(false)},
		{http.MethodPost, "/v1/cancellations", keyed, s.createCancellation},
		{http.MethodGet, "/v1/cancellations", keyed, s.listCancellations},
		{http.MethodDelete, "/v1/cancellations/:cancellation", keyed, s.deleteCancellation},
		{http.MethodPost, "/v1/signals", keyed, s.sendSignal},
		{http.MethodPost, "/v1/realtime/token", keyed, handle(s.cfg.Realtime.CreateToken)},
		{http.MethodPost, "/v1/realtime/publish", open, handle(s.cfg.Realtime.Publish)}, // these check tokens
		{http.MethodPost, "/v1/realtime/publish/tee", open, handle(s.cfg.Realtime.Tee)},
		{http.MethodGet, "/v1/realtime/connect", open, handle(s.cfg.Realtime.Connect)},
		{http.MethodGet, "/v1/realtime/sse", open, handle(s.cfg.Realtime.SSE)},
		{http.MethodPost, "/v1/runs/:run/metadata", keyed, s.addMetadata},
		{http.MethodPost, "/v1/traces/userland", keyed, handle(s.cfg.Traces.Userland)},
		{http.MethodGet, "/v1/prom/:env", keyed, notImplemented("not implemented")},
	}
	if s.cfg.UI {
		routes = append(routes,
			route{http.MethodGet, "/", browser, reading(s.page)},
			route{http.MethodHead, "/", browser, reading(s.page)},
			route{http.MethodGet, "/runs/:run", browser, reading(s.runPage)},
			route{http.MethodGet, "/v0/", browser, handle(playground.Handler("jetstep", "/v0/gql"))},
			route{http.MethodGet, "/v0/gql", browser, reading(mounted(s.cfg.GraphQL))},
			route{http.MethodPost, "/v0/gql", browser, reading(mounted(s.cfg.GraphQL))})
	}
	for _, prefix := range []string{"/v1/checkpoint", "/v1/http/runs"} { // the latter is the older one
		routes = append(routes,
			route{http.MethodPost, prefix, keyed, s.startEndpoint},
			route{http.MethodPost, prefix + "/:run/steps", keyed, s.reportSteps},
			route{http.MethodPost, prefix + "/:run/async", keyed, s.checkpoint},
			route{http.MethodGet, prefix + "/:run/output", open, s.endpointOutput}) // checks a token
	}
	for _, method := range v2Methods {
		routes = append(routes,
			route{method, "/v2/*", keyed, reading(mounted(s.cfg.V2))}, route{method, "/api/v2/*", keyed, reading(mounted(s.cfg.V2))})
	}
	for _, path := range []string{"/v2/operations", "/api/v2/operations"} {
		routes = append(routes, route{http.MethodGet, path, open, mounted(s.cfg.V2)})
	}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		routes = append(routes, route{method, "/mcp", keyed, mounted(s.cfg.MCP)})
	}
	routes = append(append(routes, debugRoutes()...), s.testRoutes()...)
	return append(routes, laterRoutes()...)
}

// v2Methods are those which the handler of /v2 gets: it answers a wrong method
// in its own way (http-api §14).
var v2Methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// mounted serves requests with a handler that has its own form of errors.
func mounted(h http.Handler) echo.HandlerFunc {
	if h == nil {
		return notImplemented("not implemented yet")
	}
	return echo.WrapHandler(h)
}

// readTimeout bounds what reads the history: a database behind a network that
// swallows everything must not hold requests for ever.
const readTimeout = time.Minute

func reading(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), readTimeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// handle makes a handler of the standard library one of the router.
func handle(h http.HandlerFunc) echo.HandlerFunc { return echo.WrapHandler(h) }

// laterRoutes are those that the server does not have yet. They say so, where
// an answer 404 would look like a wrong URL.
func laterRoutes() []route {
	var routes []route
	for _, r := range []struct {
		path    string
		methods []string
	}{
		{"/v0/connect/start", []string{http.MethodPost}},
		{"/v0/connect/flush", []string{http.MethodPost}},
		{"/v0/connect/envs/:env/conns", []string{http.MethodGet}},
		{"/v0/connect/envs/:env/groups/:group", []string{http.MethodGet}},
	} {
		for _, method := range r.methods {
			routes = append(routes, route{method, r.path, keyed, notImplemented("not implemented yet")})
		}
	}
	return routes
}
