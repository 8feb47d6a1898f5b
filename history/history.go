// Package history is the read model: what users and the API see of events and
// runs, past and present. It owns the shape of what is read (Event, Run), the
// Reader contract and an in-memory implementation of it.
//
// It is a projection. It guarantees only that a record it returns was once
// reported to it; it may lag behind, and it forgets old records. Nothing may
// decide from it how a run goes on, and no hot path may wait for it.
package history

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/state"
)

// What a Reader returns when it does not know the record, or no longer.
var (
	ErrRunNotFound   = errors.New("run is not in the history")
	ErrEventNotFound = errors.New("event is not in the history")
)

// Run is one run as users see it.
type Run struct {
	ID              ulid.ULID
	FunctionID      uuid.UUID
	FunctionVersion int
	EventIDs        []ulid.ULID // internal ids, the trigger first

	Status    state.Status
	QueuedAt  time.Time
	StartedAt time.Time // zero until the first request
	EndedAt   time.Time // zero until it has ended
	// Output is the returned value, or the error object of a failed run; nil
	// until the run has ended.
	Output json.RawMessage
	// Reason says why the run waits, in words, or is the name of why it was
	// skipped (state.SkipReason); may be empty.
	Reason string

	Cron          string     // the schedule that started it, if one did
	OriginalRunID *ulid.ULID // of a rerun
	BatchID       *ulid.ULID
	// ExistingRunID is the run because of which a singleton was skipped.
	ExistingRunID *ulid.ULID
}

// EventID is the internal id of the run's first event, zero if it has none.
func (r *Run) EventID() ulid.ULID {
	if len(r.EventIDs) == 0 {
		return ulid.ULID{}
	}
	return r.EventIDs[0]
}

// Event is one accepted event.
type Event struct {
	*bus.Event // never changed once it is here
	ReceivedAt time.Time
	// Matched is the number of functions that the event started or resumed, so
	// that an event nobody listens to can be told from a slow one; -1 when that
	// was before this process, which does not know it.
	Matched int
}

// internalPrefix is that of the events that the server itself sends.
const internalPrefix = "inngest/"

// EventFilter selects events. Bounds that are zero do not bound.
type EventFilter struct {
	Name           string    // exact name; empty for all
	ReceivedAfter  time.Time // exclusive
	ReceivedBefore time.Time // inclusive
	Before         ulid.ULID // only smaller internal ids: the cursor of a page
	Internal       bool      // with the server's own events, inngest/…
	Limit          int       // at most so many; 0 for all
}

// admits tells whether an event passes, the limit aside.
func (f *EventFilter) admits(e *eventRecord) bool {
	switch {
	case f.Name != "" && e.name != f.Name,
		!f.Internal && strings.HasPrefix(e.name, internalPrefix),
		!f.ReceivedAfter.IsZero() && !e.receivedAt.After(f.ReceivedAfter),
		!f.ReceivedBefore.IsZero() && e.receivedAt.After(f.ReceivedBefore):
		return false
	}
	return f.Before.IsZero() || e.id.Compare(f.Before) < 0
}

// Reader answers the questions of the API. What it returns may be kept but
// not changed.
type Reader interface {
	// Run fails with ErrRunNotFound.
	Run(ctx context.Context, id ulid.ULID) (Run, error)
	// EventRuns lists the runs whose first event that is, in the order in
	// which they were scheduled; none is no error. Skipped runs are not listed
	// (http-api §10).
	EventRuns(ctx context.Context, event ulid.ULID) ([]Run, error)
	// RecentRuns lists at most limit runs, the latest scheduled first.
	RecentRuns(ctx context.Context, limit int) ([]Run, error)
	// Event finds an event by its internal id, or fails with ErrEventNotFound.
	Event(ctx context.Context, id ulid.ULID) (Event, error)
	// Events lists what the filter admits, the largest internal id first.
	Events(ctx context.Context, filter EventFilter) ([]Event, error)
}
