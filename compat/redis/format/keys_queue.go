package format

import (
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// The keys of the queue have the hash tag {queue} (redis-queue §4.1). A
// partition is a function's id or a system queue's name.

const prefixQueue = "{queue}:"

// The keys of the queue that are alone of their kind.
const (
	ItemsKey       = prefixQueue + "queue:item"         // hash: id → [Item]
	PartitionsKey  = prefixQueue + "partition:item"     // hash: id → [Partition]
	PointersKey    = prefixQueue + "partition:sorted"   // partitions by seconds
	AccountsKey    = prefixQueue + "accounts:sorted"    // accounts by seconds
	LeasedKey      = prefixQueue + "concurrency:sorted" // partitions by first lease's end, milliseconds
	DebouncesKey   = prefixQueue + "debounce-hash"      // hash: id → [Debounced]
	DebounceMoving = prefixQueue + "debounce-migrating" // hash: id → 1
	BacklogsKey    = prefixQueue + "backlogs"           // hash: id → [Backlog]
	ShadowsKey     = prefixQueue + "shadows"            // hash: partition → [Shadow]

	ShadowPointersKey  = prefixQueue + "shadow:sorted"           // partitions by milliseconds
	ShadowAccountsKey  = prefixQueue + "accounts:shadows:sorted" // accounts by milliseconds
	NormalizeKey       = prefixQueue + "normalize:sorted"        // accounts by milliseconds
	RoleSequentialKey  = prefixQueue + "queue:sequential"        // lease
	RoleScavengerKey   = prefixQueue + "queue:scavenger"         // lease
	RoleInstrumentsKey = prefixQueue + "queue:instrument"        // lease
	RoleLatencyKey     = prefixQueue + "queue:latency"           // lease
)

// SetAsideKey is the hash of items that cannot be executed: id → [Aside]. The
// original does not have it.
const SetAsideKey = prefixQueue + asideName

const asideName = "jetstep:aside"

// Aside is what was set aside, and why: an item in SetAsideKey, or a pause in
// PausesAsideKey.
type Aside struct {
	Partition string `json:"partition"` // of an item
	Reason    string `json:"reason"`
	Why       string `json:"why"` // the kind of the reason
	At        int64  `json:"at"`  // milliseconds; when it was set aside
	Item      string `json:"item"`
	Pause     string `json:"pause"`
	Rest      Rest
}

// AsideKey is where a key of a wrong type is kept, with the same hash tag; id
// tells it from others that had the name.
func AsideKey(key string, id ulid.ULID) string {
	tag, rest, _ := strings.Cut(key, ":")
	return tag + ":" + asideName + ":" + id.String() + ":" + rest
}

// ReadyKey is the sorted set of a partition's items that are not leased, by milliseconds.
func ReadyKey(partition string) string { return prefixQueue + "queue:sorted:" + partition }

// ScavengerKey is the sorted set of a partition's leased items, by the lease's
// end in milliseconds.
func ScavengerKey(partition string) string { return prefixQueue + "scavenger:" + partition + ":sorted" }

// AccountPointersKey is the sorted set of an account's partitions, by seconds.
func AccountPointersKey(account uuid.UUID) string {
	return prefixQueue + "accounts:" + account.String() + ":partition:sorted"
}

// RunIndexKey is the sorted set of a run's items, by milliseconds.
func RunIndexKey(run ulid.ULID) string { return prefixQueue + "idx:run:" + run.String() }

// The statuses of items that are counted per function.
const (
	StatusStart      = "start"
	StatusInProgress = "in-progress"
	StatusSleep      = "sleep"
)

// StatusKey is the sorted set of a function's items of a status, by milliseconds.
func StatusKey(function uuid.UUID, status string) string {
	return prefixQueue + "queue:status:" + function.String() + ":" + status
}

// IndexKeys are the sorted sets that have an item besides its partition
// (redis-queue §9.1).
func IndexKeys(i *Item) []string {
	run := RunIndexKey(i.Data.Identifier.RunID)
	switch i.Data.Kind {
	case KindStart:
		return []string{run, StatusKey(i.FunctionID, StatusStart)}
	case KindEdge, KindEdgeError:
		return []string{run, StatusKey(i.FunctionID, StatusInProgress)}
	case KindSleep:
		return []string{run, StatusKey(i.FunctionID, StatusSleep)}
	case KindPause:
		return []string{run}
	}
	return nil
}

// SeenKey keeps an item from being enqueued again after it was dequeued.
func SeenKey(item string) string { return prefixQueue + "queue:seen:" + item }

// SeenTTL is for how many seconds it does, if the item says nothing else.
const SeenTTL = 3600

// PeekKey is when an item was first looked at; it is only ever deleted.
func PeekKey(item string) string { return prefixQueue + "queue:item:peek:" + item }

// SingletonKey is the string with the run that holds a singleton's key.
func SingletonKey(key string) string { return prefixQueue + "singleton:" + key }

// SingletonRunKey is the string with the name of the SingletonKey that a run holds.
func SingletonRunKey(run ulid.ULID) string { return prefixQueue + "singleton-run:" + run.String() }

// DebouncePointerKey is the string with the debounce that collects; key is the
// evaluated one as it is, or the function's id.
func DebouncePointerKey(function uuid.UUID, key string) string {
	return prefixQueue + "debounce-ptrs:" + function.String() + ":" + key
}

// MigrateLockPrefix is what the keys begin with that keep partitions from being
// visited, each a lease; the name of the partition follows.
const MigrateLockPrefix = prefixQueue + "migrate-lock:"

// MigrateLockKey is that key of a function's partition.
func MigrateLockKey(function uuid.UUID) string { return MigrateLockPrefix + function.String() }

// BacklogKeyOf is the sorted set of a backlog's items, by milliseconds.
func BacklogKeyOf(backlog string) string { return prefixQueue + "backlog:sorted:" + backlog }

// BacklogLeaseKey is the lease of a backlog.
func BacklogLeaseKey(backlog string) string { return prefixQueue + "backlog:" + backlog + ":lease" }

// ShadowKey is the sorted set of a partition's backlogs, by milliseconds.
func ShadowKey(partition string) string { return prefixQueue + "shadow:sorted:" + partition }

// AccountShadowsKey is the sorted set of an account's shadow partitions.
func AccountShadowsKey(account uuid.UUID) string {
	return prefixQueue + "accounts:" + account.String() + ":shadows:sorted"
}

// NormalizeAccountKey is the sorted set of an account's partitions to normalize.
func NormalizeAccountKey(account uuid.UUID) string {
	return prefixQueue + "normalize:accounts:" + account.String() + ":sorted"
}

// NormalizePartitionKey is the sorted set of a partition's backlogs to normalize.
func NormalizePartitionKey(partition string) string {
	return prefixQueue + "normalize:partition:" + partition + ":sorted"
}

// The system queues (redis-queue §7.1); cron has one per environment.
const (
	QueueCancel          = "cancel"
	QueueBatch           = "schedule-batch"
	QueueCronSync        = "cron-sync"
	QueueCronHealthCheck = "cron-health-check"
	QueueFlush           = "block-flush"
)

// QueueCron is the system queue of an environment's cron jobs.
func QueueCron(environment uuid.UUID) string { return "cron:" + environment.String() }

// ParallelQueue tells whether a partition's items are taken in no order
// (redis-queue §12.3).
func ParallelQueue(partition string) bool {
	return strings.HasPrefix(partition, QueueBatch) || strings.HasPrefix(partition, "cron")
}
