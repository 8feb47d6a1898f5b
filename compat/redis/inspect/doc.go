// Package inspect finds what is wrong in a Redis of the Redis path, also what no
// server comes across by itself, and repairs what can be repaired without guessing:
// it is what `jetstep doctor redis` does.
//
// It guarantees that it changes nothing unless it is asked to, that servers may work
// on the Redis meanwhile, that a repair which breaks off can be begun again, and that
// it keeps little in memory however much there is to look at. It deletes nothing that
// was not set aside before, and that only on request.
//
// It must not execute anything, nor know what functions are registered.
package inspect
