package history

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/state"
)

// Limits bound what Memory keeps. Fields that are zero take their default.
type Limits struct {
	Runs   int   // ended runs; default 50,000
	Events int   // default 100,000
	Bytes  int64 // of events and ended runs together; default 128 MiB
	// Source has the bodies of published events, which are then not kept here.
	Source EventSource
}

// EventSource reads an event by its sequence in EVENTS.
type EventSource interface {
	EventAt(ctx context.Context, seq uint64) (*bus.Event, error)
}

func (l Limits) withDefaults() Limits {
	if l.Runs == 0 {
		l.Runs = 50_000
	}
	if l.Events == 0 {
		l.Events = 100_000
	}
	if l.Bytes == 0 {
		l.Bytes = 128 << 20
	}
	return l
}

// Memory is a Reader over what this process has seen lately. It is bounded:
// the oldest events and ended runs make room. Runs that have not ended are
// always kept, and are small.
//
// Its writers are called for every event and run on the way to execution, so
// each does a constant amount of work under one lock. They may repeat and
// come out of order, as after a replay: the first report of a fact counts, and
// facts about unknown runs are dropped.
type Memory struct {
	limits Limits
	now    func() time.Time

	mu       sync.RWMutex
	events   map[ulid.ULID]*eventRecord
	arrived  fifo[*eventRecord] // oldest first
	runs     map[ulid.ULID]*runRecord
	byEvent  map[ulid.ULID]*runRecord // the latest run of an event
	latest   *runRecord               // the latest scheduled
	finished fifo[*runRecord]         // in the order in which they ended
	bytes    int64                    // of arrived and finished
	names    map[string]string        // of events, each once
}

// maxNames bounds how many event names are remembered at once.
const maxNames = 10_000

// NewMemory makes an empty store.
func NewMemory(limits Limits) *Memory {
	return &Memory{
		limits:  limits.withDefaults(),
		now:     time.Now,
		events:  map[ulid.ULID]*eventRecord{},
		runs:    map[ulid.ULID]*runRecord{},
		byEvent: map[ulid.ULID]*runRecord{},
		names:   map[string]string{},
	}
}

