package main

import (
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"jetstep/queue/gate"
)

// heldJobs is a metric: the due jobs that wait for limits. It is counted when
// it is scraped, and has a value for each limit that something waits for.
type heldJobs struct {
	waiting func() []gate.Waiting
	slug    func(function uuid.UUID) string
}

var heldJobsDesc = prometheus.NewDesc(
	"jetstep_jobs_held", "Due jobs that wait for a limit of flow control", []string{"function_id", "constraint"}, nil)

// Describe implements prometheus.Collector.
func (h heldJobs) Describe(descs chan<- *prometheus.Desc) { descs <- heldJobsDesc }

// Collect implements prometheus.Collector.
func (h heldJobs) Collect(metrics chan<- prometheus.Metric) {
	jobs := map[[2]string]int{} // functions of two apps may have one slug
	for _, w := range h.waiting() {
		jobs[[2]string{h.slug(w.Function), w.Limit}] += w.Jobs
	}
	for labels, n := range jobs {
		metrics <- prometheus.MustNewConstMetric(heldJobsDesc, prometheus.GaugeValue, float64(n), labels[:]...)
	}
}

// slug is the name of a function, its id when it is not known.
func (e *engine) slug(function uuid.UUID) string {
	if fn, _, ok := e.bus.Registry().Executable(function); ok {
		return fn.Slug
	}
	return function.String()
}
