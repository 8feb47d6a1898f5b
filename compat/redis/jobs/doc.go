// Package jobs owns the job queue in Redis, in the original's form: items,
// partitions and the pointers to them, leases, and what limits allow to be
// executed (redis-queue §7–§11), each operation atomic.
//
// It guarantees that an item is leased to one at a time, also next to a server of
// the original; that what was changed by somebody else since it was read is not
// overwritten; that a partition with ready items has its data and a pointer; and
// that an item which cannot be read is set aside once, with the reason.
//
// It must not know what an item does, nor keep anything itself: when to visit
// which partition is for its callers.
package jobs
