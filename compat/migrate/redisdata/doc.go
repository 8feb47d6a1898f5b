// Package redisdata is the Redis side of the migration: it reads all that the
// original, or the Redis path, keeps in a Redis, as neutral items, and writes such
// items.
//
// It guarantees that every key is accounted for: it is read into an item, named as
// derived from others or as ending by itself, or reported as one that cannot be
// read. Reading changes nothing, and holds one page in memory, whatever the number
// of keys. Writing goes through the operations of packages runs and jobs, in an
// order that makes what was begun either complete or repeatable: a run can be
// executed only from the last piece on, which is its jobs.
//
// It must not execute runs, nor know the native path. What it reads is to be at
// rest: of a run that is being executed it may read half.
package redisdata
