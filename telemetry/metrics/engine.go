// Package metrics owns the instruments that show the engine at work, for
// Prometheus: how events are matched, jobs wait, calls go and runs end. The
// other packages register what they count themselves; docs/metrics.md lists all
// of them.
//
// It guarantees that labels have few values, none of which an event or a run
// can choose: names of ops, statuses and registered functions only. Its methods
// are called on the way to execution, so each does a constant amount of work and
// waits for nothing. Nothing may decide from them how a run goes on.
package metrics

import (
	"errors"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"jetstep/queue/partition"
	"jetstep/state"
)

// Engine has the engine's instruments.
type Engine struct {
	since time.Time // what is older is told again after a restart, and not counted

	matched  *prometheus.CounterVec // by whether anything was
	matchLag prometheus.Histogram
	late     prometheus.Histogram

	appendTime    prometheus.Histogram
	appendBytes   prometheus.Counter
	appendRecords prometheus.Counter
	compactions   prometheus.Counter
	compacted     prometheus.Counter

	calls     *prometheus.HistogramVec // seconds, by result
	queued    prometheus.Histogram
	answered  prometheus.Counter // bytes
	steps     *prometheus.CounterVec
	retries   prometheus.Counter
	scheduled prometheus.Counter
	started   prometheus.Counter
	ended     *prometheus.HistogramVec // seconds, by status

	functions *functions // nil when they are not counted one by one
}

// Buckets in seconds.
var (
	quick = prometheus.ExponentialBuckets(0.0005, 2.5, 12) // 0.5 ms … 12 s
	slow  = prometheus.ExponentialBuckets(0.005, 3, 14)    // 5 ms … 2.2 h
	long  = prometheus.ExponentialBuckets(0.05, 4, 13)     // 50 ms … 9.7 days
)

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

func histograms(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{label})
}

// New makes the instruments and registers them. It fails if they are
// registered already.
func New(registry prometheus.Registerer, now time.Time) (*Engine, error) {
	e := &Engine{
		since:         now,
		matched:       counters("jetstep_events_matched_total", "Events that were matched, by whether a function or wait was concerned", "matched"),
		matchLag:      histogram("jetstep_event_match_lag_seconds", "How long events were stored before they were matched", quick),
		late:          histogram("jetstep_timer_late_seconds", "How long after their time timers of jobs fired", quick),
		appendTime:    histogram("jetstep_log_append_seconds", "How long messages of the logs took to be durable", quick),
		appendBytes:   counter("jetstep_log_append_bytes_total", "Bytes that were appended to the logs"),
		appendRecords: counter("jetstep_log_records_total", "Records that were appended to the logs"),
		compactions:   counter("jetstep_log_compactions_total", "Times that the beginning of a log was removed"),
		compacted:     counter("jetstep_log_compacted_bytes_total", "About how many bytes that removed"),
		calls:         histograms("jetstep_sdk_call_seconds", "Duration of calls of SDKs, by result: steps, done, failed", slow, "result"),
		queued:        histogram("jetstep_sdk_call_delay_seconds", "How long calls were due before they were made", quick),
		answered:      counter("jetstep_sdk_response_bytes_total", "Bytes of the answers of SDKs"),
		steps:         counters("jetstep_steps_total", "Ops that SDKs answered with, by name", "op"),
		retries:       counter("jetstep_retries_total", "Calls that are made again because something failed"),
		scheduled:     counter("jetstep_runs_scheduled_total", "Runs that were made"),
		started:       counter("jetstep_runs_started_total", "Runs whose first call has ended"),
		ended:         histograms("jetstep_run_seconds", "From when runs were made until they ended, by status", long, "status"),
	}
	for _, known := range []string{matchedYes, matchedNo} {
		e.matched.WithLabelValues(known) // shown as 0 until it occurs, as the others
	}
	for _, result := range []string{"steps", "done", "failed"} {
		e.calls.WithLabelValues(result)
	}
	for _, status := range []state.Status{state.Completed, state.Failed, state.Cancelled} {
		e.ended.WithLabelValues(status.String())
	}
	for _, op := range knownOps {
		e.steps.WithLabelValues(op)
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		e.matched, e.matchLag, e.late, e.appendTime, e.appendBytes, e.appendRecords, e.compactions, e.compacted,
		e.calls, e.queued, e.answered, e.steps, e.retries, e.scheduled, e.started, e.ended,
	} {
		errs = append(errs, registry.Register(c))
	}
	return e, errors.Join(errs...)
}

