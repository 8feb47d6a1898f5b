// Package redis_test runs real processes on one Redis and kills them, or the Redis:
// what was accepted is executed to its end by those that are left or come back, each
// finished step once, and limits hold over all of them. It also has what the original
// left in captured databases gone on with, by a real SDK app.
//
// The app that is played is a server of the test binary that speaks the SDK's
// protocol, so that it outlives the processes and knows what they asked of it.
package redis_test
