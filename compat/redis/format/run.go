package format

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/oklog/ulid/v2"
)

// Defer is a deferred function, a value of the hash defers-meta (redis-state §5.7).
type Defer struct {
	FunctionSlug string `json:"FnSlug"`
	HashedID     string `json:"HashedID"`
	Status       int    `json:"ScheduleStatus"`
	Rest         Rest
}

// The statuses of a defer.
const (
	DeferScheduled = 1
	DeferAfterRun  = 2
	DeferAborted   = 3
	DeferRejected  = 4
)

// DecodeEvents reads the events of a run, each as it is stored.
func DecodeEvents(key, text string) ([]json.RawMessage, error) {
	events, err := Decode[[]json.RawMessage](Place{Key: key}, text)
	if err == nil && len(events) == 0 {
		err = &ValueError{Place: Place{Key: key}, Err: errors.New("no event")}
	}
	return events, err
}

// DecodeOutput reads a finished step's value, which is any JSON.
func DecodeOutput(at Place, text string) (json.RawMessage, error) {
	if !json.Valid([]byte(text)) {
		return nil, &ValueError{Place: at, Err: errors.New("not JSON")}
	}
	return json.RawMessage(text), nil
}

// Claim is the value of an idempotency key: which run it started, and whether
// that has ended (redis-state §6.1).
type Claim struct {
	RunID ulid.ULID
	Ended bool
}

// DecodeClaim reads the value of an idempotency key. "-" alone is of an old
// server, and says that some run has ended.
func DecodeClaim(key, text string) (Claim, error) {
	id, ended := strings.CutPrefix(text, "-")
	if ended && id == "" {
		return Claim{Ended: true}, nil
	}
	run, err := ParseULID(id)
	if err != nil {
		return Claim{}, &ValueError{Place: Place{Key: key}, Err: err}
	}
	return Claim{RunID: run, Ended: ended}, nil
}

// Encode writes the value of an idempotency key.
func (c Claim) Encode() string {
	switch {
	case !c.Ended:
		return c.RunID.String()
	case c.RunID == ulid.ULID{}:
		return "-"
	}
	return "-" + c.RunID.String()
}
