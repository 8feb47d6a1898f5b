// Package sdk_test runs real apps on the real SDKs against the real server.
//
// One table of scenarios drives three apps that have the same functions: on
// version 4 and 3 of the TypeScript SDK (ts4, ts3, with their common bodies in
// js) and on the Go SDK (go). What a scenario asserts is what a user sees: the
// status and output of the run, and, from the apps' call logs, which step ran
// how often, at which attempts, how long apart, and how many at once.
//
// The apps share one server in dev mode. Tests that break something or need
// another mode start their own.
//
// The package needs Node.js 20 and npm. The first run installs the apps'
// packages with `npm ci`.
package sdk_test
