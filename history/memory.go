package history

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
)

// Limits bound what Memory keeps. Fields that are zero take their default.
type Limits struct {
	Runs   int   // ended runs; default 50,000
	Events int   // default 100,000
	Bytes  int64 // of events and ended runs together; default 128 MiB
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
}

// NewMemory makes an empty store.
func NewMemory(limits Limits) *Memory {
	return &Memory{
		limits:  limits.withDefaults(),
		now:     time.Now,
		events:  map[ulid.ULID]*eventRecord{},
		runs:    map[ulid.ULID]*runRecord{},
		byEvent: map[ulid.ULID]*runRecord{},
	}
}

// eventRecord is an event and what it costs. It does not change.
type eventRecord struct {
	Event
	bytes int64
}

// runRecord is a run in the lists that it belongs to.
type runRecord struct {
	Run
	bytes          int64      // counted once it has ended
	earlier, later *runRecord // by scheduling, among all runs
	previous       *runRecord // scheduled before by the same event
}

// What a record costs beside its variable parts: its structs and its share of
// maps and queues, roughly.
const (
	eventOverhead = 400
	runOverhead   = 512
)

// EventReceived records an accepted event and how many functions or waits it
// matched. The event is kept, not copied: it must not change afterwards.
func (m *Memory) EventReceived(e *bus.Event, matched int) {
	record := &eventRecord{
		Event: Event{Event: e, Matched: matched},
		bytes: int64(eventOverhead + len(e.Name) + len(e.ID) + len(e.V) + len(e.Data) + len(e.User) + len(e.Meta)),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.events[e.InternalID]; known {
		return
	}
	record.ReceivedAt = m.now() // under the lock, so that arrived is in order
	m.events[e.InternalID] = record
	m.arrived.push(record)
	m.bytes += record.bytes
	m.evict()
}

// RunScheduled records a new run; one that was skipped comes with that status
// and is thereby ended. The run's slices are kept, not copied.
func (m *Memory) RunScheduled(run Run) {
	record := &runRecord{Run: run}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.runs[run.ID]; known {
		return
	}
	m.runs[run.ID] = record
	m.link(record)
	if run.Status.Ended() {
		m.finish(record)
	}
}

// RunStarted records the first request of a run.
func (m *Memory) RunStarted(id ulid.ULID, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if run, known := m.runs[id]; known && run.Status == Scheduled {
		run.Status, run.StartedAt, run.Reason = Running, at, ""
	}
}

// RunFinished records the end of a run. The output is kept, not copied.
func (m *Memory) RunFinished(id ulid.ULID, status Status, output json.RawMessage, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run, known := m.runs[id]
	if !known || run.Status.Ended() {
		return
	}
	run.Status, run.Output, run.EndedAt = status, output, at
	m.finish(run)
}

// finish makes an ended run one of those that can make room.
func (m *Memory) finish(run *runRecord) {
	run.bytes = int64(runOverhead + len(run.Output) + len(run.Cron) + len(run.Reason) + len(ulid.ULID{})*len(run.EventIDs))
	m.bytes += run.bytes
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
	if event := run.EventID(); !event.IsZero() {
		run.previous = m.byEvent[event]
		m.byEvent[event] = run
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
	event := run.EventID()
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
		case m.arrived.at(0).ReceivedAt.Before(m.finished.at(0).EndedAt):
			m.evictEvent()
		default:
			m.evictRun()
		}
	}
}

func (m *Memory) evictEvent() {
	event := m.arrived.pop()
	m.bytes -= event.bytes
	delete(m.events, event.InternalID)
}

func (m *Memory) evictRun() {
	run := m.finished.pop()
	m.bytes -= run.bytes
	delete(m.runs, run.ID)
	m.unlink(run)
}
