package view

import (
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/history/search"
)

// EventFilter selects events. Fields that are zero do not select.
type EventFilter struct {
	Names    []string  // any of
	From     time.Time // received at or after
	Until    time.Time // received at or before
	Internal bool      // with the server's own events, inngest/…
	Before   ulid.ULID // only smaller internal ids: the cursor of a page
	After    ulid.ULID // only larger ones
	Limit    int       // at most so many, the largest internal id first; 0 for all
}

// Source is what a list of runs is read from (graphql §9).
type Source int

const (
	// FromSpans reads the spans of runs: QueuedAt and StartedAt of a run are
	// the start of its root span, in microseconds; there is no output; Until
	// is inclusive.
	FromSpans Source = iota
	// FromRuns reads the table trace_runs: times in milliseconds, with output;
	// Until is exclusive.
	FromRuns
)

// TimeField is a time of a run by which runs are selected and sorted.
type TimeField string

// The times of runs.
const (
	QueuedAt  TimeField = "QUEUED_AT"
	StartedAt TimeField = "STARTED_AT"
	EndedAt   TimeField = "ENDED_AT"
)

// Order is one sort key; equal runs come by ascending id.
type Order struct {
	Field      TimeField
	Descending bool
}

// RunFilter selects runs. Empty lists do not select. Skipped runs and those of
// the debugger are never among them.
type RunFilter struct {
	Source      Source
	From, Until time.Time
	TimeField   TimeField
	Statuses    []Status
	FunctionIDs []uuid.UUID
	AppIDs      []uuid.UUID
	Deferred    *bool
	Search      search.Query // nothing for all
}

// RunQuery asks for one page of runs. Without an order, runs from spans come
// latest first, others by id; their cursors have no keys, so that the place of
// the run they name has to be looked up.
type RunQuery struct {
	RunFilter
	Orders []Order
	After  *Cursor // nil for the first page
	Limit  int
}

// WorkerQuery asks for a page of worker connections.
type WorkerQuery struct {
	From, Until time.Time
	TimeField   WorkerField
	Statuses    []string
	AppIDs      []uuid.UUID
	Orders      []WorkerOrder
	After       *Cursor
	Limit       int
}

// WorkerField is a time of a connection.
type WorkerField string

// The times of connections.
const (
	ConnectedAt     WorkerField = "CONNECTED_AT"
	LastHeartbeatAt WorkerField = "LAST_HEARTBEAT_AT"
	DisconnectedAt  WorkerField = "DISCONNECTED_AT"
)

// WorkerOrder is one sort key.
type WorkerOrder struct {
	Field      WorkerField
	Descending bool
}
