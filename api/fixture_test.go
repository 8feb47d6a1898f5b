package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"jetstep/api/appsync"
	"jetstep/api/ingest"
	"jetstep/api/otlp"
	"jetstep/api/realtime"
	"jetstep/api/runstream"
	"jetstep/bus"
	"jetstep/function"
	"jetstep/history"
	"jetstep/history/live"
	"jetstep/state"
)

var now = time.Date(2026, 11, 25, 23, 0, 52, 88_477_932, time.UTC)

const (
	knownRun = "01M8AFNA89V4FR54NKFFTV1PNK"
	goneRun  = "01M8ACKAFK5FRXBHTJCW3BXE8K"
	testKey  = "abcdef0123456789"
)

// fixture is a Server with everything around it replaced.
type fixture struct {
	*Server
	published *publisher
	apps      *fakeApps
	catalog   *fakeCatalog
	history   *live.Overlay
	past      *past
	runs      *fakeRuns
	spans     *fakeSpans
	signals   *fakeSignals
	limits    *fakeLimits
	notReady  []string
	metrics   *prometheus.Registry
	log       *bytes.Buffer
}

// newFixture makes a server in dev mode, which configure may change.
func newFixture(t *testing.T, configure ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{
		published: &publisher{}, apps: &fakeApps{}, catalog: &fakeCatalog{}, past: &past{},
		runs: &fakeRuns{}, spans: &fakeSpans{}, signals: &fakeSignals{}, limits: &fakeLimits{}, metrics: prometheus.NewRegistry(), log: &bytes.Buffer{},
	}
	f.history = live.New(live.Config{Past: f.past, Engine: f.runs})
	cfg := Config{
		Mode: Dev, Version: "1.2.3", UI: true, Apps: f.apps, Catalog: f.catalog, Controls: f.catalog, History: f.history, Runs: f.runs,
		Signals: f.signals, Limits: f.limits, NotReady: func() []string { return f.notReady },
		QueueDepth: func() float64 { return 2 }, Metrics: f.metrics,
		Logger: slog.New(slog.NewTextHandler(f.log, nil)), Now: func() time.Time { return now },
	}
	for _, change := range configure {
		change(&cfg)
	}
	cfg.Realtime = realtime.New(realtime.Config{Broker: lostMessages{}, SigningKeys: cfg.SigningKeys, Now: cfg.Now})
	traces, err := otlp.New(otlp.Config{})
	require.NoError(t, err)
	cfg.Traces = traces
	cfg.Changes = runstream.NewHub(lostMessages{}, cfg.Logger)
	t.Cleanup(cfg.Changes.Close)
	cfg.Spans = f.spans
	if cfg.Events == nil {
		keys := ingest.AnyKey()
		if cfg.Mode == Start {
			keys = ingest.OnlyKeys("event-key")
		}
		events, err := ingest.New(ingest.Config{Publisher: f.published, Keys: keys, Now: cfg.Now})
		require.NoError(t, err)
		cfg.Events = events
	}
	server, err := New(cfg)
	require.NoError(t, err)
	f.Server = server
	return f
}

// inStart makes it a server in start mode with testKey.
func inStart(cfg *Config) {
	cfg.Mode, cfg.SigningKeys = Start, []string{testKey}
}

// do sends a request; header is "Name: value".
func (f *fixture) do(t *testing.T, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, req)
	return w
}

// past is a database with events only.
type past struct {
	events []history.Event
	err    error // of looking for a run
}

func (p *past) Run(context.Context, ulid.ULID) (history.Run, error) {
	return history.Run{}, cmp.Or(p.err, history.ErrRunNotFound)
}
func (p *past) EventRuns(context.Context, ulid.ULID) ([]history.Run, error) { return nil, nil }
func (p *past) RecentRuns(context.Context, int) ([]history.Run, error)      { return nil, nil }

func (p *past) Event(_ context.Context, id ulid.ULID) (history.Event, error) {
	for _, e := range p.events {
		if e.InternalID == id {
			return e, nil
		}
	}
	return history.Event{}, history.ErrEventNotFound
}

func (p *past) Events(context.Context, history.EventFilter) ([]history.Event, error) {
	return slices.Clone(p.events), nil
}

// publisher keeps the stored form of what was published.
type publisher struct {
	mu     sync.Mutex
	events []string
	err    error
}

func (p *publisher) Publish(_ context.Context, events []*bus.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range events {
		p.events = append(p.events, string(e.JSON()))
	}
	return p.err
}

// fakeApps answers as it is told.
type fakeApps struct {
	answer  appsync.Response
	err     error
	header  http.Header
	body    string
	removed string
}

func (a *fakeApps) Register(_ context.Context, header http.Header, body []byte) (appsync.Response, error) {
	a.header, a.body = header, string(body)
	return a.answer, a.err
}

func (a *fakeApps) Remove(_ context.Context, url string) error {
	a.removed = url
	return a.err
}

