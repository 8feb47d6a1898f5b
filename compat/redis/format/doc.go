// Package format owns how Inngest's self-hosted server keeps runs, pauses and
// its job queue in Redis: the name of every key and the coding of every value
// (redis-state and redis-queue, which the doc comments cite by section).
//
// It guarantees that what the original wrote is read, whether its server or one
// of its scripts wrote it; that what is written here is what the original reads;
// that members it does not know stay with a value; and that a value which cannot
// be read gives a [ValueError] that names key, member and field, never a panic
// and never a half-read value.
//
// It is pure: it must not talk to Redis, nor know the time. It decides nothing
// about runs and jobs.
package format
