package export

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"jetstep/history/trace"
)

var quiet = slog.New(slog.DiscardHandler)

// history has the rows of runs.
type history struct {
	mu    sync.Mutex
	rows  map[ulid.ULID][]trace.Row
	err   error
	reads int
}

func (h *history) Spans(_ context.Context, run ulid.ULID) ([]trace.Row, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	return h.rows[run], h.err
}

func (h *history) set(change func(*history)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

func (h *history) asked() (n int) {
	h.set(func(h *history) { n = h.reads })
	return n
}

// sink keeps what is uploaded.
type sink struct {
	mu      sync.Mutex
	uploads [][]*otlp.ResourceSpans
	err     error
	stopped bool
}

func (s *sink) Start(context.Context) error { return nil }
func (s *sink) Stop(context.Context) error  { s.stopped = true; return s.err }
func (s *sink) UploadTraces(_ context.Context, spans []*otlp.ResourceSpans) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.uploads = append(s.uploads, spans)
	}
	return s.err
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

func (s *sink) spans() (all []*otlp.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, upload := range s.uploads {
		all = append(all, upload[0].ScopeSpans[0].Spans...)
	}
	return all
}

func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		m := family.GetMetric()[0]
		values[family.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return values
}

// running is an exporter that runs in a bubble of synctest.
func running(t *testing.T, from *history, to Client) (e *Exporter, registry *prometheus.Registry, stop func()) {
	t.Helper()
	registry = prometheus.NewRegistry()
	e, err := New(t.Context(), Config{Client: to, Spans: from, Version: "1.2.3", Logger: quiet, Metrics: registry})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	return e, registry, func() {
		cancel()
		<-done
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from, to := &history{rows: map[ulid.ULID][]trace.Row{run: ranRows()}}, &sink{}
		e, registry, stop := running(t, from, to)
		e.RunFinished(run, time.Now())
		e.RunFinished(run, time.Now()) // told twice
		e.RunFinished(ulid.Make(), time.Now().Add(-time.Hour))
		time.Sleep(2 * interval)
		synctest.Wait()
		require.Equal(t, 1, to.count())
		require.Len(t, to.spans(), 3)
		resource := to.uploads[0][0]
		require.Equal(t, "service.name", resource.Resource.Attributes[0].Key)
		require.Equal(t, "jetstep", resource.ScopeSpans[0].Scope.Name)
		require.Equal(t, map[string]float64{
			"jetstep_otlp_runs_exported_total": 1, "jetstep_otlp_runs_dropped_total": 0, "jetstep_otlp_failures_total": 0, "jetstep_otlp_runs_pending": 0,
		}, gathered(t, registry))
		require.Empty(t, e.known)

		other := ulid.Make()
		from.set(func(h *history) { h.rows[other] = rowsOf(other) })
		e.RunFinished(other, time.Now())
		stop()
		require.Equal(t, 2, to.count(), "what is left goes out at the end")
		require.True(t, to.stopped)
	})
}

// TestHistoryIsBehind: a run waits for its trace, and is not asked for by
// those behind it all the time.
func TestHistoryIsBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from, to := &history{rows: map[ulid.ULID][]trace.Row{run: ranRows()[:1]}}, &sink{}
		e, registry, stop := running(t, from, to)
		e.RunFinished(run, time.Now())
		for range 500 {
			e.RunFinished(ulid.Make(), time.Now())
		}
		time.Sleep(2 * interval)
		synctest.Wait()
		require.Zero(t, to.count())
		require.LessOrEqual(t, from.asked(), 2*maxBehind)
		from.set(func(h *history) { h.err = errors.New("down") })
		before := from.asked()
		time.Sleep(10 * interval)
		synctest.Wait()
		require.LessOrEqual(t, from.asked(), before+10, "once a round")
		from.set(func(h *history) { h.err, h.rows[run] = nil, ranRows() })
		time.Sleep(2 * interval)
		synctest.Wait()
		require.Equal(t, 1, to.count())
		time.Sleep(patience + 20*time.Second)
		synctest.Wait()
		values := gathered(t, registry)
		require.InDelta(t, 1, values["jetstep_otlp_runs_exported_total"], 0)
		require.InDelta(t, 500, values["jetstep_otlp_runs_dropped_total"], 0, "of which nothing is known")
		stop()
	})
}

// TestCollectorIsDown: what it does not take is dropped.
func TestCollectorIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from, to := &history{rows: map[ulid.ULID][]trace.Row{run: ranRows()}}, &sink{err: errors.New("refused")}
		e, registry, stop := running(t, from, to)
		e.RunFinished(run, time.Now())
		time.Sleep(2 * interval)
		synctest.Wait()
		values := gathered(t, registry)
		require.InDelta(t, 1, values["jetstep_otlp_runs_dropped_total"], 0)
		require.InDelta(t, 1, values["jetstep_otlp_failures_total"], 0)
		require.Zero(t, e.waiting())
		stop()
	})
}

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	e, err := New(t.Context(), Config{Logger: quiet})
	require.NoError(t, err)
	for range maxPending + 5 {
		e.RunFinished(ulid.Make(), time.Now())
	}
	require.Equal(t, maxPending, e.waiting())
	require.Len(t, e.known, maxPending)
}