// fakeCatalog shows apps, and what is decided about their functions.
type fakeCatalog struct {
	apps     []*function.App
	controls map[uuid.UUID]*function.Control
	err      error
}

func (c *fakeCatalog) Catalog() *bus.Catalog {
	return bus.NewCatalog(c.apps, slices.Collect(maps.Values(c.controls))...)
}

func (c *fakeCatalog) control(id uuid.UUID) *function.Control {
	if c.controls == nil {
		c.controls = map[uuid.UUID]*function.Control{}
	}
	if c.controls[id] == nil {
		c.controls[id] = &function.Control{FunctionID: id}
	}
	return c.controls[id]
}

func (c *fakeCatalog) SetPaused(_ context.Context, id uuid.UUID, paused bool) error {
	c.control(id).Paused = paused
	return c.err
}

func (c *fakeCatalog) AddCancellation(_ context.Context, added function.Cancellation) error {
	*c.control(added.FunctionID) = c.control(added.FunctionID).WithCancellation(added)
	return c.err
}

func (c *fakeCatalog) RemoveCancellation(_ context.Context, id ulid.ULID) error {
	for _, control := range c.controls {
		if changed, ok := control.WithoutCancellation(id); ok {
			*control = changed
			return c.err
		}
	}
	return bus.ErrNoCancellation
}

// demoApp has one function.
func demoApp() *function.App {
	return &function.App{
		ID: function.AppID("demo"), Name: "demo", URL: "http://localhost:3000/api/inngest", SDKLanguage: "js", SDKVersion: "v4.24.0",
		Method: function.MethodServe, CreatedAt: now,
		Functions: []function.Function{{ID: uuid.MustParse("1d096226-3dd8-522e-bf41-b1de71388121"), Version: 1, Name: "sleeper", Slug: "demo-sleeper",
			Triggers: []function.Trigger{{Event: "demo/sleep", Expression: "event.data.ok == true"}, {Cron: "* * * * *"}, {Event: "demo/other"}},
			Steps:    []function.Step{{ID: "step", Name: "step", URI: "http://localhost:3000/api/inngest?fnId=demo-sleeper&stepId=step"}}}},
	}
}

// fakeRuns knows knownRun.
type fakeRuns struct {
	err        error // of Cancel and Checkpoint, and of the others
	events     []json.RawMessage
	steps      map[string]json.RawMessage
	jobs       []Job
	waiting    map[ulid.ULID]string
	loading    bool
	cancelled  []ulid.ULID
	checkpoint CheckpointRequest
}

func (r *fakeRuns) Cancel(_ context.Context, run ulid.ULID) error {
	r.cancelled = append(r.cancelled, run)
	return r.err
}

func (r *fakeRuns) Events(context.Context, ulid.ULID) ([]json.RawMessage, error) {
	return r.events, r.err
}

func (r *fakeRuns) Steps(context.Context, ulid.ULID) (map[string]json.RawMessage, error) {
	return r.steps, r.err
}

func (r *fakeRuns) Jobs(context.Context, ulid.ULID) ([]Job, error) { return r.jobs, r.err }

// Load and Executing are those of an engine without runs.
func (r *fakeRuns) Load(context.Context, ulid.ULID) (*state.Run, error) {
	return nil, state.ErrRunNotFound
}
func (r *fakeRuns) Executing(ulid.ULID) (time.Time, bool) { return time.Time{}, false }

func (r *fakeRuns) Loading(ulid.ULID) bool { return r.loading }

func (r *fakeRuns) WaitingFor(_ context.Context, run ulid.ULID) (string, bool) {
	limit, ok := r.waiting[run]
	return limit, ok
}

func (r *fakeRuns) Checkpoint(ctx context.Context, req CheckpointRequest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.checkpoint = req
	return r.err
}

// fakeSignals remembers the last signal.
type fakeSignals struct {
	name, data string
	err        error
}

func (s *fakeSignals) Send(_ context.Context, name string, data json.RawMessage) (ulid.ULID, error) {
	s.name, s.data = name, string(data)
	return ulid.MustParse(knownRun), s.err
}

// fakeLimits has the limits in a map, by name and function.
type fakeLimits struct{ set map[string]int }

func (l *fakeLimits) put(key string, n int) {
	if l.set == nil {
		l.set = map[string]int{}
	}
	l.set[key] = n
}

func (l *fakeLimits) clear(key string) bool {
	_, had := l.set[key]
	delete(l.set, key)
	return had
}

func (l *fakeLimits) SetStepLimit(fn uuid.UUID, n int)      { l.put("steps "+fn.String(), n) }
func (l *fakeLimits) ClearStepLimit(fn uuid.UUID) bool      { return l.clear("steps " + fn.String()) }
func (l *fakeLimits) SetStateSizeLimit(fn uuid.UUID, n int) { l.put("bytes "+fn.String(), n) }
func (l *fakeLimits) ClearStateSizeLimit(fn uuid.UUID) bool { return l.clear("bytes " + fn.String()) }
