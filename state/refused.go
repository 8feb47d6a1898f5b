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
