package api

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"jetstep/history"
)

func TestNew(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Mode: Start, SigningKeys: []string{"", ""}})
	require.ErrorContains(t, err, "signing key")

	metrics := prometheus.NewRegistry()
	depth := func() float64 { return 0 }
	cfg := Config{Mode: Dev, Metrics: metrics, QueueDepth: depth, Limits: &fakeLimits{}}
	server, err := New(cfg)
	require.NoError(t, err)
	_, err = New(cfg)
	require.ErrorContains(t, err, "metrics")

	http := server.HTTPServer()
	require.NotNil(t, http.Handler)
	require.NotZero(t, http.ReadHeaderTimeout)
	require.NotZero(t, http.IdleTimeout)
	require.Zero(t, http.WriteTimeout, "some answers wait for a run")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	w := f.do(t, "GET", "/health", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, `{"status":200,"message":"OK"}`+"\n", w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, 200, f.do(t, "HEAD", "/health", "").Code)
}

func TestReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	f.notReady = []string{"partition 2 is loading"}
	w := f.do(t, "GET", "/ready", "")
	require.Equal(t, 503, w.Code)
	require.Equal(t, `{"status":503,"message":"Not ready","reasons":["partition 2 is loading"]}`+"\n", w.Body.String())
	f.notReady = nil
	w = f.do(t, "GET", "/ready", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, `{"status":200,"message":"OK"}`+"\n", w.Body.String())
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	w := f.do(t, "GET", "/metrics", "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Header().Get("Content-Type"), "text/plain; version=0.0.4")
	require.Contains(t, w.Body.String(), "# HELP inngest_queue_depth Total depth of all system queues including backlog and ready state items\n"+
		"# TYPE inngest_queue_depth gauge\ninngest_queue_depth 2\n")
}

// TestProfiles has what Go's profiling tools ask for, for who has the key.
func TestProfiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile: total",
		"/debug/pprof/cmdline":           "api",
		"/debug/vars":                    `"memstats"`,
	} {
		w := f.do(t, "GET", path, "", "Authorization: Bearer "+testKey)
		require.Equal(t, 200, w.Code, path)
		require.Contains(t, w.Body.String(), want)
	}
}

// TestTokens is http-api §20 no. 5, and the fallback key.
func TestTokens(t *testing.T) {
	t.Parallel()
	const hash = "eb9bfb0760ae28afdd80e2a5354756b4b5c3bcfa0afc5e96b4ae7b36c8faa380"
	f := newFixture(t, inStart, func(cfg *Config) { cfg.SigningKeys = append(cfg.SigningKeys, "fedcba9876543210") })
	for token, status := range map[string]int{
		"Bearer signkey-prod-" + testKey: 200, "Bearer " + testKey: 200, "Bearer " + hash: 200, "Bearer signkey-test-" + hash: 200,
		"bearer " + testKey: 200, "Bearer fedcba9876543210": 200,
		"Bearer wrong": 401, "Bearer ": 401, "Bearer undefined": 401, testKey: 401, "Basic " + testKey: 401, "": 401,
	} {
		w := f.do(t, "POST", "/v0/telemetry", "{}", "Authorization: "+token)
		require.Equal(t, status, w.Code, token)
		if status == 401 {
			require.Equal(t, "Authentication failed\n", w.Body.String())
			require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			require.Equal(t, "cloud", w.Header().Get("X-Inngest-Server-Kind"))
		}
	}
	dev := newFixture(t)
	for _, token := range []string{"", "Bearer ", "Bearer undefined", "Bearer x"} {
		require.Equal(t, 200, dev.do(t, "POST", "/v0/telemetry", "{}", "Authorization: "+token).Code)
	}
	devWithKey := newFixture(t, func(cfg *Config) { cfg.SigningKeys = []string{testKey} })
	require.Equal(t, 401, devWithKey.do(t, "POST", "/v0/telemetry", "{}").Code, "a key that is given is used")
}