// TestBatches: large exports are sent in pieces.
func TestBatches(t *testing.T) {
	t.Parallel()
	from, to := &history{rows: map[ulid.ULID][]trace.Row{}}, &sink{}
	e, err := New(t.Context(), Config{Client: to, Spans: from, Logger: quiet})
	require.NoError(t, err)
	for range maxBatch {
		id := ulid.Make()
		from.rows[id] = rowsOf(id)
		e.RunFinished(id, time.Now())
	}
	e.round(t.Context(), 0)
	require.Equal(t, 3, to.count())
	require.Len(t, to.spans(), 3*maxBatch)
	require.Zero(t, e.waiting())
}

// failing cannot be started.
type failing struct{ sink }

func (*failing) Start(context.Context) error { return errors.New("no") }

func TestStartFails(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	e, err := New(t.Context(), Config{Client: &failing{}, Logger: quiet, Metrics: registry})
	require.NoError(t, err)
	e.Run(t.Context()) // returns
	_, err = New(t.Context(), Config{Logger: quiet, Metrics: registry})
	require.Error(t, err, "the metrics are registered already")
}

// receiver is an OpenTelemetry collector.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	got chan []*otlp.ResourceSpans
}

func (r *receiver) Export(_ context.Context, export *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.got <- export.GetResourceSpans()
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var export collector.ExportTraceServiceRequest
	if req.URL.Path != "/v1/traces" || err != nil || proto.Unmarshal(body, &export) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.got <- export.GetResourceSpans()
}

// TestCollectors: both ways of speaking to one work.
func TestCollectors(t *testing.T) {
	t.Parallel()
	r := &receiver{got: make(chan []*otlp.ResourceSpans, 1)}
	web := httptest.NewServer(r)
	t.Cleanup(web.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-served)
	})
	for _, endpoint := range []string{web.URL, web.URL + "/v1/traces", "grpc://" + listener.Addr().String()} {
		client, err := NewClient(endpoint)
		require.NoError(t, err)
		e, err := New(t.Context(), Config{Client: client, Spans: &history{rows: map[ulid.ULID][]trace.Row{run: ranRows()}}, Logger: quiet})
		require.NoError(t, err)
		require.NoError(t, client.Start(t.Context()))
		e.RunFinished(run, time.Now())
		e.round(t.Context(), 0)
		select {
		case got := <-r.got:
			require.Len(t, got[0].ScopeSpans[0].Spans, 3, endpoint)
			require.Equal(t, hex.EncodeToString(run.Bytes()), hex.EncodeToString(got[0].ScopeSpans[0].Spans[0].TraceId))
		default:
			require.Fail(t, "nothing came", endpoint)
		}
		require.NoError(t, client.Stop(t.Context()))
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		endpoint, protocol, target string
		byGRPC                     bool
		fails                      string
	}{
		{"", "", "", false, ""},
		{"", "grpc", "", true, ""},
		{"", "http/json", "", false, `OTLP protocol "http/json" is not supported`},
		{"http://c:4318", "", "http://c:4318/v1/traces", false, ""},
		{"https://c/", "http/protobuf", "https://c/v1/traces", false, ""},
		{"https://c/x/y", "", "https://c/x/y", false, ""},
		{"http://c:4317", "grpc", "http://c:4317", true, ""},
		{"grpc://c:4317", "", "http://c:4317", true, ""},
		{"grpcs://c:4317", "", "https://c:4317", true, ""},
		{"c:4318", "", "", false, "its scheme must be"},
		{"ftp://c", "", "", false, "its scheme must be"},
		{"http:///x", "", "", false, "names no host"},
		{"http://c:x", "", "", false, "OTLP endpoint"},
	} {
		target, byGRPC, err := targetOf(test.endpoint, test.protocol)
		if test.fails != "" {
			require.ErrorContains(t, err, test.fails)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, test.target, target)
		require.Equal(t, test.byGRPC, byGRPC)
	}
}

// TestEnvironment is that of OpenTelemetry. It changes the process's, so that
// it runs by itself.
func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		env   map[string]string
		given string
		is    bool
	}{
		{nil, "", false},
		{nil, "http://c", true},
		{map[string]string{envEndpoint: "http://c:4318"}, "", true},
		{map[string]string{envTracesEndpoint: "http://c:4318/v1/traces", envTracesProtocol: "grpc"}, "", true},
		{map[string]string{envEndpoint: "http://c:4318", envExporter: "none"}, "", false},
		{map[string]string{envExporter: "none"}, "http://c", true},
		{map[string]string{envDisabled: "true"}, "http://c", false},
	} {
		for _, name := range []string{envEndpoint, envTracesEndpoint, envProtocol, envTracesProtocol, envExporter, envDisabled} {
			t.Setenv(name, test.env[name])
		}
		client, err := NewClient(test.given)
		require.NoError(t, err)
		require.Equal(t, test.is, client != nil, "%v %s", test.env, test.given)
	}
	t.Setenv(envDisabled, "")
	t.Setenv(envProtocol, "http/json")
	_, err := NewClient("http://c")
	require.Error(t, err)

	t.Setenv("OTEL_SERVICE_NAME", "mine")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	r, err := resourceOf(t.Context(), "1")
	require.NoError(t, err)
	described := map[string]string{}
	for _, a := range r.attributes {
		described[a.Key] = a.Value.GetStringValue()
	}
	require.Equal(t, map[string]string{"service.name": "mine", "deployment.environment": "test"}, described)
}
