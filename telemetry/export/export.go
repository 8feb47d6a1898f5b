// Package export sends the traces of runs that have ended to an OpenTelemetry
// collector (OTLP over HTTP or gRPC): the run, the calls of its function, and
// its steps.
//
// It guarantees bounded memory: what the collector does not take in time is
// dropped and counted, and nothing but the export itself waits for it. A run is
// exported by the process that owns it, usually once; a process that dies may
// leave some out. It reads the history, and must not change anything.
package export

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"jetstep/history/trace"
)

// Client sends spans to a collector, and tries for a while if it has to; see
// otlptrace.Client.
type Client interface {
	Start(ctx context.Context) error
	UploadTraces(ctx context.Context, spans []*otlp.ResourceSpans) error
	Stop(ctx context.Context) error
}

// Spans reads the rows of a run's trace; see reader.Reader.
type Spans interface {
	Spans(ctx context.Context, run ulid.ULID) ([]trace.Row, error)
}

// Config is what an Exporter needs.
type Config struct {
	Client  Client
	Spans   Spans
	Version string // of this server
	Logger  *slog.Logger
	Metrics prometheus.Registerer // default: none
}

const (
	// maxPending bounds the runs that wait to be exported.
	maxPending = 10_000
	// maxBatch is about how many spans are sent at once.
	maxBatch = 512
	// settle is how long the history gets before it is asked for a run.
	settle = 200 * time.Millisecond
	// interval is how often it is asked.
	interval = 500 * time.Millisecond
	// maxBehind ends a round: when so many runs are not complete, the history is
	// behind and is not to be asked for all others.
	maxBehind = 50
	// patience is how long a run waits for its trace to be complete.
	patience = 10 * time.Minute
	// farewell bounds the last export, when the server ends.
	farewell = 5 * time.Second
)

// Exporter sends traces until its context ends.
type Exporter struct {
	cfg      Config
	resource resource
	since    time.Time // when it began: what is older is told again

	exported, dropped prometheus.Counter
	failures          prometheus.Counter

	mu      sync.Mutex
	pending []ended // oldest first
	known   map[ulid.ULID]struct{}
}

// ended is a run that waits to be exported.
type ended struct {
	run ulid.ULID
	at  time.Time // when that was told
}

// New makes an Exporter. It fails if its metrics are registered already.
func New(ctx context.Context, cfg Config) (*Exporter, error) {
	e := &Exporter{
		cfg: cfg, since: time.Now(), known: map[ulid.ULID]struct{}{},
		exported: prometheus.NewCounter(prometheus.CounterOpts{Name: "jetstep_otlp_runs_exported_total", Help: "Runs whose trace was sent to the OpenTelemetry collector"}),
		dropped:  prometheus.NewCounter(prometheus.CounterOpts{Name: "jetstep_otlp_runs_dropped_total", Help: "Runs whose trace was not sent, because the collector or the history was not there in time"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "jetstep_otlp_failures_total", Help: "Failures to send traces to the OpenTelemetry collector"}),
	}
	var err error
	if e.resource, err = resourceOf(ctx, cfg.Version); err != nil {
		return nil, err
	}
	if cfg.Metrics == nil {
		return e, nil
	}
	return e, errors.Join(
		cfg.Metrics.Register(e.exported), cfg.Metrics.Register(e.dropped), cfg.Metrics.Register(e.failures),
		cfg.Metrics.Register(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "jetstep_otlp_runs_pending", Help: "Runs that have ended and wait for their trace to be sent"},
			func() float64 { return float64(e.waiting()) },
		)),
	)
}

// RunFinished is told of a run's end, again after a restart. It does not block.
func (e *Exporter) RunFinished(run ulid.ULID, at time.Time) {
	if at.Before(e.since) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.known[run]; known {
		return
	}
	if len(e.pending) >= maxPending {
		e.dropped.Inc()
		return
	}
	e.known[run] = struct{}{}
	e.pending = append(e.pending, ended{run, time.Now()})
}

func (e *Exporter) waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.pending)
}

// Run exports until ctx ends, and then what it still can within a few seconds.
func (e *Exporter) Run(ctx context.Context) {
	if err := e.cfg.Client.Start(ctx); err != nil {
		e.cfg.Logger.Error("traces of runs are not exported", "error", err)
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			e.end(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
			e.round(ctx, settle)
		}
	}
}

func (e *Exporter) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	e.round(ctx, 0)
	if err := e.cfg.Client.Stop(ctx); err != nil {
		e.cfg.Logger.Warn("the export of traces did not end well", "error", err)
	}
}

// round exports the runs that have ended for some time.
func (e *Exporter) round(ctx context.Context, settled time.Duration) {
	var spans []*otlp.Span
	var runs []ulid.ULID
	behind := 0
	for _, next := range e.due(settled) {
		if ctx.Err() != nil || behind >= maxBehind {
			break
		}
		more, complete, err := e.read(ctx, next.run)
		if err != nil {
			e.cfg.Logger.Debug("the trace of a run cannot be read yet", "run_id", next.run, "error", err)
			behind = maxBehind
		}
		if !complete && time.Since(next.at) < patience {
			behind++
			continue
		}
		if len(more) == 0 {
			e.forget(e.dropped, next.run)
			continue
		}
		spans, runs = append(spans, more...), append(runs, next.run)
		if len(spans) >= maxBatch {
			e.send(ctx, spans, runs)
			spans, runs = nil, nil
		}
	}
	e.send(ctx, spans, runs)
}

// due are the pending runs that may be looked at.
func (e *Exporter) due(settled time.Duration) []ended {
	e.mu.Lock()
	defer e.mu.Unlock()
	latest := time.Now().Add(-settled)
	n := 0
	for n < len(e.pending) && !e.pending[n].at.After(latest) {
		n++
	}
	return append([]ended(nil), e.pending[:n]...)
}

func (e *Exporter) read(ctx context.Context, run ulid.ULID) (spans []*otlp.Span, complete bool, err error) {
	rows, err := e.cfg.Spans.Spans(ctx, run)
	if err != nil {
		return nil, false, err
	}
	spans, complete = spansOf(run, rows)
	return spans, complete, nil
}

// send uploads spans. The client has tried again for a while when it fails:
// they are dropped then.
func (e *Exporter) send(ctx context.Context, spans []*otlp.Span, runs []ulid.ULID) {
	if len(spans) == 0 {
		return
	}
	if err := e.cfg.Client.UploadTraces(ctx, e.resource.wrap(spans)); err != nil {
		e.failures.Inc()
		e.cfg.Logger.Warn("traces of runs could not be exported; they are dropped", "runs", len(runs), "error", err)
		e.forget(e.dropped, runs...)
		return
	}
	e.forget(e.exported, runs...)
}

// forget takes runs from those that are pending, and counts them.
func (e *Exporter) forget(as prometheus.Counter, runs ...ulid.ULID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gone := make(map[ulid.ULID]struct{}, len(runs))
	for _, run := range runs {
		gone[run] = struct{}{}
		delete(e.known, run)
	}
	kept := e.pending[:0]
	for _, p := range e.pending {
		if _, is := gone[p.run]; !is {
			kept = append(kept, p)
		}
	}
	clear(e.pending[len(kept):])
	e.pending = kept
	as.Add(float64(len(runs)))
}
