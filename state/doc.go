// Package state owns what a run is and how it changes: the run, its jobs and
// waits, the transition that the executor commits, the records of a
// partition's log, and Apply, which turns records into the partition's Index.
//
// It guarantees that Apply is pure: no clock, no I/O, no randomness. Replaying
// the same records, at once or in pieces, twice or with carried state between
// them, gives the same Index. Records are facts; decisions are made elsewhere,
// before they are written.
//
// It must not know NATS, HTTP or a database.
package state
