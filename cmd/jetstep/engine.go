package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"jetstep/api/realtime"
	"jetstep/api/runstream"
	"jetstep/bus"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/executor"
	"jetstep/executor/driver"
	"jetstep/history/live"
	"jetstep/history/projector"
	"jetstep/history/reader"
	"jetstep/telemetry/export"
	"jetstep/telemetry/metrics"
)

// refuseStale is the variable with which the original, too, is told to refuse
// the steps of calls that were made again meanwhile.
const refuseStale = "EXPERIMENTAL_ASYNC_DISPATCH_VALIDATION"

// engine is what executes functions: NATS, where runs are kept, and the executor
// that calls SDKs.
type engine struct {
	bus      *bus.Bus
	history  *live.Overlay
	view     *live.View
	project  *projector.Projector
	recorder *recorder
	metrics  *metrics.Engine
	redis    *metrics.Redis   // told of the Redis, if there is one
	changes  *runstream.Hub   // told of runs with something new
	export   *export.Exporter // nil when traces of runs are not exported
	path     path
	limits   *executor.Limits
	executor *executor.Executor
	caller   *driver.Caller
	realtime *realtime.Server
	cancel   context.CancelFunc // of the calls being made
}

// openEngine opens NATS and begins to take events and hand out jobs.
func openEngine(ctx context.Context, opts config.Options, model *readModel, registry prometheus.Registerer, log *slog.Logger) (*engine, error) {
	b, err := bus.Open(ctx, busConfig(opts, log))
	if err != nil {
		return nil, err
	}
	if opts.Partitions > 0 && opts.Partitions != b.Partitions() {
		log.Warn("the number of partitions was fixed when the streams were made", "partitions", b.Partitions(), "configured", opts.Partitions)
	}
	past := live.New(live.Config{Past: reader.NewOlder(model.store), Events: b})
	e := &engine{bus: b, history: past, limits: executor.NewLimits(), redis: metrics.NewRedis()}
	e.view = live.NewView(reader.New(model.store), past, b.Registry())
	if e.project, err = projector.New(e.projection(opts, model, registry)); err != nil {
		b.Close()
		return nil, err
	}
	if err := e.observe(ctx, opts, registry, reader.New(model.store), log); err != nil {
		b.Close()
		return nil, err
	}
	if e.path, err = e.openPath(ctx, opts, log); err != nil {
		b.Close()
		return nil, err
	}
	e.history.Serve(e.path)
	e.caller = driver.New(driver.Config{
		SigningKey:     opts.SigningKey,
		FallbackKey:    opts.SigningKeyFallback,
		RequireSigning: opts.Mode == config.Start,
	})
	e.realtime = realtime.New(realtime.Config{Broker: b, SigningKeys: signingKeys(opts), Logger: log.With("caller", "realtime")})
	e.executor = executor.New(executor.Config{
		Queue: e.path, Store: e.metrics.Store(e.path), SDK: e.caller, Functions: b.Registry(), Limits: e.limits,
		Logger: log.With("caller", "executor"), Workers: opts.QueueWorkers, RetryInterval: opts.RetryInterval, OnTrouble: e.history.RunWaits,
		Runs: e.path, Patience: opts.EndpointPatience, RefuseStale: os.Getenv(refuseStale) == "true",
		OnCall: e.metrics.Called,
		Publish: func(run ulid.ULID, to driver.Publish, body json.RawMessage) error {
			return e.realtime.PublishResponse(run, to.Channel, to.Topic, body)
		},
	})
	if err := e.path.Start(ctx); err != nil {
		e.path.Close()
		b.Close()
		return nil, err
	}
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.cancel = cancel
	e.executor.Start(calls)
	return e, nil
}

// projection says what is written to the history. A file is this process's own,
// and has everything; a PostgreSQL is shared, so that each partition is written
// by the process that owns it.
func (e *engine) projection(opts config.Options, model *readModel, metrics prometheus.Registerer) projector.Config {
	cfg := projector.Config{
		Bus: e.bus, Store: model.store, Functions: e.bus.Registry(), Logger: model.log, Metrics: metrics,
		Retention: projector.Retention{Age: opts.HistoryRetention, Runs: opts.HistoryMaxRuns},
	}
	if !opts.SQLite() {
		cfg.Owns = func(partition int) bool { return e.path.Owns(partition) }
		if opts.Engine == config.EngineRedis && e.bus.Embedded() {
			cfg.Instance = e.bus.Installation() // each process that works on the Redis has streams of its own
		}
	}
	return cfg
}

// finish takes no more jobs and waits for the calls being made until ctx ends;
// those that are left are cut off, and made again after the next start.
func (e *engine) finish(ctx context.Context) error {
	e.path.StopLeasing()
	err := e.executor.Wait(ctx)
	if err == nil {
		return nil
	}
	e.cancel()
	cut, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if waitErr := e.executor.Wait(cut); waitErr != nil {
		return errors.Join(err, fmt.Errorf("calls did not end when cut off: %w", waitErr))
	}
	return err
}

// close gives up what this process serves and closes NATS.
func (e *engine) close() {
	e.cancel()
	e.path.Close()
	e.changes.Close()
	e.caller.Close()
	e.bus.Close()
}

// nodeName tells this process from others in leases.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), ulid.Make())
}

func busConfig(opts config.Options, log *slog.Logger) bus.Config {
	n := opts.NATS
	return bus.Config{
		StoreDir:       n.StoreDir,
		Fsync:          opts.Fsync == config.FsyncAlways,
		ListenHost:     n.ListenHost,
		ListenPort:     n.Port,
		ListenTLSCert:  n.ListenTLSCert,
		ListenTLSKey:   n.ListenTLSKey,
		ListenUser:     n.ListenUser,
		ListenPassword: n.ListenPassword,
		URLs:           n.URLs,
		CredsFile:      n.Creds,
		NkeyFile:       n.NKey,
		User:           n.User,
		Password:       n.Password,
		Token:          n.Token,
		TLSCA:          n.TLSCA,
		TLSCert:        n.TLSCert,
		TLSKey:         n.TLSKey,
		Domain:         n.Domain,
		Replicas:       n.Replicas,
		PlacementTags:  n.PlacementTags,
		Partitions:     opts.Partitions,
		Logger:         log.With("caller", "nats"),
	}
}
