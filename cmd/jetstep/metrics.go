package main

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"jetstep/api"
	"jetstep/telemetry/metrics"
)

// registerMetrics shows the engine's state; it is read when it is scraped.
func registerMetrics(registry *prometheus.Registry, e *engine) error {
	gauge := func(name, help string, value func() float64) error {
		return registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	if _, native := e.path.(nativePath); !native {
		if err := registry.Register(e.redis); err != nil {
			return err
		}
	}
	if p, ok := e.path.(*drainPath); ok {
		if err := registry.Register(drainMetrics{p}); err != nil {
			return err
		}
	}
	return errors.Join(
		registry.Register(e.recorder.starts),
		registry.Register(e.recorder.skipped),
		registry.Register(metrics.Depths{Count: e.path.Depths, Slug: e.slug}),
		registry.Register(heldJobs{waiting: e.path.Waiting, slug: e.slug}),
		gauge("jetstep_runs_live", "Runs that have not ended", func() float64 { return float64(e.path.Stats().Runs) }),
		gauge("jetstep_runs_live_bytes", "Events and memos of live runs", func() float64 { return float64(e.path.Stats().Bytes) }),
		gauge("jetstep_jobs_ready", "Due jobs that wait for a worker", func() float64 { return float64(e.path.Stats().Ready) }),
		gauge("jetstep_jobs_timers", "Jobs that are due later", func() float64 { return float64(e.path.Stats().Timers) }),
		gauge("jetstep_jobs_leased", "Jobs being executed", func() float64 { return float64(e.path.Stats().Leased) }),
		gauge("jetstep_watches", "Waits for events and cancellations", func() float64 { return float64(e.path.Stats().Watches) }),
		gauge("jetstep_sdk_calls_in_flight", "Calls of SDKs being made", func() float64 { return float64(e.executor.Calls()) }),
		gauge("jetstep_partitions_unserved", "Partitions without an owner in this process", func() float64 { return float64(len(e.path.Unready())) }),
	)
}

// projected tells how far the history is behind.
func (e *engine) projected() api.Projection {
	lag := e.project.Lag()
	return api.Projection{Available: lag.Err == nil, Behind: lag.Messages, Age: lag.Age}
}

// notReady says why the engine cannot work yet.
func (e *engine) notReady() []string {
	var reasons []string
	if err := e.bus.StorageError(); err != nil {
		reasons = append(reasons, err.Error())
	}
	return append(reasons, e.path.Problems()...)
}
