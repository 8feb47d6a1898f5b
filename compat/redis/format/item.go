package format

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Item is a job of the queue, a value of {queue}:queue:item (redis-queue §5.1).
// Times are in milliseconds since 1970.
type Item struct {
	ID           string     `json:"id"`
	EarliestPeek int64      `json:"pt,omitempty"` // when a worker first tried it
	At           int64      `json:"at"`           // when it is to be executed
	WallTime     int64      `json:"wt"`
	FunctionID   uuid.UUID  `json:"wfID"`
	Environment  uuid.UUID  `json:"wsID"`
	LeaseID      *ulid.ULID `json:"leaseID,omitempty"` // see LeaseExpiry
	Generation   int        `json:"genID,omitempty"`   // 1 at first, one more with each requeue
	Data         ItemData   `json:"data"`
	Queue        string     `json:"queueID,omitempty"` // of a system queue
	Idempotency  int64      `json:"ip,omitempty"`      // nanoseconds
	RefilledFrom string     `json:"rf,omitempty"`      // backlog
	RefilledAt   int64      `json:"rat,omitempty"`
	EnqueuedAt   int64      `json:"eat"`
	Scavenged    int        `json:"sc,omitempty"` // how often
	Capacity     *Capacity  `json:"cl,omitempty"` // lease taken at refill
	Rest         Rest
}

// Capacity is a capacity lease that an item brings along.
type Capacity struct {
	LeaseID  *ulid.ULID `json:"l,omitempty"`
	IssuedAt int64      `json:"i,omitempty"`
	Rest     Rest
}

// ItemData is what is to be done (redis-queue §5.2).
type ItemData struct {
	GroupID      string           `json:"groupID,omitempty"`
	Environment  uuid.UUID        `json:"wsID"`
	Kind         string           `json:"kind"`
	Identifier   Identifier       `json:"identifier"`
	Attempt      int              `json:"atts"`              // 0-based
	MaxAttempts  *int             `json:"maxAtts,omitempty"` // DefaultMaxAttempts when absent
	Payload      json.RawMessage  `json:"payload,omitempty"` // by kind
	Metadata     json.RawMessage  `json:"metadata,omitempty"`
	Queue        string           `json:"qn,omitempty"` // as Item.Queue
	Throttle     *Throttle        `json:"throttle,omitempty"`
	Singleton    *Singleton       `json:"singleton,omitempty"`
	Concurrency  []ConcurrencyKey `json:"cck,omitempty"`
	Priority     *int64           `json:"pf,omitempty"` // seconds
	ParallelMode string           `json:"pm,omitempty"` // ModeWait, ModeRace
	CoalesceKey  string           `json:"pck,omitempty"`
	Semaphores   []Semaphore      `json:"sem,omitempty"`
	Rest         Rest
}

// DefaultMaxAttempts counts for an item that says nothing about it.
const DefaultMaxAttempts = 4

// The modes of parallel steps.
const (
	ModeWait = "Wait"
	ModeRace = "Race"
)

// The kinds of items (redis-queue §5.4).
const (
	KindStart           = "start"
	KindEdge            = "edge"
	KindEdgeError       = "edge-error"
	KindSleep           = "sleep"
	KindPause           = "pause"
	KindDebounce        = "debounce"
	KindBatch           = "schedule-batch"
	KindCronSync        = "cron-sync"
	KindCron            = "cron"
	KindCronHealthCheck = "cron-health-check"
	KindCancel          = "cancel"
	KindPromote         = "jps"
	KindFunctionPaused  = "fp"
	KindUnpaused        = "fup"
	KindFlush           = "pbf"
	KindLatency         = "ltc"
)

