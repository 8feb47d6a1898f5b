package metrics

import "github.com/prometheus/client_golang/prometheus"

// Redis has the instruments of the Redis path: whether the Redis does what it is
// asked, and what became of data there that were not as they should be. It is a
// collector of all of them.
type Redis struct {
	available prometheus.Gauge
	outages   prometheus.Counter
	aside     *prometheus.CounterVec
	right     *prometheus.CounterVec
}

// NewRedis makes the instruments; they are not registered.
func NewRedis() *Redis {
	r := &Redis{
		available: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jetstep_redis_available", Help: "Whether Redis does what it is asked: 1 or 0",
		}),
		outages: counter("jetstep_redis_outages_total", "Times that Redis stopped doing what it is asked"),
		aside:   counters("jetstep_redis_set_aside_total", "What cannot be executed and was set aside, by kind and why", "kind", "reason"),
		right:   counters("jetstep_redis_put_right_total", "What was not as it should be and was put right", "kind"),
	}
	r.available.Set(1)
	return r
}

func (r *Redis) all() []prometheus.Collector {
	return []prometheus.Collector{r.available, r.outages, r.aside, r.right}
}

// Describe implements prometheus.Collector.
func (r *Redis) Describe(to chan<- *prometheus.Desc) {
	for _, c := range r.all() {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (r *Redis) Collect(to chan<- prometheus.Metric) {
	for _, c := range r.all() {
		c.Collect(to)
	}
}

// Away is told when Redis stops doing what it is asked, and when it does so again.
func (r *Redis) Away(away bool) {
	if away {
		r.available.Set(0)
		r.outages.Inc()
		return
	}
	r.available.Set(1)
}

// SetAside is told what was set aside; both have few values.
func (r *Redis) SetAside(kind, reason string) { r.aside.WithLabelValues(kind, reason).Inc() }

// PutRight is told what could be put right.
func (r *Redis) PutRight(kind string) { r.right.WithLabelValues(kind).Inc() }
