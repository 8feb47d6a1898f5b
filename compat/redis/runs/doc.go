// Package runs owns the state of runs and their pauses in Redis, in the
// original's form: the operations of redis-state §5.8, §6 and §8, each atomic.
//
// It guarantees that whoever saves a step first wins, also against a server of
// the original on the same Redis; that an operation that was done is not done
// again when it is repeated; and that keys, types and times to live are those of
// package format. An operation touches keys of one hash tag only, so that a
// cluster will do.
//
// It must not decide what a run does next, nor know the queue.
package runs
