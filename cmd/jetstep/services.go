package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jetstep/api"
	"jetstep/api/appsync"
	"jetstep/api/command"
	"jetstep/api/graph"
	"jetstep/api/ingest"
	"jetstep/api/mcp"
	"jetstep/api/otlp"
	v2 "jetstep/api/v2"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/function"
	"jetstep/history/catalog"
	"jetstep/history/live"
	"jetstep/history/reader"
)

// services is everything that runs in the process.
type services struct {
	url    string
	known  []string // apps
	engine *engine
	model  *readModel
	http   *http.Server
	failed chan error

	tools *mcp.Server

	running     context.Context // of polling and what else is in the background
	stopSync    context.CancelFunc
	projecting  context.Context // of writing the history
	stopHistory context.CancelFunc
	stopIngest  func()
	background  sync.WaitGroup
}

// startServices opens the parts in the order in which they need each other,
// and returns when all accept work. listener is that of the HTTP API, which
// is closed by Shutdown. The end of ctx aborts starting; it does not stop a
// service that has started.
func startServices(ctx context.Context, opts config.Options, listener net.Listener, log *slog.Logger) (service, error) {
	model, err := prepareReadModel(opts, log.With("caller", "history"))
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	engine, err := openEngine(ctx, opts, model, metrics, log)
	if err != nil {
		return nil, errors.Join(err, model.close())
	}
	s := &services{url: publicURL(listener.Addr()), engine: engine, model: model, failed: make(chan error, 1)}
	s.running, s.stopSync = context.WithCancel(context.WithoutCancel(ctx))
	s.projecting, s.stopHistory = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx, opts, listener, metrics, log); err != nil {
		s.stopSync()
		s.stopHistory()
		s.background.Wait()
		engine.close()
		return nil, errors.Join(err, model.close())
	}
	return s, nil
}

func (s *services) open(ctx context.Context, opts config.Options, listener net.Listener, metrics *prometheus.Registry, log *slog.Logger) error {
	if err := s.openHistory(ctx); err != nil {
		return err
	}
	s.known = describeApps(s.engine.bus.Registry().Catalog().Apps)
	if err := registerMetrics(metrics, s.engine); err != nil {
		return err
	}
	events, err := ingest.New(ingest.Config{
		Publisher: s.engine.bus, Keys: eventKeys(opts), Logger: log.With("caller", "ingest"), Metrics: metrics,
	})
	if err != nil {
		return err
	}
	syncer := appsync.New(syncConfig(opts, s.engine, log))
	apiCfg := apiConfig(opts, s.engine, events, syncer, metrics, log)
	apiCfg.Realtime = s.engine.realtime
	if apiCfg.Traces, err = otlp.New(otlp.Config{Publisher: s.engine.bus, Logger: log.With("caller", "traces"), Metrics: metrics}); err != nil {
		return err
	}
	apiCfg.GraphQL, apiCfg.V2 = readAPIs(opts, s.engine.view, newCommands(s.engine, reader.New(s.model.store), events, syncer, log), s.engine.path, log)
	if err := s.liveAPIs(&apiCfg, opts, events, log); err != nil {
		return err
	}
	handler, err := api.New(apiCfg)
	if err != nil {
		return err
	}
	if s.stopIngest, err = events.ServeNATS(s.engine.bus.Conn()); err != nil {
		return fmt.Errorf("events over nats: %w", err)
	}
	s.http = &http.Server{Handler: handler.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	log.Info("starting server", "caller", "api", "addr", net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)))
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	s.background.Go(func() { tuneGC(s.running) })
	if s.engine.export != nil {
		s.background.Go(func() { s.engine.export.Run(s.running) })
	}
	s.background.Go(func() { syncer.Run(s.running) })
	return nil
}

// openHistory opens the database, takes over what it has before anything can
// register, and begins to write it. A database that is down is written once it
// is not.
func (s *services) openHistory(ctx context.Context) error {
	if err := s.model.open(s.running, &s.background); err != nil {
		return err
	}
	apps := catalog.New(catalog.Config{Registry: s.engine.bus.Registry(), Store: s.model.store, Logger: s.model.log})
	if s.model.problem() == nil {
		adopting, cancel := context.WithTimeout(ctx, openPatience)
		defer cancel()
		if err := apps.Adopt(adopting); err != nil && ctx.Err() == nil {
			s.model.log.Warn("the apps of the history are taken over later", "error", err)
		}
	}
	s.background.Go(func() { apps.Run(s.projecting) })
	s.background.Go(func() { s.engine.project.Run(s.projecting) })
	return nil
}

