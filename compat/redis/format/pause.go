package format

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Pause says that a run goes on, or is cancelled, when something happens
// (redis-state §8.1). It is stored as a string, once more in the hash of its
// event, and in the item of its timeout.
type Pause struct {
	ID            uuid.UUID       `json:"id"` // function.PauseID, function.CancelPauseID
	EnvironmentID uuid.UUID       `json:"wsID"`
	Run           PauseRun        `json:"identifier"`
	Outgoing      string          `json:"outgoing"` // step; "" to cancel
	Incoming      string          `json:"incoming"` // EdgeStep; "" to cancel
	StepName      string          `json:"stepName"`
	Opcode        string          `json:"opcode,omitempty"` // "" to cancel
	Expires       int64           `json:"expires"`          // milliseconds
	Event         string          `json:"event,omitempty"`
	Expression    string          `json:"expression,omitempty"` // interpolated
	Correlation   string          `json:"icID,omitempty"`       // of an invoke
	Invoked       string          `json:"itFnID,omitempty"`     // slug
	Signal        string          `json:"signalID,omitempty"`
	OnTimeout     bool            `json:"onTimeout,omitempty"`
	DataKey       string          `json:"dataKey,omitempty"` // step to save the data under
	Cancel        bool            `json:"cancel,omitempty"`
	MaxAttempts   *int            `json:"maxAtts,omitempty"`
	GroupID       string          `json:"groupID"`
	Trigger       string          `json:"tID,omitempty"` // event that does not resume it
	Metadata      json.RawMessage `json:"Metadata"`
	ParallelMode  string          `json:"pm,omitempty"`
	CoalesceKey   string          `json:"pck,omitempty"`
	CreatedAt     time.Time       `json:"ca"`
	Rest          Rest
}

// PauseRun is whose pause it is.
type PauseRun struct {
	RunID      ulid.ULID `json:"runID"`
	FunctionID uuid.UUID `json:"wID"`
	AccountID  uuid.UUID `json:"aID"`
	Rest       Rest
}

// The opcodes of pauses.
const (
	OpWaitForEvent  = "WaitForEvent"
	OpInvoke        = "InvokeFunction"
	OpWaitForSignal = "WaitForSignal"
)

// IndexEvent is the event name that the pause's indexes have, "" for invokes
// and signals (redis-state §8.3).
func (p *Pause) IndexEvent() string {
	if p.Correlation != "" || p.Signal != "" || p.Opcode == OpInvoke || p.Opcode == OpWaitForSignal {
		return ""
	}
	return p.Event
}

// PauseGrace is how many seconds a pause is kept after it expired (redis-state §8.4).
const PauseGrace = 600

// Lifetime is for how many seconds from now on the pause is kept.
func (p *Pause) Lifetime(now time.Time) int64 {
	return (p.Expires-now.UnixMilli())/1000 + PauseGrace
}
