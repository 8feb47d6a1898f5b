package api

import (
	"expvar"
	"net/http"
	"net/http/pprof"
)

// debugRoutes are for Go's profiling tools (http-api §8). Unlike in the original
// they need the signing key.
func debugRoutes() []route {
	return []route{
		{http.MethodGet, "/debug/pprof/*", keyed, handle(pprof.Index)},
		{http.MethodGet, "/debug/pprof/cmdline", keyed, handle(pprof.Cmdline)},
		{http.MethodGet, "/debug/pprof/profile", keyed, handle(pprof.Profile)},
		{http.MethodGet, "/debug/pprof/symbol", keyed, handle(pprof.Symbol)},
		{http.MethodGet, "/debug/pprof/trace", keyed, handle(pprof.Trace)},
		{http.MethodGet, "/debug/vars", keyed, handle(expvar.Handler().ServeHTTP)},
	}
}
