package format

import (
	"encoding/json"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Debounced is what a debounce starts when it is over, a value of
// {queue}:debounce-hash (redis-state §12).
type Debounced struct {
	AccountID       uuid.UUID       `json:"aID"`
	EnvironmentID   uuid.UUID       `json:"wsID"`
	AppID           uuid.UUID       `json:"appID"`
	AppName         string          `json:"appName,omitempty"`
	FunctionID      uuid.UUID       `json:"fnID"`
	FunctionVersion int             `json:"fnV"`
	EventID         ulid.ULID       `json:"eID"`
	Event           json.RawMessage `json:"e"`
	Latest          int64           `json:"t,omitempty"` // milliseconds; when it starts at the latest
	PausedAt        json.RawMessage `json:"fpAt,omitempty"`
	Rest            Rest
}

// Batched is an event of a batch, an element of {queue:<function>}:batches:<batch>
// (redis-state §11).
type Batched struct {
	AccountID       uuid.UUID       `json:"acctID"`
	EnvironmentID   uuid.UUID       `json:"wsID"`
	AppID           uuid.UUID       `json:"appID"`
	FunctionID      uuid.UUID       `json:"fnID"`
	FunctionVersion int             `json:"fnV"`
	EventID         ulid.ULID       `json:"evtID"`
	Event           json.RawMessage `json:"evt"`
	Version         int             `json:"v"`
	Rest            Rest
}

// The statuses of a batch, in the field FieldBatchStatus of its metadata.
const (
	FieldBatchStatus = "status"
	BatchPending     = "Pending"
	BatchStarted     = "Started"
)
