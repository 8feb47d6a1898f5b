// Package migrate_test moves what real servers left with the real command: kills
// it at random moments until it has finished in the end, compares both sides, and
// lets a server on the other path go on.
package migrate_test
