package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// draining says what is left to drain, "" when nothing is drained.
func (e *engine) draining() string {
	if p, ok := e.path.(*drainPath); ok {
		return p.draining()
	}
	return ""
}

// Draining implements service.
func (s *services) Draining() string { return s.engine.draining() }

// draining says in words what is left; why it is not known is in the log only.
func (p *drainPath) draining() string {
	r := p.there.Load()
	if r == nil || r.left.Trouble() != nil {
		return errRedisAway.Error()
	}
	c, known := r.left.Counts()
	switch {
	case !known:
		return "redis is being looked at"
	case c.None():
		return "redis is drained"
	}
	return fmt.Sprintf("redis has %d jobs of %d runs left", c.Items, c.Runs)
}

// drainMetrics shows what is left to drain; nothing before it is known.
type drainMetrics struct{ *drainPath }

var (
	drainItems  = prometheus.NewDesc("jetstep_drain_items", "Jobs left in the Redis that is drained", nil, nil)
	drainRuns   = prometheus.NewDesc("jetstep_drain_runs", "Runs left in the Redis that is drained", nil, nil)
	drainPauses = prometheus.NewDesc("jetstep_drain_pauses", "Waits left in the Redis that is drained", nil, nil)
	drainUp     = prometheus.NewDesc("jetstep_drain_up", "Whether the Redis that is drained is in reach", nil, nil)
	drainHeld   = prometheus.NewDesc("jetstep_drain_held", "Jobs of the Redis that is drained which wait for limits", nil, nil)
)

// Describe implements prometheus.Collector.
func (m drainMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{drainItems, drainRuns, drainPauses, drainUp, drainHeld} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (m drainMetrics) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	r := m.there.Load()
	if r == nil {
		gauge(drainUp, 0)
		return
	}
	c, known := r.left.Counts()
	up := 1.0
	if r.left.Trouble() != nil {
		up = 0
	}
	gauge(drainUp, up)
	gauge(drainHeld, float64(r.charges.Count()))
	if known {
		gauge(drainItems, float64(c.Items))
		gauge(drainRuns, float64(c.Runs))
		gauge(drainPauses, float64(c.Pauses))
	}
}