// TestEveryRouteNeedsAKeyInStart goes through the route table itself, so that
// a new route cannot be forgotten.
func TestEveryRouteNeedsAKeyInStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	open := map[string]bool{
		"/health": true, "/ready": true, "/metrics": true, "/e/:key": true, "/v2/operations": true, "/api/v2/operations": true,
	}
	for _, r := range f.routes() {
		path := strings.NewReplacer(":run", knownRun, ":event", knownRun, ":key", "wrong", ":", "").Replace(r.path)
		w := f.do(t, r.method, path, "")
		require.Equal(t, "cloud", w.Header().Get("X-Inngest-Server-Kind"), path)
		if r.path == "/v1/realtime/token" {
			subscriber := realtimeToken(t, f)
			require.Equal(t, 401, f.do(t, r.method, path, "[]", "Authorization: Bearer "+subscriber).Code, "a token makes no tokens")
		}
		if open[r.path] {
			require.Equal(t, r.path == "/e/:key", w.Code == 401, path)
			continue
		}
		require.Equal(t, 401, w.Code, "%s %s", r.method, path)
	}
	require.Empty(t, f.runs.cancelled)
}

func TestLaterRoutes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, r := range laterRoutes() {
		path := strings.NewReplacer(":", "", "*", "x/y").Replace(r.path)
		w := f.do(t, r.method, path, "")
		require.Equal(t, 501, w.Code, "%s %s", r.method, path)
		require.Equal(t, `{"error":"not implemented yet","data":null,"status":501}`+"\n", w.Body.String())
	}
	w := f.do(t, "GET", "/v1/prom/test", "")
	require.Equal(t, 501, w.Code)
	require.Equal(t, `{"error":"not implemented","data":null,"status":501}`+"\n", w.Body.String())
}

func TestReadyTellsOfTheHistory(t *testing.T) {
	t.Parallel()
	state := Projection{Available: true, Behind: 3, Age: 40 * time.Millisecond}
	f := newFixture(t, func(cfg *Config) { cfg.Projection = func() Projection { return state } })
	ready := func() string { return f.do(t, "GET", "/ready", "").Body.String() }
	require.Equal(t, `{"status":200,"message":"OK","history":{"state":"ok","messages_behind":3,"seconds_behind":0.04}}`+"\n", ready())
	require.NotContains(t, f.do(t, "GET", "/", "").Body.String(), "behind")

	state.Age = 90 * time.Second
	require.Contains(t, ready(), `{"status":200,"message":"OK","history":{"state":"lagging"`, "nothing that executes waits for it")
	require.Contains(t, f.do(t, "GET", "/", "").Body.String(), "What is shown is 1m30s behind.")

	state.Available = false
	require.Contains(t, ready(), `"history":{"state":"unavailable"`)
	f.notReady = []string{"partition 2 is loading"}
	require.Contains(t, ready(), `"status":503,"message":"Not ready","reasons":["partition 2 is loading"],"history":`)
}

func TestMountedHandlers(t *testing.T) {
	t.Parallel()
	asked := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, name+" "+r.Method+" "+r.URL.EscapedPath())
		})
	}
	f := newFixture(t, inStart, func(cfg *Config) { cfg.GraphQL, cfg.V2 = asked("gql"), asked("v2") })
	bearer, password := "Authorization: Bearer "+testKey, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+testKey))
	for _, c := range []struct{ method, path, auth, want string }{
		{"GET", "/v0/gql", bearer, "gql GET /v0/gql"},
		{"POST", "/v0/gql", password, "gql POST /v0/gql"},
		{"GET", "/v2/health", bearer, "v2 GET /v2/health"},
		{"PATCH", "/api/v2/envs/a%2Fb", bearer, "v2 PATCH /api/v2/envs/a%2Fb"},
		{"PUT", "/v2/runs", bearer, "v2 PUT /v2/runs"},
	} {
		w := f.do(t, c.method, c.path, "", c.auth)
		require.Equal(t, http.StatusTeapot, w.Code, c.path)
		require.Equal(t, c.want, w.Body.String())
	}
	require.Equal(t, 401, f.do(t, "GET", "/v2/health", "", password).Code, "only pages take a password")
	w := f.do(t, "GET", "/v0/", "", password)
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), "/v0/gql")

	// A browser sends a password that it has with forms of any page.
	for header, want := range map[string]int{
		"Sec-Fetch-Site: cross-site": 403, "Sec-Fetch-Site: same-site": 403, "Origin: http://evil.test": 403,
		"Sec-Fetch-Site: same-origin": http.StatusTeapot, "Origin: http://example.com": http.StatusTeapot,
	} {
		require.Equal(t, want, f.do(t, "POST", "/v0/gql", "{}", password, header, "Content-Type: multipart/form-data; boundary=x").Code, header)
		require.Equal(t, http.StatusTeapot, f.do(t, "POST", "/v0/gql", "{}", bearer, header).Code, "scripts have to know the key")
	}

	f = newFixture(t, func(cfg *Config) { cfg.UI, cfg.GraphQL = false, asked("gql") })
	require.Equal(t, 404, f.do(t, "POST", "/v0/gql", "{}").Code)
	require.Equal(t, 501, f.do(t, "GET", "/v2/health", "").Code)
}