// Identifier says which run something belongs to: in items, and in the metadata
// of the run itself (redis-queue §5.3, redis-state §5.2). Jobs of the system
// have zero ids.
type Identifier struct {
	RunID         ulid.ULID        `json:"runID"`
	FunctionID    uuid.UUID        `json:"wID"`
	Version       int              `json:"wv"` // of the function
	EventID       ulid.ULID        `json:"evtID"`
	BatchID       *ulid.ULID       `json:"bID,omitempty"`
	EventIDs      []ulid.ULID      `json:"eventIDs"` // null when there are none
	Key           string           `json:"key,omitempty"`
	AccountID     uuid.UUID        `json:"aID"`
	EnvironmentID uuid.UUID        `json:"wsID"`
	AppID         uuid.UUID        `json:"appID"`
	OriginalRun   *ulid.ULID       `json:"oRunID,omitempty"`
	ReplayID      *uuid.UUID       `json:"rID,omitempty"`
	Priority      *int64           `json:"pf,omitempty"` // seconds
	Concurrency   []ConcurrencyKey `json:"cck,omitempty"`
	Semaphores    []Semaphore      `json:"sem,omitempty"`
	Rest          Rest
}

// ConcurrencyKey is an evaluated key of a concurrency limit (redis-queue §10.5).
type ConcurrencyKey struct {
	Key   string `json:"k"` // function.ConcurrencyKey
	Hash  string `json:"h"` // of the expression
	Limit int    `json:"l"` // when it was evaluated
	Rest  Rest
}

// Throttle is a start's throttle (redis-queue §10.6).
type Throttle struct {
	Key            string `json:"k"`
	Limit          int    `json:"l"`
	Burst          int    `json:"b"`
	Period         int    `json:"p"` // seconds
	ExpressionHash string `json:"keh"`
	Rest           Rest
}

// Singleton is a start's singleton key; Mode is "skip" whatever is configured.
type Singleton struct {
	Key  string `json:"k"`
	Mode string `json:"m"`
	Rest Rest
}

// Semaphore is what a start takes of a limit on runs (redis-queue §11).
type Semaphore struct {
	ID      string `json:"id"`
	Value   string `json:"uv,omitempty"` // hash of the key's value
	Weight  int    `json:"w"`
	Release int    `json:"r"` // ReleaseAuto, ReleaseManual
	Rest    Rest
}

// When a semaphore is released: with the capacity lease, or when the run ends.
const (
	ReleaseAuto   = 0
	ReleaseManual = 1
)

// Partition is the partition that the item belongs to (redis-queue §7.1).
func (i *Item) Partition() string {
	if i.Queue != "" {
		return i.Queue
	}
	return i.FunctionID.String()
}

// MaxAttempts is how often the item may be tried.
func (i *Item) MaxAttempts() int {
	if i.Data.MaxAttempts == nil {
		return DefaultMaxAttempts
	}
	return *i.Data.MaxAttempts
}

// scriptLimit is where scripts of the original begin to damage whole numbers
// (redis-queue §3.3).
const scriptLimit = 100_000_000_000_000

// LatestTime is the last time, in milliseconds, that may be written: in the year 5138.
const LatestTime = scriptLimit - 1

// Check tells why an item must not be written: one that the original cannot
// read back ends its process (redis-queue §25.1).
func (i *Item) Check() error {
	switch {
	case i.ID == "":
		return errors.New("item without id")
	case i.Data.Kind == "":
		return fmt.Errorf("item %s without kind", i.ID)
	case i.Queue != i.Data.Queue:
		return fmt.Errorf("item %s names two queues, %q and %q", i.ID, i.Queue, i.Data.Queue)
	case i.Queue == "" && i.FunctionID == uuid.Nil:
		return fmt.Errorf("item %s without function or queue", i.ID)
	case i.Data.ParallelMode != "" && i.Data.ParallelMode != ModeWait && i.Data.ParallelMode != ModeRace:
		return fmt.Errorf("item %s with parallel mode %q", i.ID, i.Data.ParallelMode)
	}
	for _, n := range []int64{i.EarliestPeek, i.At, i.WallTime, i.Idempotency, i.RefilledAt, i.EnqueuedAt} {
		if n < -scriptLimit || n >= scriptLimit {
			return fmt.Errorf("item %s has the number %d, which scripts damage", i.ID, n)
		}
	}
	return nil
}
