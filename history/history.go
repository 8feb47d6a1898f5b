// Package history is what the older REST API asks about events and runs: the
// records that it shows (Event, Run) and the contract of who answers (Reader).
//
// What answers is a projection: history/reader reads it from the database, and
// history/live lays over that what only the process itself knows. It guarantees
// only that a record it returns was once reported; it may lag behind, and what
// is old may have been deleted. Nothing may decide from it how a run goes on, and
// nothing that executes may wait for it.
package history

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/history/view"
	"jetstep/state"
)

// What a Reader fails with.
var (
	ErrRunNotFound   = errors.New("run is not in the history")
	ErrEventNotFound = errors.New("event is not in the history")
	// ErrUnavailable says that the history cannot be read at the moment.
	ErrUnavailable = view.ErrUnavailable
)

// Run is one run as users see it.
type Run struct {
	ID         ulid.ULID
	FunctionID uuid.UUID
	// FunctionVersion is 0 in practice: the original does not store it here
	// (database §7).
	FunctionVersion int
	EventIDs        []ulid.ULID // internal ids, the trigger first

	Status   state.Status
	QueuedAt time.Time // in milliseconds
	EndedAt  time.Time // zero until it has ended
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
	InternalID ulid.ULID
	ID         string // the sender's, else the internal one
	Name       string
	Data       json.RawMessage // nil for null
	User       json.RawMessage // nil for none
	TS         int64           // milliseconds since 1970
	V          string          // may be empty
	ReceivedAt time.Time
	// Matched is the number of functions that the event started or resumed, so
	// that an event nobody listens to can be told from a slow one; -1 when this
	// process does not know it.
	Matched int
}

// EventFilter selects events. Bounds that are zero do not bound.
type EventFilter struct {
	Name           string    // exact name; empty for all
	ReceivedAfter  time.Time // inclusive, like the next
	ReceivedBefore time.Time
	Before         ulid.ULID // only smaller internal ids: the cursor of a page
	Limit          int       // at most so many; 0 for all
}

// Reader answers the questions of the API. What it returns may be kept but
// not changed. Any call may fail with ErrUnavailable.
type Reader interface {
	// Run fails with ErrRunNotFound.
	Run(ctx context.Context, id ulid.ULID) (Run, error)
	// EventRuns lists the runs whose first event that is, in the order of their
	// ids; none is no error. Skipped runs are not listed (http-api §10).
	EventRuns(ctx context.Context, event ulid.ULID) ([]Run, error)
	// RecentRuns lists at most limit runs, the latest scheduled first. Their
	// outputs are those of failed runs only.
	RecentRuns(ctx context.Context, limit int) ([]Run, error)
	// Event finds an event by its internal id, or fails with ErrEventNotFound.
	Event(ctx context.Context, id ulid.ULID) (Event, error)
	// Events lists what the filter admits, the largest internal id first,
	// without the server's own events, inngest/….
	Events(ctx context.Context, filter EventFilter) ([]Event, error)
}
