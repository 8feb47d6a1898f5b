package history

import (
	"context"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
)

var _ Reader = (*Memory)(nil)

// Run implements Reader.
func (m *Memory) Run(_ context.Context, id ulid.ULID) (Run, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	run, known := m.runs[id]
	if !known {
		return Run{}, fmt.Errorf("run %s: %w", id, ErrRunNotFound)
	}
	return run.Run, nil
}

// EventRuns implements Reader.
func (m *Memory) EventRuns(_ context.Context, event ulid.ULID) ([]Run, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var runs []Run
	for run := m.byEvent[event]; run != nil; run = run.previous {
		if run.Status != Skipped {
			runs = append(runs, run.Run)
		}
	}
	slices.Reverse(runs)
	return runs, nil
}

// RecentRuns implements Reader.
func (m *Memory) RecentRuns(_ context.Context, limit int) ([]Run, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var runs []Run
	for run := m.latest; run != nil && len(runs) < limit; run = run.earlier {
		runs = append(runs, run.Run)
	}
	return runs, nil
}

// Event implements Reader.
func (m *Memory) Event(_ context.Context, id ulid.ULID) (Event, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	event, known := m.events[id]
	if !known {
		return Event{}, fmt.Errorf("event %s: %w", id, ErrEventNotFound)
	}
	return event.Event, nil
}

// Events implements Reader. Seeded ids do not grow with time, so that every
// event in the window is looked at; that happens without the lock.
func (m *Memory) Events(_ context.Context, filter EventFilter) ([]Event, error) {
	var found []Event
	for _, record := range m.window(&filter) {
		if filter.admits(&record.Event) {
			found = insert(found, record.Event, filter.Limit)
		}
	}
	return found, nil
}

// window copies the references of the events that came late enough, the last
// one first, which is nearly the order that insert makes.
func (m *Memory) window(filter *EventFilter) []*eventRecord {
	m.mu.RLock()
	defer m.mu.RUnlock()
	first := m.arrived.len()
	for first > 0 && m.arrived.at(first-1).ReceivedAt.After(filter.ReceivedAfter) {
		first--
	}
	window := make([]*eventRecord, 0, m.arrived.len()-first)
	for i := m.arrived.len() - 1; i >= first; i-- {
		window = append(window, m.arrived.at(i))
	}
	return window
}

// insert puts the event into a list that is ordered by descending internal id
// and never longer than limit, where there is one.
func insert(list []Event, e Event, limit int) []Event {
	at, _ := slices.BinarySearchFunc(list, e, func(have, want Event) int {
		return want.InternalID.Compare(have.InternalID)
	})
	if limit > 0 && at >= limit {
		return list
	}
	list = slices.Insert(list, at, e)
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list
}
