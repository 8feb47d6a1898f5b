// Package live lays over the history what only the running process knows: runs
// and events that the database does not have yet, why a run waits, whether its
// first call is being made, what an event matched.
//
// It owns a bounded memory of the latest runs and events. Its writers are called
// for every event and run on the way to execution, so each does a constant amount
// of work under one lock. They may repeat and come out of order, as after a
// replay: the first report of a fact counts, and facts about runs that are
// forgotten are dropped. It guarantees that a run which is held live somewhere is
// found, whatever the database knows. It must not keep anything that grows with
// the number of runs, and nothing may decide from it how a run goes on.
package live

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/history"
	"jetstep/state"
)

// The bounds of what is remembered: several seconds of a busy server, which is
// more than the database normally is behind.
const (
	maxRuns    = 8192
	maxEvents  = 16384
	maxOutputs = 8 << 20 // bytes
	maxReasons = 8192
)

// Engine has the runs that have not ended.
type Engine interface {
	// Load finds a run wherever in the cluster it is, or fails with
	// state.ErrRunNotFound.
	Load(ctx context.Context, run ulid.ULID) (*state.Run, error)
	// Executing tells since when a call of the run is being made in this
	// process.
	Executing(run ulid.ULID) (since time.Time, ok bool)
}

// EventSource reads an event by its sequence in EVENTS.
type EventSource interface {
	EventAt(ctx context.Context, seq uint64) (*bus.Event, error)
}

// Config is what an Overlay reads from.
type Config struct {
	Past   history.Reader // the database
	Engine Engine         // may be set later, see Overlay.Serve
	Events EventSource
}

// Overlay is a history.Reader, and is told what happens.
type Overlay struct {
	cfg Config

	mu       sync.RWMutex
	runs     ring[history.Run]
	places   map[ulid.ULID]int // of runs
	outputs  int               // bytes of the outputs in runs
	events   ring[receipt]
	received map[ulid.ULID]int // places of events
	reasons  map[ulid.ULID]string
}

// receipt is an event as it was received.
type receipt struct {
	id      ulid.ULID
	seq     uint64
	at      int64 // milliseconds
	matched int32
}

// New makes an Overlay that knows nothing yet.
func New(cfg Config) *Overlay {
	return &Overlay{
		cfg: cfg, runs: ring[history.Run]{limit: maxRuns}, places: map[ulid.ULID]int{},
		events: ring[receipt]{limit: maxEvents}, received: map[ulid.ULID]int{}, reasons: map[ulid.ULID]string{},
	}
}

// Serve gives the engine to an Overlay that was made before it; call it before
// reading.
func (o *Overlay) Serve(engine Engine) { o.cfg.Engine = engine }

// EventReceived records an event, its sequence in EVENTS, and how many functions
// and waits it matched.
func (o *Overlay) EventReceived(id ulid.ULID, seq uint64, matched int, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.received[id]; known {
		return
	}
	place, old, full := o.events.put(receipt{id: id, seq: seq, at: at.UnixMilli(), matched: int32(matched)})
	if full && o.received[old.id] == place {
		delete(o.received, old.id)
	}
	o.received[id] = place
}

// RunScheduled records a new run; one that was skipped comes with that status and
// has thereby ended. The run's slices are kept, not copied. It tells whether the
// run was not known.
func (o *Overlay) RunScheduled(run history.Run) (isNew bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.places[run.ID]; known {
		return false
	}
	o.outputs += len(run.Output)
	place, old, full := o.runs.put(run)
	if full {
		o.outputs -= len(old.Output)
		delete(o.places, old.ID)
	}
	o.places[run.ID] = place
	return true
}

// RunStarted records the first request of a run.
func (o *Overlay) RunStarted(id ulid.ULID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if run := o.recent(id); run != nil && run.Status == state.Scheduled {
		run.Status = state.Running
	}
}

// RunWaits records why a run that has not ended does not go on, in words; "" is
// that it does.
func (o *Overlay) RunWaits(id ulid.ULID, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if reason == "" {
		delete(o.reasons, id)
		return
	}
	if _, known := o.reasons[id]; !known && len(o.reasons) >= maxReasons {
		for any := range o.reasons {
			delete(o.reasons, any)
			break
		}
	}
	o.reasons[id] = reason
}

// RunFinished records the end of a run. The output is kept, not copied.
func (o *Overlay) RunFinished(id ulid.ULID, status state.Status, output json.RawMessage, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.reasons, id)
	run := o.recent(id)
	if run == nil || run.Status.Ended() {
		return
	}
	run.Status, run.Output, run.EndedAt = status, output, at.UTC()
	if o.outputs += len(output); o.outputs > maxOutputs {
		o.forgetOutputs(id)
	}
}

// forgetOutputs forgets the oldest runs with outputs, besides the one that is to
// be kept, until half of the room is free: whoever asks for one of them waits for
// the database.
func (o *Overlay) forgetOutputs(keep ulid.ULID) {
	for i := range o.runs.items {
		run := o.runs.at(i)
		if o.outputs <= maxOutputs/2 {
			return
		}
		if len(run.Output) == 0 || run.ID == keep {
			continue
		}
		o.outputs -= len(run.Output)
		delete(o.places, run.ID)
		*run = history.Run{}
	}
}

// recent finds a run among the latest; mu is held.
func (o *Overlay) recent(id ulid.ULID) *history.Run {
	place, ok := o.places[id]
	if !ok {
		return nil
	}
	return &o.runs.items[place]
}
