package history

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"jetstep/state"
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
	return run.run(), nil
}

// EventRuns implements Reader.
func (m *Memory) EventRuns(_ context.Context, event ulid.ULID) ([]Run, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var runs []Run
	for run := m.byEvent[event]; run != nil; run = run.previous {
		if run.status != state.Skipped {
			runs = append(runs, run.run())
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
		runs = append(runs, run.run())
	}
	return runs, nil
}

// Event implements Reader.
func (m *Memory) Event(ctx context.Context, id ulid.ULID) (Event, error) {
	m.mu.RLock()
	record, known := m.events[id]
	m.mu.RUnlock()
	if !known {
		return Event{}, fmt.Errorf("event %s: %w", id, ErrEventNotFound)
	}
	return m.whole(ctx, record)
}

// whole is the record with its event, which may have to be fetched. One that
// the stream no longer holds is not found.
func (m *Memory) whole(ctx context.Context, r *eventRecord) (Event, error) {
	e := Event{Event: r.event, ReceivedAt: r.receivedAt, Matched: r.matched}
	if e.Event != nil {
		return e, nil
	}
	var err error
	if e.Event, err = m.limits.Source.EventAt(ctx, r.seq); err != nil {
		return Event{}, fmt.Errorf("event %s: %w: %w", r.id, ErrEventNotFound, err)
	}
	return e, nil
}

// Events implements Reader. Seeded ids do not grow with time, so that every
// event in the window is looked at; that happens without the lock.
func (m *Memory) Events(ctx context.Context, filter EventFilter) ([]Event, error) {
	var records []*eventRecord
	for _, record := range m.window(&filter) {
		if filter.admits(record) {
			records = insert(records, record, filter.Limit)
		}
	}
	var found []Event
	for _, record := range records {
		e, err := m.whole(ctx, record)
		if errors.Is(err, ErrEventNotFound) {
			continue // it has just expired
		}
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

// window copies the references of the events that came late enough, the last
// one first, which is nearly the order that insert makes.
func (m *Memory) window(filter *EventFilter) []*eventRecord {
	m.mu.RLock()
	defer m.mu.RUnlock()
	first := m.arrived.len()
	for first > 0 && m.arrived.at(first-1).receivedAt.After(filter.ReceivedAfter) {
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
func insert(list []*eventRecord, e *eventRecord, limit int) []*eventRecord {
	at, _ := slices.BinarySearchFunc(list, e, func(have, want *eventRecord) int {
		return want.id.Compare(have.id)
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
