// Package load_test puts the real server under load while its SQL database goes
// away: execution must not notice, and afterwards nothing may be missing.
//
// JETSTEP_LOAD_OUTAGE says how long the database is away, such as 60s; it is
// short unless said otherwise, so that the test fits into a suite.
package load_test
