package metrics

import (
	"errors"
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"jetstep/queue"
	"jetstep/state"
)

// Functions finds names. A name that is not known is the text of the id.
type Functions struct {
	// Slug of a function.
	Slug func(function uuid.UUID) string
	// OfRun is the function of a recent run; not ok when it is not known.
	OfRun func(run ulid.ULID) (function uuid.UUID, ok bool)
}

// functions counts runs and calls by function, under the names of the original
// (http-api §8).
type functions struct {
	names Functions

	runsScheduled, runsStarted, callsScheduled, callsStarted *prometheus.CounterVec
	runsEnded, callsEnded                                    *prometheus.CounterVec
}

// ByFunction makes the engine count by function, too. It fails if that is
// registered already.
func (e *Engine) ByFunction(registry prometheus.Registerer, names Functions) error {
	f := &functions{
		names:          names,
		runsScheduled:  counters("inngest_function_run_scheduled_total", "Runs of a function that were made", "fn"),
		runsStarted:    counters("inngest_function_run_started_total", "Runs of a function that were called for the first time", "fn"),
		runsEnded:      counters("inngest_function_run_ended_total", "Runs of a function that have ended", "fn", "status"),
		callsScheduled: counters("inngest_sdk_req_scheduled_total", "Calls of a function that were due", "fn"),
		callsStarted:   counters("inngest_sdk_req_started_total", "Calls of a function that were made", "fn"),
		callsEnded:     counters("inngest_sdk_req_ended_total", "Calls of a function that have ended", "fn", "status"),
	}
	e.functions = f
	return errors.Join(
		registry.Register(f.runsScheduled), registry.Register(f.runsStarted), registry.Register(f.runsEnded),
		registry.Register(f.callsScheduled), registry.Register(f.callsStarted), registry.Register(f.callsEnded),
	)
}

func (f *functions) runScheduled(run *state.Run) {
	f.runsScheduled.WithLabelValues(f.names.Slug(run.FunctionID)).Inc()
}

func (f *functions) runEnded(run ulid.ULID, status state.Status) {
	if fn, ok := f.names.OfRun(run); ok {
		f.runsEnded.WithLabelValues(f.names.Slug(fn), strings.ToLower(status.String())).Inc()
	}
}

// called counts a call that has ended: it was due and made before.
func (f *functions) called(c *state.Called) {
	slug := f.names.Slug(c.FunctionID)
	f.callsScheduled.WithLabelValues(slug).Inc()
	f.callsStarted.WithLabelValues(slug).Inc()
	if isFirst(c) {
		f.runsStarted.WithLabelValues(slug).Inc()
	}
	status := "success"
	if c.Result == state.CallFailed {
		status = "errored"
	}
	f.callsEnded.WithLabelValues(slug, status).Inc()
}

// Depths is a collector of the due calls of each function. It counts when it is
// scraped, and has values for functions with calls only.
type Depths struct {
	Count func() map[uuid.UUID]queue.Depth
	Slug  func(function uuid.UUID) string
}

var depthDesc = prometheus.NewDesc(
	"jetstep_function_jobs", "Due calls of a function, by state: ready without a worker, leased with one", []string{"function_id", "state"}, nil)

// Describe implements prometheus.Collector.
func (d Depths) Describe(to chan<- *prometheus.Desc) { to <- depthDesc }

// Collect implements prometheus.Collector.
func (d Depths) Collect(to chan<- prometheus.Metric) {
	bySlug := map[string]queue.Depth{} // functions of two apps may have one slug
	for function, depth := range d.Count() {
		slug := d.Slug(function)
		sum := bySlug[slug]
		bySlug[slug] = queue.Depth{Waiting: sum.Waiting + depth.Waiting, Out: sum.Out + depth.Out}
	}
	for slug, depth := range bySlug {
		to <- prometheus.MustNewConstMetric(depthDesc, prometheus.GaugeValue, float64(depth.Waiting), slug, "ready")
		to <- prometheus.MustNewConstMetric(depthDesc, prometheus.GaugeValue, float64(depth.Out), slug, "leased")
	}
}
