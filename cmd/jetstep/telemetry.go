package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"jetstep/api"
	"jetstep/api/ingest"
	"jetstep/api/mcp"
	"jetstep/api/runstream"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/docs"
	"jetstep/telemetry/export"
	"jetstep/telemetry/metrics"
)

// observe makes what is told of the engine's work: the history, metrics,
// streams of runs, and an OpenTelemetry collector if there is one.
func (e *engine) observe(ctx context.Context, opts config.Options, registry prometheus.Registerer, spans export.Spans, log *slog.Logger) (err error) {
	if e.metrics, err = metrics.New(registry, time.Now()); err != nil {
		return err
	}
	if byFunction() {
		names := metrics.Functions{Slug: e.slug, OfRun: func(id ulid.ULID) (uuid.UUID, bool) {
			run, ok := e.history.Recent(id)
			return run.FunctionID, ok
		}}
		if err := e.metrics.ByFunction(registry, names); err != nil {
			return err
		}
	}
	e.changes = runstream.NewHub(e.bus, log.With("caller", "runstream"))
	e.project.OnCommit(func(runs []ulid.ULID) { e.changes.Changed(runs...) })
	e.recorder = newRecorder(e.history, e.metrics, e.changes.Changed, log)
	client, err := export.NewClient(opts.OTLPEndpoint)
	if client == nil || err != nil {
		return err
	}
	e.export, err = export.New(ctx, export.Config{
		Client: client, Spans: spans, Version: versionString(), Logger: log.With("caller", "otlp"), Metrics: registry,
	})
	if err != nil {
		return err
	}
	e.recorder.ended = e.export.RunFinished
	return nil
}

// byFunction tells whether runs and calls are counted by function, as the
// original does when it is told to (cli-config §10).
func byFunction() bool {
	switch os.Getenv("INNGEST_EXPERIMENTAL_PROM_METRICS") {
	case "", "0", "false", "no":
		return false
	}
	return true
}

// liveAPIs adds what shows the server at work: streams of runs, and the tools
// for AI clients, both closed by Shutdown; and metrics of the APIs.
func (s *services) liveAPIs(cfg *api.Config, opts config.Options, events *ingest.Ingester, log *slog.Logger) error {
	apps, err := newCountedApps(cfg.Apps, cfg.Metrics)
	if err != nil {
		return err
	}
	cfg.Apps = apps
	cfg.Changes, cfg.Spans = s.engine.changes, s.engine.view
	s.tools = mcp.New(mcp.Config{
		REST: cfg.V2, Events: events, Catalog: s.engine.bus.Registry(), Docs: docs.Pages, Version: versionString(),
		Trusted: opts.Mode == config.Start, Logger: log.With("caller", "mcp"),
	})
	cfg.MCP = s.tools
	return errors.Join(
		cfg.Metrics.Register(s.engine.realtime),
		cfg.Metrics.Register(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "jetstep_run_streams", Help: "Streams of runs that clients watch"},
			func() float64 { return float64(s.engine.changes.Streams()) },
		)),
	)
}
