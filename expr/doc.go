// Package expr owns the small languages users write inside a function's
// configuration and inside steps: CEL expressions in the dialect of
// expressions.md, durations, dates and cron schedules.
//
// It guarantees that evaluation is pure (the only clock is the one the now()
// functions ask for), safe for concurrent use, and that no input panics. It
// imports nothing of the module, does no I/O and knows nothing of events
// beyond the variable names event and async.
package expr
