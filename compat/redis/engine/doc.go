// Package engine is the Redis path: it meets the contracts of queue and state on
// a Redis in the original's form, so that the executor executes what is there.
//
// It guarantees what the contracts say, and that a run which it began or went on
// with can be continued by a server of the original, and the other way round. A
// transition is stored in steps, each atomic and harmless when repeated, of which
// the last takes the job out of the queue: if the process dies before, the job's
// lease runs out and it is executed again.
//
// It must not call SDKs, nor decide what a function's answer means.
package engine
