// Package harness runs the real thing for end-to-end tests: the jetstep binary
// and the apps and databases that it uses, each as a process of its own, and a client for
// the server's public HTTP API. An app may also be played by the test's own process.
//
// It guarantees that whatever it started is gone when it is told so (process
// groups are killed whole, and on Linux they do not outlive the test binary),
// that nothing of the developer's own environment leaks into a server or an
// app (HOME, INNGEST_*, JETSTEP_*), and that no port is fixed. It waits only by
// polling a condition with a deadline, never by sleeping for a while.
//
// It must not import any package of jetstep: a test that needs to look inside
// belongs to that package. It knows no testing.T either, so that servers may be
// shared by the tests of a package; what went wrong comes back as an error, and
// logs are there to be asked for.
package harness
