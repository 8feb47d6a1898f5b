package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/google/uuid"
)

// Request is what capacity was asked for and granted, a value of
// {cs}:a:<account>:rs:<request> (redis-queue §10.2).
type Request struct {
	Key             string            `json:"k"` // item id
	EnvironmentID   uuid.UUID         `json:"e"`
	FunctionID      uuid.UUID         `json:"f"`
	AppID           uuid.UUID         `json:"ai"`
	Constraints     []Constraint      `json:"s"`
	FunctionVersion int               `json:"cv"`
	Requested       int               `json:"r"`
	Granted         int               `json:"g"`
	Active          int               `json:"a"` // leases
	MaxLifetime     int64             `json:"l"` // milliseconds
	Items           []string          `json:"lik"`
	Runs            map[string]string `json:"lri"`
	By              Asker             `json:"m"`
	Mode            int               `json:"sm,omitempty"`
	Rest            Rest
}

// Asker is who asked for capacity.
type Asker struct {
	Service  int `json:"ss"`
	Location int `json:"sl"`
	Rest     Rest
}

// Who asks for capacity, and where.
const (
	ServiceExecutor  = 2
	ServiceAPI       = 3
	ServiceScavenger = 4

	LocationSchedule = 1
	LocationRefill   = 2
	LocationLease    = 3
)

// Constraint is one limit of a [Request]: Kind says which member it has.
type Constraint struct {
	Kind        int                    `json:"k"`
	Concurrency *ConcurrencyConstraint `json:"c,omitempty"`
	Throttle    *ThrottleConstraint    `json:"t,omitempty"`
	RateLimit   *RateConstraint        `json:"r,omitempty"`
	Semaphore   *SemaphoreConstraint   `json:"sem,omitempty"`
	Rest        Rest
}

// The kinds of constraints, in the order of evaluation but for ConstraintThrottle,
// which comes before concurrency.
const (
	ConstraintRateLimit   = 1
	ConstraintConcurrency = 2
	ConstraintThrottle    = 3
	ConstraintSemaphore   = 4
)

// The scopes of constraints.
const (
	ScopeFunction    = 0
	ScopeEnvironment = 1
	ScopeAccount     = 2
)

// ConcurrencyConstraint bounds what is being executed.
type ConcurrencyConstraint struct {
	Mode       int    `json:"m,omitempty"`
	Scope      int    `json:"s,omitempty"`
	Hash       string `json:"h,omitempty"`  // of the expression
	ValueHash  string `json:"eh,omitempty"` // of its value
	Limit      int    `json:"l"`
	Key        string `json:"ilk"` // full name of the set
	RetryAfter int    `json:"ra"`  // milliseconds
	Rest       Rest
}

// ThrottleConstraint delays starts.
type ThrottleConstraint struct {
	Scope     int    `json:"s,omitempty"`
	Hash      string `json:"h"`
	ValueHash string `json:"eh"`
	Limit     int    `json:"l"`
	Burst     int    `json:"b"`
	Period    int64  `json:"p"` // milliseconds
	Key       string `json:"k"` // full name
	Rest      Rest
}

// RateConstraint drops starts.
type RateConstraint struct {
	Scope     int    `json:"s,omitempty"`
	Hash      string `json:"h,omitempty"`
	ValueHash string `json:"eh,omitempty"`
	Limit     int    `json:"l"`
	Period    int64  `json:"p"` // nanoseconds
	Burst     int    `json:"b"`
	Key       string `json:"k"` // full name
	Rest      Rest
}

// SemaphoreConstraint bounds runs, or what a worker executes.
type SemaphoreConstraint struct {
	Usage    string `json:"k"`  // full name
	Capacity string `json:"ck"` // full name
	Weight   int    `json:"w"`
	Release  int    `json:"rel"`
	Rest     Rest
}

// Reply is the answer of an operation on capacity, kept for a few seconds
// (redis-queue §10.3, §10.4); what it repeats of the request is in Rest.
type Reply struct {
	Status  int             `json:"s"`
	LeaseID string          `json:"lid,omitempty"` // of an extension
	Leases  json.RawMessage `json:"l,omitempty"`   // of an acquisition
	Usage   []Usage         `json:"cu,omitempty"`
	Rest    Rest
}

// Usage is how much of a constraint is used, after an operation.
type Usage struct {
	Index int `json:"i"` // 1-based, in the request
	Limit int `json:"l"`
	Used  int `json:"u"`
	Rest  Rest
}

// ThrottleTAT writes the state of a throttle, in milliseconds (redis-queue §10.6).
func ThrottleTAT(ms float64) string { return formatNumber(ms) }

// RateTAT writes the state of a rate limit, in nanoseconds (redis-state §13).
func RateTAT(ns float64) string { return formatNumber(ns) }

// formatNumber is a number as Redis scripts print it.
func formatNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e17 {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', 17, 64)
}

// ParseTAT reads the state of a throttle or rate limit.
func ParseTAT(at Place, text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = errors.New("not a number")
	}
	if err != nil {
		return 0, &ValueError{Place: at, Err: fmt.Errorf("time of a limit: %w", err)}
	}
	return f, nil
}
