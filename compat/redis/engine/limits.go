package engine

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"jetstep/compat/redis/format"
	"jetstep/function"
)

// Limits are what a function's configuration allows at present.
type Limits struct {
	// Unknown tells that the function is not registered: its jobs stay.
	Unknown bool
	// Concurrency is how many steps are executed at once; 0 is not limited.
	Concurrency int
	// Keys limit the steps that share the value of a key.
	Keys []KeyLimit
	// Throttle delays starts; nil for none.
	Throttle *Throttle
	// FinishWithin is how long a run may take from its first call on; 0 for ever.
	FinishWithin time.Duration
}

// count tells whether something is limited of which jobs wait for each other.
func (l Limits) count() bool { return l.Concurrency > 0 || len(l.Keys) > 0 || l.Throttle != nil }

// KeyLimit is a concurrency limit with a key.
type KeyLimit struct {
	Scope format.Scope
	Hash  string // of the expression
	Limit int
}

// Throttle is a function's throttle.
type Throttle struct {
	Hash   string // of the expression, also of none
	Limit  int
	Burst  int
	Period int64 // milliseconds
}

const (
	// unlimited is how much may be executed of an account, or of a function that
	// says nothing (redis-queue §2).
	unlimited = 1000
	// askAgain is how long who was refused concurrency waits, in milliseconds.
	askAgain = 2000
)

// constraints are what must have something left for an item to be executed, in
// the order in which they are asked (redis-queue §10.1).
func constraints(item *format.Item, l Limits) []format.Constraint {
	id := &item.Data.Identifier
	var all []format.Constraint
	if t := throttleOf(item, l); t != nil {
		all = append(all, format.Constraint{Kind: format.ConstraintThrottle, Throttle: t})
	}
	limit := l.Concurrency
	if limit == 0 {
		limit = unlimited
	}
	keyed := keysOf(item)
	for _, scope := range []struct {
		of    format.Scope
		code  int
		id    uuid.UUID
		limit int
	}{
		{format.OfAccount, format.ScopeAccount, id.AccountID, unlimited},
		{format.OfEnvironment, format.ScopeEnvironment, id.EnvironmentID, 0},
		{format.OfFunction, format.ScopeFunction, item.FunctionID, limit},
	} {
		if scope.limit > 0 {
			all = append(all, concurrencyOf(id.AccountID, scope.of, scope.code, scope.id, format.Evaluated{}, scope.limit))
		}
		for _, k := range l.Keys {
			value, ok := keyed[string(k.Scope)+k.Hash]
			if ok && k.Scope == scope.of {
				key := format.Evaluated{Expression: k.Hash, Value: value}
				all = append(all, concurrencyOf(id.AccountID, scope.of, scope.code, scope.id, key, k.Limit))
			}
		}
	}
	return append(all, semaphoresOf(item)...)
}

// keysOf are the hashes of the values of an item's concurrency keys, by scope and
// the hash of the expression.
func keysOf(item *format.Item) map[string]string {
	keys := item.Data.Identifier.Concurrency
	if len(keys) == 0 {
		keys = item.Data.Concurrency
	}
	values := map[string]string{}
	for _, k := range keys {
		parts := strings.SplitN(k.Key, ":", 3)
		if len(parts) == 3 {
			values[parts[0]+k.Hash] = parts[2]
		}
	}
	return values
}

func concurrencyOf(account uuid.UUID, scope format.Scope, code int, id uuid.UUID, key format.Evaluated, limit int) format.Constraint {
	return format.Constraint{Kind: format.ConstraintConcurrency, Concurrency: &format.ConcurrencyConstraint{
		Scope: code, Hash: key.Expression, ValueHash: key.Value, Limit: limit,
		Key: format.ConcurrencyKeyOf(account, scope, id, key), RetryAfter: askAgain,
	}}
}

// throttleOf is the throttle of a start, if its function still has it.
func throttleOf(item *format.Item, l Limits) *format.ThrottleConstraint {
	t := item.Data.Throttle
	if item.Data.Kind != format.KindStart || t == nil || l.Throttle == nil || t.ExpressionHash != l.Throttle.Hash {
		return nil
	}
	key := format.Evaluated{Expression: t.ExpressionHash, Value: t.Key}
	return &format.ThrottleConstraint{
		Hash: key.Expression, ValueHash: key.Value, Limit: l.Throttle.Limit, Burst: l.Throttle.Burst, Period: l.Throttle.Period,
		Key: format.ThrottleKey(item.Data.Identifier.AccountID, item.FunctionID, key),
	}
}

// semaphoresOf are the semaphores that an item takes. One that runs hold until
// their end is this run's already when its start is tried again: asking for it
// would be waiting for itself (redis-queue §11).
func semaphoresOf(item *format.Item) []format.Constraint {
	var all []format.Constraint
	account := item.Data.Identifier.AccountID
	for _, s := range item.Data.Semaphores {
		if s.Release == format.ReleaseManual && item.Data.Attempt > 0 {
			continue
		}
		all = append(all, format.Constraint{Kind: format.ConstraintSemaphore, Semaphore: &format.SemaphoreConstraint{
			Usage: format.SemaphoreUsageKey(account, s.ID, s.Value), Capacity: format.SemaphoreCapacityKey(account, s.ID),
			Weight: s.Weight, Release: s.Release,
		}})
	}
	return all
}

// HashOfNone is the hash of the expression that a throttle without one has.
var HashOfNone = function.Hash("")
