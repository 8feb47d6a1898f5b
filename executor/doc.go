// Package executor runs jobs: it leases a due job from a queue, loads its run
// from a state store, calls the SDK, and commits the transition that follows
// from the answer.
//
// It guarantees that every leased job ends in a committed transition or goes
// back to the queue, and that decide, which turns an SDK's answer into a
// transition, is pure. A transition says what the call was that led to it, for
// whoever shows the run. It knows neither NATS nor Redis, and keeps no state of
// its own.
package executor
