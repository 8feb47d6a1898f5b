package state

import "errors"

// Why a start that somebody waits for makes no run of its own (flow-control
// §8).
var (
	ErrRepeated    = errors.New("the idempotency key has a run already")
	ErrRateLimited = errors.New("the function is rate limited")
	ErrDebounced   = errors.New("the start waits for events to pause")
	ErrBatched     = errors.New("the event was added to a batch")
	ErrSkipped     = errors.New("the function is paused or removed, or has a run that excludes others")
)

// What an invoke is answered with that gets no run of its own.
const (
	InvokeRateLimited = "invoked function is rate limited"
	InvokeDebounced   = "invoked function is debounced: a later event took the place of this one"
)

// InvokeSkipped is such an answer for a run that is skipped.
func InvokeSkipped(reason SkipReason) string {
	return "invoked function is skipped: " + reason.String()
}

// InvokeUnknown is such an answer for a function that does not exist.
func InvokeUnknown(id string) string { return "could not find function with ID: " + id }
