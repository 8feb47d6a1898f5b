// Package partition is the native implementation of queue.Queue and
// state.Store: owners of partitions, each with its log.
//
// An Owner loads its log, matches the events of its partition, starts and
// resumes runs, hands out their due jobs, commits transitions, delivers
// messages to other partitions and compacts its log. A Node runs all owners of
// a process.
//
// It guarantees that nothing is acted upon before it is durable: a record is
// decided and applied under the owner's lock, appended in the same order, and
// only its acknowledgement releases its effects (jobs, messages, answers). If
// an append fails the owner discards everything in memory and loads again.
//
// A record begins with the facts that only the history wants: the call, the
// report or the end of a wait that led to the rest of it. They are recorded with
// what follows from them, or not at all.
//
// Decisions (match, start gates, messages, transitions, finish) are methods of tx
// and do no I/O, except for looking back at events that the owner no longer
// has in memory.
package partition
