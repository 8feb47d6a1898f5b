package format

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// The payloads of items (redis-queue §5.4).

// EdgePayload is that of start, edge, edge-error and sleep.
type EdgePayload struct {
	Edge Edge `json:"edge"`
	Rest Rest
}

// Edge leads from a finished step to the next request.
type Edge struct {
	Incoming string `json:"incoming"`
	Planned  string `json:"gen,omitempty"`      // step to execute
	Name     string `json:"gen_name,omitempty"` // its display name
	Outgoing string `json:"outgoing"`
	Rest     Rest
}

// The ends of edges that are no step.
const (
	EdgeTrigger = "$trigger"
	EdgeStep    = "step"
)

// PausePayload is that of a wait's timeout; it has the whole pause.
type PausePayload struct {
	PauseID uuid.UUID `json:"pauseID"`
	Pause   Pause     `json:"pause"`
	Rest    Rest
}

// DebouncePayload is that of a debounce's timeout.
type DebouncePayload struct {
	DebounceID      ulid.ULID `json:"debounceID"`
	AccountID       uuid.UUID `json:"aID"`
	EnvironmentID   uuid.UUID `json:"wsID"`
	AppID           uuid.UUID `json:"appID"`
	FunctionID      uuid.UUID `json:"fnID"`
	FunctionVersion int       `json:"fnV"`
	Rest            Rest
}

// BatchPayload is that of a batch's timeout.
type BatchPayload struct {
	BatchID         ulid.ULID       `json:"batchID"`
	Pointer         string          `json:"batchPointer"` // full name of the key
	AccountID       uuid.UUID       `json:"acctID"`
	EnvironmentID   uuid.UUID       `json:"wsID"`
	AppID           uuid.UUID       `json:"appID"`
	FunctionID      uuid.UUID       `json:"fnID"`
	FunctionVersion int             `json:"fnV"`
	PausedAt        json.RawMessage `json:"fpAt,omitempty"`
	Rest            Rest
}

// CronPayload is that of cron, cron-sync and cron-health-check.
type CronPayload struct {
	ID              ulid.ULID  `json:"id"` // its time is the scheduled one
	AccountID       uuid.UUID  `json:"acctID"`
	EnvironmentID   uuid.UUID  `json:"wsID"`
	AppID           uuid.UUID  `json:"appID"`
	FunctionID      uuid.UUID  `json:"fnID"`
	FunctionVersion int        `json:"fnV"`
	Production      *uuid.UUID `json:"prodWs,omitempty"`
	Expression      string     `json:"expr"`
	JobID           string     `json:"prevJobID,omitempty"` // the item's own id
	Op              string     `json:"op"`
	Rest            Rest
}

// What a cron item does.
const (
	CronNew         = "New"
	CronUpdate      = "Update"
	CronUnpause     = "Unpause"
	CronProcess     = "Process"
	CronHealthCheck = "CronHealthCheck"
	CronInit        = "CronInit"
)

// CancelPayload is that of an eager cancellation.
type CancelPayload struct {
	CreatedAt     time.Time  `json:"created_at"`
	Name          *string    `json:"name"`
	ID            ulid.ULID  `json:"id"`
	AccountID     uuid.UUID  `json:"account_id"`
	EnvironmentID uuid.UUID  `json:"environment_id"`
	AppID         uuid.UUID  `json:"app_id"`
	FunctionID    uuid.UUID  `json:"function_internal_id"`
	FunctionSlug  string     `json:"function_id"`
	StartedAfter  *time.Time `json:"started_after"`
	StartedBefore time.Time  `json:"started_before"`
	If            *string    `json:"if,omitempty"`
	Kind          string     `json:"kind"`
	Cause         string     `json:"cause"`
	TargetID      string     `json:"target_id"` // run
	Queue         *string    `json:"queue_name"`
	Rest          Rest
}

// The kinds of eager cancellations that a self-hosted server enqueues.
const (
	CancelStartTimeout  = "start_timeout"
	CancelFinishTimeout = "finish_timeout"
	CancelRun           = "run"
)

// CauseEvent is the cause of those.
const CauseEvent = "Event"

// PromotePayload is that of jps.
type PromotePayload struct {
	ItemID string `json:"sjid"`
	At     int64  `json:"su"` // milliseconds
	Rest   Rest
}

// PayloadOf reads an item's payload as one of the types above.
func PayloadOf[T any](at Place, item *Item) (T, error) {
	v, err := Decode[T](at, string(item.Data.Payload))
	if err != nil {
		e := err.(*ValueError)
		if e.Field == "" {
			e.Field = "data.payload"
		} else {
			e.Field = "data.payload." + e.Field
		}
	}
	return v, err
}

// Raw is a payload as an item has it.
func Raw(payload any) (json.RawMessage, error) {
	text, err := Encode(payload)
	return json.RawMessage(text), err
}
