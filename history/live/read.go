package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/history"
	"jetstep/state"
)

var _ history.Reader = (*Overlay)(nil)

// Run implements history.Reader.
func (o *Overlay) Run(ctx context.Context, id ulid.ULID) (history.Run, error) {
	run, err := o.cfg.Past.Run(ctx, id)
	if errors.Is(err, history.ErrRunNotFound) {
		run, err = o.unwritten(ctx, id)
	}
	if err != nil {
		return history.Run{}, err
	}
	o.overlay(&run)
	return run, nil
}

// unwritten finds a run that the database does not have: one of the latest, or
// one that has not ended.
func (o *Overlay) unwritten(ctx context.Context, id ulid.ULID) (history.Run, error) {
	if run, ok := o.Recent(id); ok {
		return run, nil
	}
	run, err := o.cfg.Engine.Load(ctx, id)
	switch {
	case errors.Is(err, state.ErrRunNotFound):
		return history.Run{}, fmt.Errorf("run %s: %w", id, history.ErrRunNotFound)
	case err != nil: // its owner does not answer
		return history.Run{}, fmt.Errorf("%w: state of run %s: %w", history.ErrUnavailable, id, err)
	}
	return FromRun(run), nil
}

// Recent finds a run among the latest.
func (o *Overlay) Recent(id ulid.ULID) (history.Run, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	run := o.recent(id)
	if run == nil {
		return history.Run{}, false
	}
	return *run, true
}

// FromRun is what a live run looks like.
func FromRun(run *state.Run) history.Run {
	shown := history.Run{
		ID: run.ID, FunctionID: run.FunctionID, EventIDs: run.EventIDs,
		Status: state.Scheduled, QueuedAt: time.UnixMilli(run.QueuedAt).UTC(), Cron: run.Cron, OriginalRunID: unlessZero(run.Original),
	}
	if run.Flow != nil {
		shown.BatchID = unlessZero(run.Flow.BatchID)
	}
	if run.StartedAt != 0 {
		shown.Status = state.Running
	}
	return shown
}

// unlessZero is nil for an id that stands for none.
func unlessZero(id ulid.ULID) *ulid.ULID {
	if id.IsZero() {
		return nil
	}
	return &id
}

// overlay adds what the process knows of a run that has not ended in the
// database, or just now.
func (o *Overlay) overlay(run *history.Run) {
	if run.Status.Ended() {
		return
	}
	o.mu.RLock()
	recent, reason := o.recent(run.ID), o.reasons[run.ID]
	if recent != nil && recent.Status.Ended() {
		run.Status, run.Output, run.EndedAt = recent.Status, recent.Output, recent.EndedAt
		o.mu.RUnlock()
		return
	}
	begun := recent != nil && recent.Status == state.Running
	o.mu.RUnlock()
	run.Reason = reason
	if run.Status == state.Scheduled && (begun || o.executing(run.ID)) {
		run.Status = state.Running
	}
}

func (o *Overlay) executing(run ulid.ULID) bool {
	_, executing := o.cfg.Engine.Executing(run)
	return executing
}

// EventRuns implements history.Reader.
func (o *Overlay) EventRuns(ctx context.Context, event ulid.ULID) ([]history.Run, error) {
	runs, err := o.cfg.Past.EventRuns(ctx, event)
	if err != nil {
		return nil, err
	}
	runs = o.add(runs, func(r *history.Run) bool { return r.EventID() == event && r.Status != state.Skipped })
	slices.SortFunc(runs, func(a, b history.Run) int { return a.ID.Compare(b.ID) })
	return runs, nil
}

// add lays over runs from the database what is known live, and adds those of the
// latest that are wanted and missing.
func (o *Overlay) add(runs []history.Run, wanted func(*history.Run) bool) []history.Run {
	written := make(map[ulid.ULID]bool, len(runs))
	for i := range runs {
		o.overlay(&runs[i])
		written[runs[i].ID] = true
	}
	first := len(runs)
	o.mu.RLock()
	for i := range o.runs.items {
		if run := &o.runs.items[i]; !run.ID.IsZero() && wanted(run) && !written[run.ID] {
			runs = append(runs, *run)
		}
	}
	o.mu.RUnlock()
	for i := first; i < len(runs); i++ {
		o.overlay(&runs[i])
	}
	return runs
}

// RecentRuns implements history.Reader. While the database is out of reach, it
// lists what is remembered.
func (o *Overlay) RecentRuns(ctx context.Context, limit int) ([]history.Run, error) {
	runs, err := o.cfg.Past.RecentRuns(ctx, limit)
	if err != nil && !errors.Is(err, history.ErrUnavailable) {
		return nil, err
	}
	runs = o.add(runs, func(r *history.Run) bool { return r.Status != state.Skipped })
	slices.SortFunc(runs, func(a, b history.Run) int {
		if c := b.QueuedAt.Compare(a.QueuedAt); c != 0 {
			return c
		}
		return a.ID.Compare(b.ID)
	})
	return runs[:min(len(runs), limit)], nil
}

// Event implements history.Reader.
func (o *Overlay) Event(ctx context.Context, id ulid.ULID) (history.Event, error) {
	event, err := o.cfg.Past.Event(ctx, id)
	if errors.Is(err, history.ErrEventNotFound) {
		event, err = o.unwrittenEvent(ctx, id, err)
	}
	if err != nil {
		return history.Event{}, err
	}
	o.match(&event)
	return event, nil
}

// unwrittenEvent reads an event from the stream, which has it first; unknown is
// the error for one that was not received lately.
func (o *Overlay) unwrittenEvent(ctx context.Context, id ulid.ULID, unknown error) (history.Event, error) {
	o.mu.RLock()
	place, ok := o.received[id]
	var r receipt
	if ok {
		r = o.events.items[place]
	}
	o.mu.RUnlock()
	if !ok {
		return history.Event{}, unknown
	}
	e, err := o.cfg.Events.EventAt(ctx, r.seq)
	if err != nil {
		return history.Event{}, fmt.Errorf("event %s: %w: %w", id, history.ErrEventNotFound, err)
	}
	return history.Event{
		InternalID: id, ID: e.ID, Name: e.Name, Data: e.Data, User: e.User, TS: e.TS, V: e.V, ReceivedAt: time.UnixMilli(r.at).UTC(),
	}, nil
}

// match says what the event matched, if that was lately and here.
func (o *Overlay) match(event *history.Event) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	event.Matched = -1
	if place, ok := o.received[event.InternalID]; ok {
		event.Matched = int(o.events.items[place].matched)
	}
}

// Events implements history.Reader.
func (o *Overlay) Events(ctx context.Context, filter history.EventFilter) ([]history.Event, error) {
	events, err := o.cfg.Past.Events(ctx, filter)
	for i := range events {
		o.match(&events[i])
	}
	return events, err
}