func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for target, location := range map[string]string{
		"/nope": "", "/v1/nope": "", "/fn": "", "/e": "", "/v0": "", "/api/inngest": "", "/e/a/b": "", "/invoke/a/b": "", "/v1/runs/x/y/z": "", "//evil.example/": "", `/\evil.example/`: "/%5Cevil.example",
		"/e/": "/e", "/e/test/": "/e/test", "/v1/events/?limit=1": "/v1/events?limit=1", "/nope//": "/nope",
	} {
		w := f.do(t, "POST", target, "")
		if location == "" {
			require.Equal(t, 404, w.Code, target)
			require.Equal(t, "404 page not found\n", w.Body.String(), target)
			continue
		}
		require.Equal(t, 303, w.Code, target)
		require.Equal(t, location, w.Header().Get("Location"), target)
	}
	require.Equal(t, "dev", f.do(t, "GET", "/nope", "").Header().Get("X-Inngest-Server-Kind"))
}

func TestWrongMethods(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for target, allow := range map[string]string{
		"/e/x": "POST", "/fn/register": "POST", "/invoke/x": "POST", "/fn/remove": "DELETE", "/v1/events": "GET",
		"/fn/step-limit": "DELETE, POST", "/health": "GET, HEAD",
	} {
		w := f.do(t, "PUT", target, "")
		require.Equal(t, 405, w.Code, target)
		require.Empty(t, w.Body.String(), target)
		got := strings.Split(w.Header().Get("Allow"), ", ")
		require.ElementsMatch(t, strings.Split(allow, ", "), got, target)
	}
}

// TestCORS is the capture of http-api §3.
func TestCORS(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(t, "OPTIONS", "/e/test", "", "Origin: https://example.com", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, http.Header{
		"Access-Control-Allow-Headers": {"Content-Type"},
		"Access-Control-Allow-Methods": {"POST"},
		"Access-Control-Allow-Origin":  {"https://example.com"},
		"Access-Control-Max-Age":       {"3600"},
	}, w.Header())

	w = f.do(t, "OPTIONS", "/nope", "", "Origin: https://example.com", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization,x-inngest-env")
	require.Equal(t, "Authorization, X-Inngest-Env", w.Header().Get("Access-Control-Allow-Headers"))

	for _, header := range [][]string{
		{"Origin: https://example.com", "Access-Control-Request-Method: PATCH"},
		{"Access-Control-Request-Method: GET"},
	} {
		w = f.do(t, "OPTIONS", "/e/test", "", header...)
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Header())
	}

	w = f.do(t, "GET", "/health", "", "Origin: https://example.com")
	require.Equal(t, "https://example.com", w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Link, Mcp-Session-Id", w.Header().Get("Access-Control-Expose-Headers"))
	require.Equal(t, "Origin", w.Header().Get("Vary"))
	w = f.do(t, "GET", "/health", "")
	require.NotContains(t, w.Header(), "Access-Control-Allow-Origin")
	require.Equal(t, "Origin", w.Header().Get("Vary"))
}

// brokenHistory panics.
type brokenHistory struct{ history.Reader }

func TestPanicsBecomeErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(cfg *Config) { cfg.History = brokenHistory{} })
	w := f.do(t, "GET", "/v1/runs/"+knownRun, "")
	require.Equal(t, 500, w.Code)
	require.Equal(t, `{"error":"Internal error","data":null,"status":500}`+"\n", w.Body.String())
	require.Contains(t, f.log.String(), "panic:")
	require.Contains(t, f.log.String(), "getRun", "with the stack")
}

func TestAbortedHandlersStayAborted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.echo.GET("/abort", func(echo.Context) error { panic(http.ErrAbortHandler) })
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { f.do(t, "GET", "/abort", "") })
}