const matchedYes, matchedNo = "yes", "no"

// knownOps are the names of ops that are shown; others are counted as "other"
// (sdk-protocol §11.1).
var knownOps = []string{
	"StepRun", "Step", "StepError", "StepFailed", "StepPlanned", "Sleep", "WaitForEvent", "InvokeFunction", "AIGateway", "Gateway",
	"WaitForSignal", "RunComplete", "SyncRunComplete", "DiscoveryRequest", "DeferAdd", "DeferAbort", otherOp,
}

const otherOp = "other"

// Observer is what the partitions tell.
func (e *Engine) Observer() partition.Observer {
	return partition.Observer{
		Matched: func(lag time.Duration) { e.matchLag.Observe(max(lag, 0).Seconds()) },
		Late:    func(late time.Duration) { e.late.Observe(max(late, 0).Seconds()) },
		Appended: func(bytes, records int, took time.Duration) {
			e.appendTime.Observe(took.Seconds())
			e.appendBytes.Add(float64(bytes))
			e.appendRecords.Add(float64(records))
		},
		Compacted: func(bytes int) {
			e.compactions.Inc()
			e.compacted.Add(float64(bytes))
		},
	}
}

// EventReceived says how many functions and waits an event concerned.
func (e *Engine) EventReceived(matched int) {
	if matched > 0 {
		e.matched.WithLabelValues(matchedYes).Inc()
	} else {
		e.matched.WithLabelValues(matchedNo).Inc()
	}
}

// Called is told of each call that has ended (executor.Config.OnCall).
func (e *Engine) Called(c *state.Called) {
	e.calls.WithLabelValues(resultName(c.Result)).Observe(seconds(c.StartedAt, c.EndedAt))
	e.queued.Observe(seconds(c.Job.Due, c.StartedAt))
	e.answered.Add(float64(c.Size))
	if c.RetryAt != 0 {
		e.retries.Inc()
	}
	for i := range c.Ops {
		e.step(c.Ops[i].Op)
	}
	if isFirst(c) {
		e.started.Inc()
	}
	if e.functions != nil {
		e.functions.called(c)
	}
}

// isFirst tells the call with which a run begins.
func isFirst(c *state.Called) bool { return c.Job.Kind == state.JobStart && c.Job.Attempt == 0 }

// Reported is told of the ops that calls report while they last.
func (e *Engine) Reported(ops []state.CalledOp) {
	for i := range ops {
		e.step(ops[i].Op)
	}
}

func (e *Engine) step(op string) {
	for _, known := range knownOps {
		if op == known {
			e.steps.WithLabelValues(op).Inc()
			return
		}
	}
	e.steps.WithLabelValues(otherOp).Inc()
}

// seconds between two times in milliseconds; 0 when one is not known.
func seconds(from, to int64) float64 {
	if from == 0 || to < from {
		return 0
	}
	return float64(to-from) / 1000
}

func resultName(r state.CallResult) string {
	switch r {
	case state.CallSteps:
		return "steps"
	case state.CallDone:
		return "done"
	}
	return "failed"
}

// RunScheduled is told of a new run, once more after a restart.
func (e *Engine) RunScheduled(run *state.Run) {
	if time.UnixMilli(run.QueuedAt).Before(e.since) {
		return
	}
	e.scheduled.Inc()
	if e.functions != nil {
		e.functions.runScheduled(run)
	}
}

// RunFinished is told of a run's end.
func (e *Engine) RunFinished(run ulid.ULID, status state.Status, at time.Time) {
	if at.Before(e.since) {
		return
	}
	e.ended.WithLabelValues(status.String()).Observe(max(at.Sub(run.Timestamp()), 0).Seconds())
	if e.functions != nil {
		e.functions.runEnded(run, status)
	}
}