func (s *services) URL() string { return s.url }

func (s *services) Location() string { return s.engine.bus.Location() }

func (s *services) History() string {
	if err := s.model.problem(); err != nil {
		return s.model.where + ", not available: " + err.Error()
	}
	return s.model.where
}

func (s *services) KnownApps() []string { return s.known }

// describeApps is one phrase for each registered app; those that only a URL is
// known of have not been found yet.
func describeApps(apps []*function.App) []string {
	var phrases []string
	for _, app := range apps {
		if app.Name == "" {
			continue
		}
		phrase := fmt.Sprintf("%s with %d functions", app.Name, len(app.Functions))
		if app.Error != "" {
			phrase += " (" + app.Error + ")"
		}
		phrases = append(phrases, phrase)
	}
	return phrases
}

func (s *services) Failed() <-chan error { return s.failed }

// Shutdown ends the parts in the order in which they stop being needed: the
// calls that are being made may still use the API, and the API the engine.
func (s *services) Shutdown(ctx context.Context) error {
	s.stopSync()
	s.engine.realtime.Drain() // its subscribers may look for another server while calls end
	err := s.engine.finish(ctx)
	s.stopIngest()
	s.engine.changes.Close() // ends the streams
	s.tools.Close()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	s.background.Go(func() {
		polite, cancel := context.WithTimeout(closing, shutdownGrace/2)
		defer cancel()
		s.engine.realtime.Close(polite)
	})
	if httpErr := s.http.Shutdown(closing); httpErr != nil {
		_ = s.http.Close() // connections of clients that do not let go
	}
	s.stopHistory() // so late, that it has the ends of calls
	s.background.Wait()
	s.engine.close()
	return errors.Join(err, s.model.close())
}

func eventKeys(opts config.Options) ingest.Keys {
	if opts.Mode == config.Dev {
		return ingest.AnyKey()
	}
	return ingest.OnlyKeys(opts.EventKeys...)
}

func signingKeys(opts config.Options) []string {
	var keys []string
	for _, key := range []string{opts.SigningKey, opts.SigningKeyFallback} {
		if key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

func apiMode(opts config.Options) api.Mode {
	if opts.Mode == config.Start {
		return api.Start
	}
	return api.Dev
}

func syncConfig(opts config.Options, e *engine, log *slog.Logger) appsync.Config {
	cfg := appsync.Config{
		Registry:    e.bus.Registry(),
		Kind:        apiMode(opts).Kind(),
		SigningKeys: signingKeys(opts),
		URLs:        opts.SDKURLs,
		PollHealthy: opts.Poll,
		Interval:    opts.PollInterval,
		Discover:    opts.Discovery,
		Logger:      log.With("caller", "appsync"),
	}
	if port, err := strconv.Atoi(os.Getenv("PORT")); err == nil {
		cfg.Ports = []int{port}
	}
	return cfg
}

// readAPIs are the handlers that answer from the read model.
func readAPIs(opts config.Options, read *live.View, commands *command.Commands, attach v2.Attacher, log *slog.Logger) (gql, rest http.Handler) {
	gql = graph.New(graph.Config{Reader: read, Commands: commands, Log: log.With("caller", "graphql")})
	rest = v2.New(v2.Config{
		Reader: read, Commands: commands, Attach: attach, Keys: v2.Keys{Signing: signingKeys(opts), Event: opts.EventKeys}, Log: log.With("caller", "api"),
	})
	return gql, rest
}

func apiConfig(opts config.Options, e *engine, events *ingest.Ingester, syncer *appsync.Syncer, metrics *prometheus.Registry, log *slog.Logger) api.Config {
	return api.Config{
		Mode:         apiMode(opts),
		Version:      versionString(),
		SigningKeys:  signingKeys(opts),
		StartOptions: startOptions(opts),
		UI:           opts.UI,
		Events:       events,
		Apps:         syncer,
		Catalog:      e.bus.Registry(),
		Controls:     e.bus.Registry(),
		History:      e.history,
		Runs:         runs{e},
		Signals:      signals{e},
		Limits:       e.limits,
		Endpoints:    endpoints{engine: e, syncer: syncer, log: log.With("caller", "api")},
		Metadata:     e.path,
		Testing:      testRoutes(e, log),
		NotReady:     e.notReady,
		Draining:     e.draining,
		Projection:   e.projected,
		QueueDepth:   func() float64 { return float64(e.path.Stats().Depth()) },
		Metrics:      metrics,
		Logger:       log.With("caller", "api"),
	}
}
