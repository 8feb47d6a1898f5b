package realtime

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what a Server shows of itself.
type counts struct{ published, slow atomic.Uint64 }

var (
	publishedDesc   = prometheus.NewDesc("jetstep_realtime_messages_total", "Messages that were published to topics", nil, nil)
	subscribersDesc = prometheus.NewDesc("jetstep_realtime_subscribers", "Connections of subscribers to topics", nil, nil)
	slowDesc        = prometheus.NewDesc("jetstep_realtime_slow_subscribers_total", "Subscribers that were disconnected because they did not keep up", nil, nil)
)

// disconnected counts a subscriber's end, if it was too slow.
func (s *Server) disconnected(why error) {
	if errors.Is(why, reasonSlow) {
		s.counts.slow.Add(1)
	}
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(to chan<- *prometheus.Desc) {
	to <- publishedDesc
	to <- subscribersDesc
	to <- slowDesc
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(publishedDesc, prometheus.CounterValue, float64(s.counts.published.Load()))
	to <- prometheus.MustNewConstMetric(subscribersDesc, prometheus.GaugeValue, float64(s.conns.count()))
	to <- prometheus.MustNewConstMetric(slowDesc, prometheus.CounterValue, float64(s.counts.slow.Load()))
}
