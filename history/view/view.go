// Package view is the read model as the APIs ask for it: the records that they
// show, and the filters, orders and cursors by which they are found.
//
// It owns types and the pure rules of paging only, so that a store which
// answers and an API which asks need not know each other. It must not do I/O.
package view

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// ErrNotFound is what a store answers for a record that it does not have. The
// text is part of answers to clients (graphql §7).
var ErrNotFound = errors.New("sql: no rows in result set")

// ErrUnavailable is wrapped by what a store fails with that cannot be read at
// the moment. The text is shown to clients.
var ErrUnavailable = errors.New("the history is not available at the moment; runs go on, and are shown later")

// App is an app that has registered, or an address that was asked to.
type App struct {
	ID          uuid.UUID
	Name        string // empty while only the address is known
	SDKLanguage string
	SDKVersion  string
	Framework   *string
	Error       *string // why it could not be reached or registered
	Checksum    string
	URL         string
	Method      string // serve, connect or api
	Version     string // as the app calls it
	Metadata    json.RawMessage
	CreatedAt   time.Time
	Archived    bool
	ArchivedAt  time.Time // zero when it is not
}

// Function is a registered function; Config, the stored definition, is the
// truth about its name and slug (database §5).
type Function struct {
	ID       uuid.UUID
	AppID    uuid.UUID
	Name     string
	Slug     string
	Config   json.RawMessage
	Archived bool
	Paused   bool // its starts make no runs; only known of what is registered
}

// Event is an event that was received.
type Event struct {
	InternalID ulid.ULID
	ID         string // the sender's, else the internal one
	Name       string
	Data       json.RawMessage
	User       json.RawMessage // nil or null for none
	Version    *string
	Timestamp  time.Time // in milliseconds
	ReceivedAt time.Time
}

// Run is one run of a function. Which times and output it has depends on the
// Source it was read from.
type Run struct {
	ID         ulid.ULID
	AppID      uuid.UUID
	FunctionID uuid.UUID
	TraceID    string
	QueuedAt   time.Time
	StartedAt  time.Time // zero before the first request
	EndedAt    time.Time // of the last thing known, also while it runs
	Status     Status
	TriggerIDs []ulid.ULID // internal ids of its events
	BatchID    *ulid.ULID
	Cron       *string
	// Output is the returned value or the error, nil for none.
	Output   json.RawMessage
	HasAI    bool
	Deferred bool
	Original *ulid.ULID // of a rerun: the run that it repeats
}

// Status is the state of a run.
type Status string

// The states of runs, in the words of the API.
const (
	Queued    Status = "QUEUED"
	Running   Status = "RUNNING"
	Completed Status = "COMPLETED"
	Failed    Status = "FAILED"
	Cancelled Status = "CANCELLED"
	Skipped   Status = "SKIPPED"
)

// Ended tells whether nothing more will happen to the run.
func (s Status) Ended() bool {
	return s == Completed || s == Failed || s == Cancelled || s == Skipped
}

// HistoryItem is an entry of the older history of a run (database §8); what
// does not apply is nil.
type HistoryItem struct {
	ID              ulid.ULID
	CreatedAt       time.Time
	FunctionVersion int
	GroupID         *uuid.UUID
	Type            string
	Attempt         int
	StepName        *string
	StepType        *string
	URL             *string

	Cancel       json.RawMessage
	Sleep        json.RawMessage
	WaitForEvent json.RawMessage
	WaitResult   json.RawMessage
	Invoke       json.RawMessage
	InvokeResult json.RawMessage
	Result       json.RawMessage
}

// Worker is the connection of a worker, past or present (database §14).
type Worker struct {
	ID               ulid.ULID
	GatewayID        ulid.ULID
	InstanceID       string
	IP               string
	MaxConcurrency   int64
	AppName          string
	AppID            *uuid.UUID
	ConnectedAt      time.Time
	LastHeartbeatAt  time.Time // zero for never
	DisconnectedAt   time.Time // zero while connected
	DisconnectReason *string
	Status           string // in the words of the API
	GroupHash        string
	SDKLanguage      string
	SDKVersion       string
	SDKPlatform      string
	SyncID           *uuid.UUID
	AppVersion       *string
	FunctionCount    int
	CPUCores         int
	MemoryBytes      int64
	OS               string
}
