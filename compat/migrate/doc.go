// Package migrate moves what lives in one path's storage to the other's: runs
// with their steps, jobs, waits and limits, what start gates remember, schedules.
// It owns the neutral form of all that ([Item]), the copying, and the comparison.
//
// It guarantees that a copy that was interrupted at any point goes on where it
// was, and that what is copied twice is there once; that what the target has gone
// on with is left alone; and that nothing is dropped in silence: each thing that
// the source has is copied, named as derived from others, or reported with the
// reason why it cannot be read or kept. The source is only read.
//
// It knows neither Redis nor logs: both sides meet [Source] and [Target] in
// packages of their own. It must not change what an item means.
package migrate
