// Package logdata is the native path's storage, the partitions and their logs, as a
// side of a migration: it says in the neutral form what partitions hold, and hands
// them what comes from elsewhere.
//
// It guarantees that what it puts is durable when Put returns, and that putting it
// again changes nothing. What another engine evaluated when it scheduled a run is
// kept as far as limits need it; the rest follows from the functions as they are
// registered now, which should therefore be there before runs are put.
//
// It decides nothing about runs: where they belong, and what becomes of them, is
// the partitions' business.
package logdata
