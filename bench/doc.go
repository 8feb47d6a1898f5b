// Package bench measures a Jetstep server from outside: events accepted, runs
// completed, latency, memory and recovery, with a minimal SDK app of its own.
//
// It must not use anything but the server's public HTTP API, so that it also
// measures a server at a URL.
package bench
