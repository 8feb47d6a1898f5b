// Package dial opens the client of a Redis, or of a Valkey, from the URL that
// people configure: one server over TCP, TLS or a Unix socket, a cluster, or a
// master that sentinels know.
//
// It guarantees that a URL of the original (cli-config §6) is understood, that
// what is wrong with one is said, and that no error, log line or text of a target
// has a password. It must not know what is kept in a Redis.
package dial
