package appsync

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
)

// fakeRegistry is a Registry without JetStream. Like the real one it may run a
// change more than once.
type fakeRegistry struct {
	mu      sync.Mutex
	apps    map[uuid.UUID]*function.App
	writes  int
	failing error
}

func (r *fakeRegistry) Catalog() *bus.Catalog {
	r.mu.Lock()
	defer r.mu.Unlock()
	catalog := &bus.Catalog{}
	for _, app := range r.apps {
		if app.ArchivedAt.IsZero() {
			catalog.Apps = append(catalog.Apps, app)
		}
	}
	slices.SortFunc(catalog.Apps, func(a, b *function.App) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return catalog
}

func (r *fakeRegistry) Update(ctx context.Context, id uuid.UUID, change func(*function.App) (*function.App, error)) (*function.App, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing != nil {
		return nil, r.failing
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	old := r.apps[id]
	if _, err := change(nil); err != nil { // as after a lost race
		return nil, err
	}
	app, err := change(old)
	if err != nil {
		return nil, err
	}
	if app == nil {
		return old, nil
	}
	app.ID = id
	r.writes++
	r.apps[id] = app
	return app, nil
}

// app is the active app of that name, which must exist.
func (r *fakeRegistry) app(t *testing.T, name string) *function.App {
	t.Helper()
	for _, app := range r.Catalog().Apps {
		if app.Name == name {
			return app
		}
	}
	require.Fail(t, "no such app", "%q is not among %d apps", name, len(r.Catalog().Apps))
	return nil
}

// urls lists the active apps' URLs.
func (r *fakeRegistry) urls() []string {
	var urls []string
	for _, app := range r.Catalog().Apps {
		urls = append(urls, app.URL)
	}
	slices.Sort(urls)
	return urls
}

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count is how many lines contain part.
func (l *logs) count(part string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// fixture is a Syncer with everything around it replaced.
type fixture struct {
	*Syncer
	registry *fakeRegistry
	logs     *logs
	apps     *fakeApps
}

func newFixture(t *testing.T, cfg Config) *fixture {
	t.Helper()
	f := &fixture{registry: &fakeRegistry{apps: map[uuid.UUID]*function.App{}}, logs: &logs{}, apps: &fakeApps{at: map[string]fakeApp{}}}
	if cfg.Kind == "" {
		cfg.Kind = "dev"
	}
	if cfg.RegistrationWait == 0 {
		cfg.RegistrationWait = time.Nanosecond
	}
	cfg.Registry = f.registry
	cfg.Client = &http.Client{Timeout: PingTimeout, Transport: f.apps}
	cfg.Dial = f.apps.dial
	cfg.Logger = slog.New(slog.NewTextHandler(f.logs, nil))
	f.Syncer = New(cfg)
	return f
}

// fakeApp answers one request.
type fakeApp func(req *http.Request, body string) *http.Response

// fakeApps is a network of apps by URL.
type fakeApps struct {
	mu       sync.Mutex
	at       map[string]fakeApp
	requests []string // method and URL
	bodies   []string
	headers  []http.Header
}

func (a *fakeApps) serve(url string, app fakeApp) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at[url] = app
}

// RoundTrip implements http.RoundTripper.
func (a *fakeApps) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	a.mu.Lock()
	a.requests = append(a.requests, req.Method+" "+req.URL.String())
	a.bodies = append(a.bodies, string(body))
	a.headers = append(a.headers, req.Header.Clone())
	app := a.at[req.URL.String()]
	a.mu.Unlock()
	if app == nil {
		return nil, errors.New("connection refused")
	}
	return app(req, string(body)), nil
}

// dial opens the ports at which an app is served, with a page or without.
func (a *fakeApps) dial(_ context.Context, _, address string) (net.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, port, _ := net.SplitHostPort(address)
	for url := range maps.Keys(a.at) {
		if strings.HasPrefix(url, "http://localhost:"+port+"/") {
			conn, other := net.Pipe()
			_ = other.Close()
			return conn, nil
		}
	}
	return nil, errors.New("connection refused")
}

// seen takes the requests since the last call.
func (a *fakeApps) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.requests
	a.requests = nil
	return seen
}

// respond is an SDK's answer; header is "Name: value".
func respond(status int, body string, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{headerSDK: {"inngest-js:v4.24.0"}}, Body: io.NopCloser(strings.NewReader(body))}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		resp.Header.Set(name, value)
	}
	return resp
}

func TestRemove(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	_, err := f.Register(t.Context(), nil, registration("app", "a"))
	require.NoError(t, err)
	id := f.registry.app(t, "app").Functions[0].ID

	err = f.Remove(t.Context(), "http://nope")
	require.ErrorIs(t, err, ErrAppNotFound)
	require.NoError(t, f.Remove(t.Context(), "http://127.0.0.1:3000/api/inngest?deployId=1"), "URLs are compared in normal form")
	require.Empty(t, f.registry.urls())
	require.Equal(t, 1, f.logs.count("app removed"))
	require.ErrorIs(t, f.Remove(t.Context(), "http://127.0.0.1:3000/api/inngest"), ErrAppNotFound)

	_, err = f.Register(t.Context(), nil, []byte(`{"appName":"without"}`))
	require.NoError(t, err)
	require.ErrorIs(t, f.Remove(t.Context(), ""), ErrAppNotFound, "apps without a URL are not meant")

	answer, err := f.Register(t.Context(), nil, registration("app", "a"))
	require.NoError(t, err)
	require.True(t, answer.Modified, "it comes back")
	require.Equal(t, id, f.registry.app(t, "app").Functions[0].ID)

	f.registry.failing = errors.New("no leader")
	require.ErrorContains(t, f.Remove(t.Context(), "http://127.0.0.1:3000/api/inngest"), "no leader")
}
