// Package gates is what happens on the Redis path between an event and a run: the
// gates of flow control, in the original's order and with its data in Redis
// (flow-control §8–§18, redis-queue §15–§19). It owns batches, and the jobs of the
// queue that belong to no run: ends of debounces and batches, ticks of schedules,
// timeouts of runs.
//
// It guarantees that what it was asked, broken off at any moment and asked again,
// comes to the same as if it had been asked once; that several processes on one
// Redis, servers of the original among them, start one run for each tick, batch
// and debounce; and that a start which makes no run is told of, with the reason.
//
// It must not match events to functions, nor execute runs.
package gates