// EventReceived records an accepted event and how many functions or waits it
// matched. The event is kept, not copied: it must not change afterwards.
func (m *Memory) EventReceived(e *bus.Event, matched int) {
	record := &eventRecord{id: e.InternalID, seq: e.Seq, matched: matched, bytes: eventOverhead}
	if m.limits.Source == nil || e.Seq == 0 {
		record.event = e
		record.bytes += int64(bodyOverhead + len(e.ID) + len(e.V) + len(e.Data) + len(e.User) + len(e.Meta))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.events[e.InternalID]; known {
		return
	}
	record.receivedAt = m.now() // under the lock, so that arrived is in order
	record.name = m.intern(e.Name)
	m.events[e.InternalID] = record
	m.arrived.push(record)
	m.bytes += record.bytes
	m.evict()
}

// Past is an event that was received before this process began.
type Past struct {
	ID         ulid.ULID // internal
	Name       string
	Seq        uint64 // in the source, which has the body
	ReceivedAt time.Time
}

// EventsBefore records earlier events, oldest first, beneath those that came
// in since; what is known of an event already stays.
func (m *Memory) EventsBefore(past []Past) {
	m.mu.Lock()
	defer m.mu.Unlock()
	since := m.arrived
	m.arrived = fifo[*eventRecord]{}
	for _, p := range past {
		if _, known := m.events[p.ID]; known {
			continue
		}
		record := &eventRecord{id: p.ID, name: m.intern(p.Name), seq: p.Seq, receivedAt: p.ReceivedAt, matched: -1, bytes: eventOverhead}
		m.events[p.ID] = record
		m.arrived.push(record)
		m.bytes += record.bytes
	}
	for i := range since.len() {
		m.arrived.push(since.at(i))
	}
	m.evict()
}

// RunScheduled records a new run; one that was skipped comes with that status
// and is thereby ended. The run's slices are kept, not copied. It tells whether
// the run was not known.
func (m *Memory) RunScheduled(run Run) (isNew bool) {
	record := newRunRecord(run)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.runs[run.ID]; known {
		return false
	}
	m.runs[run.ID] = record
	m.link(record)
	if run.Status.Ended() {
		m.finish(record)
	}
	return true
}

// RunStarted records the first request of a run.
func (m *Memory) RunStarted(id ulid.ULID, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if run, known := m.runs[id]; known && run.status == state.Scheduled {
		run.status, run.startedAt = state.Running, millis(at)
		if run.more != nil {
			run.more.reason = ""
		}
	}
}

// RunWaits records why a run that has not ended does not go on, in words; ""
// is that it does.
func (m *Memory) RunWaits(id ulid.ULID, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run, known := m.runs[id]
	if !known || run.status.Ended() || reason == "" && run.more == nil {
		return
	}
	run.details().reason = reason
}

// RunFinished records the end of a run. The output is kept, not copied.
func (m *Memory) RunFinished(id ulid.ULID, status state.Status, output json.RawMessage, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run, known := m.runs[id]
	if !known || run.status.Ended() {
		return
	}
	run.status = status
	more := run.details()
	more.output, more.endedAt, more.reason = output, millis(at), ""
	m.finish(run)
}

// intern keeps one copy of each event name; there are few.
func (m *Memory) intern(name string) string {
	if known, ok := m.names[name]; ok {
		return known
	}
	if len(m.names) >= maxNames {
		clear(m.names)
	}
	m.names[name] = name
	return name
}

// finish makes an ended run one of those that can make room.
func (m *Memory) finish(run *runRecord) {
	more := run.details()
	more.bytes = int64(runOverhead + len(more.output) + len(more.cron) + len(more.reason) + len(ulid.ULID{})*len(more.events))
	m.bytes += more.bytes
	m.finished.push(run)
	m.evict()
}

// link enters the run into the lists by scheduling and by event.
func (m *Memory) link(run *runRecord) {
	run.earlier = m.latest
	if run.earlier != nil {
		run.earlier.later = run
	}
	m.latest = run
	if !run.event.IsZero() {
		run.previous = m.byEvent[run.event]
		m.byEvent[run.event] = run
	}
}

// unlink is the reverse of link. An event starts few runs, so looking for the
// run among them is cheap.
func (m *Memory) unlink(run *runRecord) {
	if run.earlier != nil {
		run.earlier.later = run.later
	}
	if run.later != nil {
		run.later.earlier = run.earlier
	} else {
		m.latest = run.earlier
	}
	event := run.event
	if event.IsZero() {
		return
	}
	if next := m.byEvent[event]; next == run {
		if run.previous == nil {
			delete(m.byEvent, event)
		} else {
			m.byEvent[event] = run.previous
		}
		return
	}
	for next := m.byEvent[event]; next != nil; next = next.previous {
		if next.previous == run {
			next.previous = run.previous
			return
		}
	}
}

// evict makes room until everything is within its limits.
func (m *Memory) evict() {
	for m.arrived.len() > m.limits.Events {
		m.evictEvent()
	}
	for m.finished.len() > m.limits.Runs {
		m.evictRun()
	}
	for m.bytes > m.limits.Bytes {
		switch {
		case m.finished.len() == 0 && m.arrived.len() == 0:
			return
		case m.finished.len() == 0:
			m.evictEvent()
		case m.arrived.len() == 0:
			m.evictRun()
		case millis(m.arrived.at(0).receivedAt) < m.finished.at(0).more.endedAt:
			m.evictEvent()
		default:
			m.evictRun()
		}
	}
}

func (m *Memory) evictEvent() {
	event := m.arrived.pop()
	m.bytes -= event.bytes
	delete(m.events, event.id)
}

func (m *Memory) evictRun() {
	run := m.finished.pop()
	m.bytes -= run.more.bytes
	delete(m.runs, run.id)
	m.unlink(run)
}
