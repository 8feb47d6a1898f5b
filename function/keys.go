package function

import (
	"github.com/google/uuid"
)

// Flow control counts by keys. A key is made of what is limited and the hash
// of the value of its expression (flow-control §§10, 14-16); value is the
// expression's text (expr.EvalText).

// ConcurrencyKey is the key of a keyed step limit; id is that of the function,
// the environment or the account, as the scope says.
func ConcurrencyKey(scope Scope, id uuid.UUID, value string) string {
	return scopePrefix(scope) + ":" + id.String() + ":" + Hash(value)
}

// scopePrefix is the letter that stands for a scope in keys.
func scopePrefix(scope Scope) string {
	switch scope {
	case ScopeEnvironment:
		return "e"
	case ScopeAccount:
		return "a"
	default:
		return "f"
	}
}

// FunctionKey is the key of a limit of the whole function: rate limit or singleton.
func FunctionKey(function uuid.UUID) string {
	return function.String()
}

// FunctionValueKey is the key of a rate limit or singleton for one value.
func FunctionValueKey(function uuid.UUID, value string) string {
	return function.String() + "-" + Hash(value)
}

// ThrottleKey is the key of a throttle without expression.
func ThrottleKey(function uuid.UUID) string {
	return Hash(function.String())
}

// ThrottleValueKey is the key of a throttle for one value.
func ThrottleValueKey(function uuid.UUID, value string) string {
	return Hash(function.String()) + "-" + Hash(value)
}

// RunSemaphore names the semaphore of a limit on runs: keyed ones are shared
// by all with the same expression (flow-control §14.2).
func RunSemaphore(function uuid.UUID, keyExpression string) string {
	if keyExpression == "" {
		return "fn:" + function.String()
	}
	return "fnkey:" + Hash(function.String()+keyExpression)
}

// AppSemaphore names the semaphore of an app's connected workers.
func AppSemaphore(app uuid.UUID) string {
	return "app:" + app.String()
}

// Constraint is a kind of flow control whose state a shared store keeps.
type Constraint string

// The constraints, as they are spelled in stored keys.
const (
	ConstraintRateLimit   Constraint = "rl"
	ConstraintThrottle    Constraint = "throttle"
	ConstraintConcurrency Constraint = "concurrency"
)

// ConstraintKey is where a constraint's state is kept (flow-control §§10, 14,
// 15); id is that of what the scope names. Without a key expression,
// expressionHash is "" and the state is that of the whole scope. key is a
// rate limit's or throttle's key, or the hash of a concurrency key's value.
func ConstraintKey(c Constraint, scope Scope, account, id uuid.UUID, expressionHash, key string) string {
	state := "{cs}:a:" + account.String() + ":" + string(c) + ":" + scopePrefix(scope) + ":" + id.String()
	if expressionHash == "" {
		return state
	}
	return state + "<" + expressionHash + ":" + key + ">"
}
