package main

import (
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/history"
	"jetstep/state"
)

// recorder passes what the partitions tell on to the read model, and says in
// the log when an event matched nothing: once a minute for each name, since a
// busy server would drown in it.
type recorder struct {
	history *history.Memory
	log     *slog.Logger

	mu      sync.Mutex
	unheard map[string]time.Time // when it was last said, by event name
}

const (
	unheardEvery = time.Minute
	unheardNames = 1000 // remembered at most
)

func newRecorder(h *history.Memory, log *slog.Logger) *recorder {
	return &recorder{history: h, log: log, unheard: map[string]time.Time{}}
}

func (r *recorder) EventReceived(d *bus.Delivery, matched int) {
	// The read model finds the body in the stream: it is not parsed for it.
	event := &bus.Event{InternalID: d.InternalID, Name: d.Name, Seq: d.Seq}
	if d.InternalID.IsZero() { // published straight into the stream
		var err error
		if event, err = d.Event(); err != nil {
			r.log.Warn("message in EVENTS is no event", "event", d.Name, "seq", d.Seq, "error", err)
			return
		}
	}
	r.history.EventReceived(event, matched)
	if matched == 0 && !event.Internal() && r.worthSaying(event.Name) {
		r.log.Info("event matched no function and no wait", "event", event.Name, "event_id", event.InternalID)
	}
}

func (r *recorder) worthSaying(name string) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.unheard[name]) < unheardEvery {
		return false
	}
	if len(r.unheard) >= unheardNames {
		clear(r.unheard)
	}
	r.unheard[name] = now
	return true
}

func (r *recorder) RunScheduled(run *state.Run) {
	r.history.RunScheduled(history.Run{
		ID:              run.ID,
		FunctionID:      run.FunctionID,
		FunctionVersion: run.FunctionVersion,
		EventIDs:        run.EventIDs,
		Status:          state.Scheduled,
		QueuedAt:        time.UnixMilli(run.QueuedAt),
		Cron:            run.Cron,
	})
	if run.StartedAt != 0 { // carried forward
		r.history.RunStarted(run.ID, time.UnixMilli(run.StartedAt))
	}
}

func (r *recorder) RunStarted(run ulid.ULID, at time.Time) { r.history.RunStarted(run, at) }

func (r *recorder) RunFinished(run ulid.ULID, status state.Status, output json.RawMessage, at time.Time) {
	r.history.RunFinished(run, status, output, at)
}

func (r *recorder) RunSkipped(op *state.RunSkipped, at time.Time) {}

func (r *recorder) StartDecided(function uuid.UUID, outcome string) {}
