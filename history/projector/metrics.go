package projector

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what is projected, by source: EVENTS, LOG_0, …
type metrics struct {
	rows, batches, errors, poison *prometheus.CounterVec
	duration                      *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer, p *Projector) (*metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"source"})
	}
	m := &metrics{
		rows:    counter("jetstep_projection_rows_total", "Rows written into the SQL database"),
		batches: counter("jetstep_projection_batches_total", "Transactions that wrote rows"),
		errors:  counter("jetstep_projection_errors_total", "Failures to read a stream or to write; each is tried again"),
		poison:  counter("jetstep_projection_refused_total", "Messages and rows that were left out, wholly or in part, because they cannot be stored"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jetstep_projection_write_seconds", Help: "Duration of transactions that wrote rows",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"source"}),
	}
	if registry == nil {
		return m, nil
	}
	return m, errors.Join(
		registry.Register(m.rows), registry.Register(m.batches), registry.Register(m.errors), registry.Register(m.poison),
		registry.Register(m.duration), registry.Register(lagCollector{p}),
	)
}

// lagCollector shows how far behind each source is when it is asked.
type lagCollector struct{ projector *Projector }

var (
	lagMessages = prometheus.NewDesc("jetstep_projection_lag_messages", "Messages of a stream that the SQL database has not got", []string{"source"}, nil)
	lagSeconds  = prometheus.NewDesc("jetstep_projection_lag_seconds", "Age of the oldest of them", []string{"source"}, nil)
)

func (c lagCollector) Describe(to chan<- *prometheus.Desc) {
	to <- lagMessages
	to <- lagSeconds
}

func (c lagCollector) Collect(to chan<- prometheus.Metric) {
	now := time.Now()
	for _, s := range c.projector.sources {
		lag := s.lag(now)
		to <- prometheus.MustNewConstMetric(lagMessages, prometheus.GaugeValue, float64(lag.Messages), s.name)
		to <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, lag.Age.Seconds(), s.name)
	}
}
