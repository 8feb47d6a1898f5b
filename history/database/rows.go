package database

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// App is a row of apps (database §5).
type App struct {
	ID                      uuid.UUID
	Name                    string // '' while only the URL is known
	SDKLanguage, SDKVersion string
	Framework               string // '' for NULL
	Metadata                json.RawMessage
	Error                   string // of the last sync, '' when fine
	Checksum                string
	CreatedAt, ArchivedAt   time.Time // ArchivedAt is zero for active apps
	URL, Method, AppVersion string
}

// Function is a row of functions (database §5).
type Function struct {
	ID, AppID             uuid.UUID
	Name, Slug            string
	Config                json.RawMessage
	CreatedAt, ArchivedAt time.Time // ArchivedAt is zero for active functions
}

// Event is a row of events (database §6).
type Event struct {
	InternalID ulid.ULID
	ReceivedAt time.Time
	ID, Name   string
	Data, User json.RawMessage // User is "null" when absent
	Version    string
	Timestamp  time.Time // ms

	// Resent says that the event may have come before, and is stored only if it
	// has not. It has no column.
	Resent bool
}

// Batch is a row of event_batches, of a batch with more than one event.
type Batch struct {
	ID                                        ulid.ULID
	AccountID, WorkspaceID, AppID, FunctionID uuid.UUID
	RunID                                     ulid.ULID
	StartedAt, ExecutedAt                     time.Time
	EventIDs                                  []ulid.ULID
}

// FunctionRun is a row of function_runs (database §7). Finish is read with it,
// nil while the run has not ended, and written as a row of its own.
type FunctionRun struct {
	RunID                  ulid.ULID
	StartedAt              time.Time // of the run's ULID
	FunctionID             uuid.UUID
	EventID                ulid.ULID // of the first event
	BatchID, OriginalRunID ulid.ULID // zero for none
	Cron                   string
	WorkspaceID            uuid.UUID // SQLite only
	Finish                 *FunctionFinish
	FunctionVersion        int
	TriggerType            string // "event"
}

// FunctionFinish is a row of function_finishes (database §7).
type FunctionFinish struct {
	RunID              ulid.ULID
	Status             string // Completed, Failed or Cancelled
	Output             string
	CompletedStepCount int
	CreatedAt          time.Time
}

// HistoryEntry is a row of history (database §8). JSON that is nil is stored as
// the text null.
type HistoryEntry struct {
	ID                              ulid.ULID
	CreatedAt, RunStartedAt         time.Time
	FunctionID                      uuid.UUID
	FunctionVersion                 int
	RunID, EventID, BatchID         ulid.ULID
	GroupID, IdempotencyKey, Type   string
	Attempt                         int
	LatencyMS                       *int
	StepName, StepID, URL, StepType string
	CancelRequest, Sleep            json.RawMessage
	WaitForEvent, WaitResult        json.RawMessage
	InvokeFunction, InvokeResult    json.RawMessage
	Result                          json.RawMessage
}

// TraceRun is a row of trace_runs (database §9). Times that are not known yet
// are zero.
type TraceRun struct {
	RunID                                     ulid.ULID
	AccountID, WorkspaceID, AppID, FunctionID uuid.UUID
	TraceID                                   string
	QueuedAt, StartedAt, EndedAt              time.Time // ms
	Status                                    int       // 50 … 600
	TriggerIDs                                []ulid.ULID
	Output                                    []byte
	BatchID                                   ulid.ULID
	Cron                                      string
	HasAI                                     bool
}

// Span is a row of spans (database §11). A nil Links is stored as JSON null, what
// else is nil as NULL.
type Span struct {
	SpanID, TraceID, ParentSpanID, DynamicSpanID string
	Name                                         string
	StartTime, EndTime                           time.Time
	Attributes, Links, Output, Input             json.RawMessage
	EventIDs                                     []ulid.ULID // of the run span
	AccountID, EnvID, AppID, FunctionID          uuid.UUID
	RunID                                        ulid.ULID
	Status                                       string // '' for NULL
	DebugRunID, DebugSessionID                   string
	IsDeferred                                   bool

	// Told says that Cron and BatchID repeat what the attributes of a run's span
	// say, so that these need not be parsed for the index of runs. None of them
	// has a column.
	Told    bool
	Cron    string
	BatchID ulid.ULID
}

// StartedRun says that a run of an earlier batch has started.
type StartedRun struct {
	RunID ulid.ULID
	At    time.Time // ms
}
