// Package search reads the query by which users look for runs: CEL comparisons
// of what events held and functions returned (graphql §10).
//
// It owns the subset of CEL that is understood, with the texts of its errors,
// and what it means: a store translates a Query into its own language, or asks
// Matches. It must not evaluate anything but comparisons of constants, so that
// every query can be answered by a database.
package search
