package format

import (
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// The keys of limits have the hash tag {cs} and belong to an account
// (redis-queue §4.3).

const prefixConstraints = "{cs}:"

// ConstraintAccountsKey is the sorted set of accounts by the end of their first
// capacity lease, in milliseconds.
const ConstraintAccountsKey = prefixConstraints + "css"

func ofAccount(account uuid.UUID, name string) string {
	return prefixConstraints + "a:" + account.String() + ":" + name
}

// CapacityLeasesKey is the sorted set of capacity leases by their end.
func CapacityLeasesKey(account uuid.UUID) string { return ofAccount(account, "leaseq") }

// CapacityLeaseKey is the hash about a capacity lease.
func CapacityLeaseKey(account uuid.UUID, lease ulid.ULID) string {
	return ofAccount(account, "ld:"+lease.String())
}

// The fields of the hash about a capacity lease.
const (
	FieldLeaseItem    = "lik" // hashed item id
	FieldLeaseRun     = "rid" // may be empty
	FieldLeaseRequest = "req"
)

// RequestKey is the string [Request].
func RequestKey(account uuid.UUID, request ulid.ULID) string {
	return ofAccount(account, "rs:"+request.String())
}

// Scope is what a limit counts over.
type Scope byte

// The scopes, as keys name them.
const (
	OfFunction    Scope = 'f'
	OfEnvironment Scope = 'e'
	OfAccount     Scope = 'a'
)

// Evaluated is a limit's key: the hashes of its expression and of its value.
type Evaluated struct{ Expression, Value string }

// String is how names of keys have it: nothing for no key. The angle brackets
// are literal.
func (e Evaluated) String() string {
	if e == (Evaluated{}) {
		return ""
	}
	return "<" + e.Expression + ":" + e.Value + ">"
}

// ConcurrencyKeyOf is the sorted set of the capacity leases that count.
func ConcurrencyKeyOf(account uuid.UUID, scope Scope, id uuid.UUID, key Evaluated) string {
	return ofAccount(account, "concurrency:"+string(scope)+":"+id.String()+key.String())
}

// ThrottleKey is the string with a throttle's time, see [ThrottleTAT]. Also
// without an expression key is not empty: it is then the hash of nothing.
func ThrottleKey(account, function uuid.UUID, key Evaluated) string {
	return ofAccount(account, "throttle:f:"+function.String()+key.String())
}

// RateLimitKey is the string with a rate limit's time, see [RateTAT].
func RateLimitKey(account, function uuid.UUID, key Evaluated) string {
	return ofAccount(account, "rl:f:"+function.String()+key.String())
}

// SemaphoreCapacityKey is the string with the size of a semaphore.
func SemaphoreCapacityKey(account uuid.UUID, id string) string {
	return ofAccount(account, "sem:"+id+":cap")
}

// SemaphoreUsageKey is the string with what is taken of a semaphore; value is
// empty without a key.
func SemaphoreUsageKey(account uuid.UUID, id, value string) string {
	return ofAccount(account, "sem:"+id+":usage:"+value)
}

// The operations on semaphores that are done once.
const (
	SemaphoreSet     = "setcap"
	SemaphoreAdjust  = "adjcap"
	SemaphoreRelease = "rel"
)

// SemaphoreOnceKey keeps an operation on a semaphore from being done twice.
func SemaphoreOnceKey(account uuid.UUID, operation, key string) string {
	return ofAccount(account, "sem:ik:"+operation+":"+key)
}

// SemaphoreOnceTTL is for how many seconds it does.
const SemaphoreOnceTTL = 60

// The operations on capacity whose answers are kept.
const (
	OpAcquire = "acq"
	OpExtend  = "ext"
	OpRelease = "rel"
	OpCheck   = "chk"
)

// OperationKey is the string [Reply].
func OperationKey(account uuid.UUID, operation, hash string) string {
	return ofAccount(account, "ik:op:"+operation+":"+hash)
}

// ChargedKey says that throttles and rate limits were paid: hash is of an item's
// id or of a run's idempotency key.
func ChargedKey(account uuid.UUID, hash string) string { return ofAccount(account, "ik:cc:"+hash) }

// ChargedTTL is for how many seconds it does.
const ChargedTTL = 300

// RateValue reads "<expression:function-value>", with which the key of a throttle or
// rate limit ends: both are hashes, "" without a key expression. A throttle without
// one has the hash of nothing.
func RateValue(limit string) (expr, value string) {
	expr, key, _ := strings.Cut(strings.Trim(limit, "<>"), ":")
	if expr == function.Hash("") {
		return "", ""
	}
	_, value, _ = strings.Cut(afterFunction(key), "-")
	return expr, value
}

// afterFunction is a key without the id of a function at its beginning, but for
// the "-" behind it; a throttle's begins with the function's hash, which has no "-".
func afterFunction(key string) string {
	const id = 36
	if len(key) >= id {
		if _, err := ParseUUID(key[:id]); err == nil {
			return key[id:]
		}
	}
	return key
}
