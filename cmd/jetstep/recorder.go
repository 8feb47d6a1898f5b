package main

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"jetstep/bus"
	"jetstep/history"
	"jetstep/history/live"
	"jetstep/queue/partition"
	"jetstep/state"
	"jetstep/telemetry/metrics"
)

// recorder passes what the partitions tell on to the read model. It counts
// what became of starts, and says in the log what people would look for: that
// an event matched nothing, that a run was skipped. It says so once a minute
// for each name, since a busy server would drown in it.
type recorder struct {
	history *live.Overlay
	log     *slog.Logger
	since   time.Time // when it began to record: what is older is told again
	unheard *seldom   // by event name
	unmade  *seldom   // by function and reason

	metrics *metrics.Engine
	changed func(runs ...ulid.ULID) // tells whoever watches them
	ended   func(run ulid.ULID, at time.Time)

	starts, skipped *prometheus.CounterVec
}

func newRecorder(h *live.Overlay, m *metrics.Engine, changed func(...ulid.ULID), log *slog.Logger) *recorder {
	r := &recorder{
		history: h, metrics: m, changed: changed, ended: func(ulid.ULID, time.Time) {}, log: log, since: time.Now(), unheard: newSeldom(), unmade: newSeldom(),
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jetstep_starts_total", Help: "Starts of functions by what became of them",
		}, []string{"outcome"}),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jetstep_runs_skipped_total", Help: "Runs that were not made by why",
		}, []string{"reason"}),
	}
	for _, outcome := range partition.StartOutcomes {
		r.starts.WithLabelValues(outcome) // shown as 0 until it occurs
	}
	return r
}

func (r *recorder) EventReceived(d *bus.Delivery, matched int) {
	event := &bus.Event{InternalID: d.InternalID, Name: d.Name}
	if d.InternalID.IsZero() { // published straight into the stream
		var err error
		if event, err = d.Event(); err != nil {
			r.log.Warn("message in EVENTS is no event", "event", d.Name, "seq", d.Seq, "error", err)
			return
		}
	}
	r.history.EventReceived(event.InternalID, d.Seq, matched, d.StoredAt)
	r.metrics.EventReceived(matched)
	if matched == 0 && !event.Internal() && r.unheard.worthSaying(event.Name, time.Now()) {
		r.log.Info("event matched no function and no wait", "event", event.Name, "event_id", event.InternalID)
	}
}

func (r *recorder) RunScheduled(run *state.Run) {
	r.history.RunScheduled(live.FromRun(run))
	r.metrics.RunScheduled(run)
}

func (r *recorder) RunStarted(run ulid.ULID, _ time.Time) {
	r.history.RunStarted(run)
	r.changed(run)
}

func (r *recorder) RunFinished(run ulid.ULID, status state.Status, output json.RawMessage, at time.Time) {
	r.history.RunFinished(run, status, output, at)
	r.metrics.RunFinished(run, status, at)
	r.changed(run)
	r.ended(run, at)
}

func (r *recorder) RunSkipped(op *state.RunSkipped, at time.Time) {
	reason := op.Reason.String()
	isNew := r.history.RunScheduled(history.Run{
		ID:            op.RunID,
		FunctionID:    op.FunctionID,
		EventIDs:      op.EventIDs,
		Status:        state.Skipped,
		QueuedAt:      at,
		EndedAt:       at,
		Reason:        reason,
		Cron:          op.Cron,
		BatchID:       unlessZero(op.BatchID),
		ExistingRunID: unlessZero(op.Existing),
		OriginalRunID: unlessZero(op.Original),
	})
	if !isNew || at.Before(r.since) {
		return // told again, as logs are read after a restart
	}
	r.skipped.WithLabelValues(reason).Inc()
	if r.unmade.worthSaying(op.Slug+" "+reason, at) {
		log := r.log.With("function_id", op.Slug, "run_id", op.RunID, "reason", reason)
		if !op.Existing.IsZero() {
			log = log.With("existing_run_id", op.Existing)
		}
		log.Info("run was skipped")
	}
}

func (r *recorder) StartDecided(_ uuid.UUID, outcome string) {
	r.starts.WithLabelValues(outcome).Inc()
}

// unlessZero is nil for an id that stands for none.
func unlessZero(id ulid.ULID) *ulid.ULID {
	if id.IsZero() {
		return nil
	}
	return &id
}
