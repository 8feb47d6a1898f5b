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
	"jetstep/api/ingest"
	"jetstep/api/realtime"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/function"
)

// services is everything that runs in the process.
type services struct {
	url    string
	known  []string // apps
	engine *engine
	http   *http.Server
	failed chan error

	realtime *realtime.Server

	stopSync   context.CancelFunc // of polling and what else is in the background
	stopIngest func()
	background sync.WaitGroup
}

// startServices opens the parts in the order in which they need each other,
// and returns when all accept work. listener is that of the HTTP API, which
// is closed by Shutdown. The end of ctx aborts starting; it does not stop a
// service that has started.
func startServices(ctx context.Context, opts config.Options, listener net.Listener, log *slog.Logger) (service, error) {
	engine, err := openEngine(ctx, opts, log)
	if err != nil {
		return nil, err
	}
	s := &services{url: publicURL(listener.Addr()), engine: engine, failed: make(chan error, 1)}
	s.known = describeApps(engine.bus.Registry().Catalog().Apps)
	if err := s.open(ctx, opts, listener, log); err != nil {
		engine.close()
		return nil, err
	}
	return s, nil
}

func (s *services) open(ctx context.Context, opts config.Options, listener net.Listener, log *slog.Logger) error {
	metrics := prometheus.NewRegistry()
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
	s.realtime = realtime.New(realtime.Config{
		Broker: s.engine.bus, SigningKeys: signingKeys(opts), Logger: log.With("caller", "realtime"),
	})
	apiCfg := apiConfig(opts, s.engine, events, syncer, metrics, log)
	apiCfg.Realtime = s.realtime
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
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stopSync = stop
	s.background.Go(func() { tuneGC(running) })
	s.background.Go(func() { syncer.Run(running) })
	s.background.Go(func() { s.engine.recallEvents(running, log) })
	return nil
}

func (s *services) URL() string { return s.url }

func (s *services) Location() string { return s.engine.bus.Location() }

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
	s.realtime.Drain() // its subscribers may look for another server while calls end
	err := s.engine.finish(ctx)
	s.stopIngest()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	s.background.Go(func() {
		polite, cancel := context.WithTimeout(closing, shutdownGrace/2)
		defer cancel()
		s.realtime.Close(polite)
	})
	if httpErr := s.http.Shutdown(closing); httpErr != nil {
		_ = s.http.Close() // connections of clients that do not let go
	}
	s.background.Wait()
	s.engine.close()
	return err
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
		NotReady:     e.notReady,
		QueueDepth:   func() float64 { return float64(e.node.Stats().Depth()) },
		Metrics:      metrics,
		Logger:       log.With("caller", "api"),
	}
}
