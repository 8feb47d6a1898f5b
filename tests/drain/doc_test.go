// Package drain_test starts servers that drain a Redis: runs that began there end
// there, while new ones are made on NATS. It checks that every run ends once with
// what it waited for, that limits hold over both, and that a kill -9 in the middle
// changes none of that.
package drain_test
