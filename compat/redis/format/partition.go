package format

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Partition is a value of {queue}:partition:item (redis-queue §7.2).
type Partition struct {
	ID            string     `json:"id,omitempty"`
	Queue         string     `json:"queue,omitempty"` // of the system
	FunctionID    *uuid.UUID `json:"wid,omitempty"`
	EnvironmentID *uuid.UUID `json:"wsID,omitempty"`
	AccountID     uuid.UUID  `json:"aID"` // zero for a system queue
	LeaseID       *ulid.ULID `json:"leaseID,omitempty"`
	Last          int64      `json:"last"`         // milliseconds; when it was leased
	ForceAt       int64      `json:"forceAtMS"`    // not to be pulled forward before
	At            int64      `json:"at,omitempty"` // seconds; mirrors the pointer
	Rest          Rest
}

// FunctionPartition is the partition of a function, as new.
func FunctionPartition(function, account uuid.UUID) Partition {
	return Partition{ID: function.String(), FunctionID: &function, AccountID: account}
}

// SystemPartition is the partition of a system queue, as new.
func SystemPartition(queue string) Partition { return Partition{ID: queue, Queue: queue} }

// PartitionOf is the partition of an item, as new.
func PartitionOf(i *Item) Partition {
	if i.Queue != "" {
		return SystemPartition(i.Queue)
	}
	return FunctionPartition(i.FunctionID, i.Data.Identifier.AccountID)
}

// Shadow is a shadow partition, a value of {queue}:shadows (redis-queue §21.2).
type Shadow struct {
	ID              string     `json:"id"`
	FunctionVersion int        `json:"fv"`
	LeaseID         *ulid.ULID `json:"leaseID,omitempty"`
	FunctionID      *uuid.UUID `json:"fid"`
	EnvironmentID   *uuid.UUID `json:"eid"`
	AccountID       *uuid.UUID `json:"aid"`
	Queue           string     `json:"queueName,omitempty"`
	Rest            Rest
}

// Backlog is a value of {queue}:backlogs (redis-queue §21.2).
type Backlog struct {
	ID               string           `json:"id"`
	Partition        string           `json:"sid"`
	FunctionVersion  int              `json:"fv"`
	Start            bool             `json:"start,omitempty"`
	Keys             []BacklogKey     `json:"ck,omitempty"`
	Throttle         *BacklogThrottle `json:"t,omitempty"`
	ThrottledTimes   int              `json:"stc,omitempty"`
	ConstrainedTimes int              `json:"sccc,omitempty"`
	Rest             Rest
}

// BacklogKey is a concurrency key that a backlog's items share.
type BacklogKey struct {
	Key       string    `json:"kid"`
	Scope     string    `json:"cs"`
	ScopeID   uuid.UUID `json:"cse"`
	Hash      string    `json:"cke"`
	ValueHash string    `json:"ckv"`
	Value     string    `json:"ckuv"`
	Mode      string    `json:"mode"`
	Rest      Rest
}

// BacklogThrottle is a throttle that a backlog's items share.
type BacklogThrottle struct {
	Key   string `json:"tk"`
	Value string `json:"tkv"`
	Hash  string `json:"tkh"`
	Rest  Rest
}
