package format

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// The keys of one run's state have the run in their hash tag, so that a cluster
// keeps them together (redis-state §2.1, §4).

func ofRun(run ulid.ULID, name string) string { return "{estate:" + run.String() + "}:" + name }

func ofStep(run ulid.ULID, name string, function uuid.UUID) string {
	return ofRun(run, name+":"+function.String()+":"+run.String())
}

// MetadataKey is the hash [Metadata].
func MetadataKey(run ulid.ULID) string { return ofRun(run, "metadata:"+run.String()) }

// EventsKey is the string with the run's events.
func EventsKey(run ulid.ULID, function uuid.UUID) string {
	return ofStep(run, "bulk-events", function)
}

// ActionsKey is the hash of finished steps: id → output.
func ActionsKey(run ulid.ULID, function uuid.UUID) string { return ofStep(run, "actions", function) }

// StackKey is the list of finished steps in order.
func StackKey(run ulid.ULID) string { return ofRun(run, "stack:"+run.String()) }

// PendingKey is the set of steps planned together and not finished.
func PendingKey(run ulid.ULID, function uuid.UUID) string { return ofStep(run, "pending", function) }

// InputsKey is the hash of inputs that steps of a rerun get: id → arguments.
func InputsKey(run ulid.ULID, function uuid.UUID) string { return ofStep(run, "inputs", function) }

// DefersKey is the hash of [Defer], by hashed id.
func DefersKey(run ulid.ULID, function uuid.UUID) string { return ofStep(run, "defers-meta", function) }

// DeferInputsKey is the hash of what deferred functions are called with.
func DeferInputsKey(run ulid.ULID, function uuid.UUID) string {
	return ofStep(run, "defers-input", function)
}

// DeferControlKey is the hash of what goes along with their events.
func DeferControlKey(run ulid.ULID, function uuid.UUID) string {
	return ofStep(run, "defers-control-meta", function)
}

// RunKeys are all keys of a run's state: what is deleted when it ends
// (redis-state §5.8).
func RunKeys(run ulid.ULID, function uuid.UUID) []string {
	return []string{
		MetadataKey(run), EventsKey(run, function), ActionsKey(run, function), StackKey(run),
		PendingKey(run, function), InputsKey(run, function),
		DefersKey(run, function), DeferInputsKey(run, function), DeferControlKey(run, function),
	}
}

// ClaimKey is the string [Claim] of an idempotency key (function.IdempotencyKey).
func ClaimKey(account uuid.UUID, key string) string {
	return "{estate:" + account.String() + "}:key:" + key
}

// FinalizeKey is held by who publishes the events about a run's end.
func FinalizeKey(account uuid.UUID, key string) string { return ClaimKey(account, key) + ":finalize" }

// ClaimTTL is for how many seconds the two keys above count.
const ClaimTTL = 86400
