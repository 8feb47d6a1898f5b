// Package crash_test kills real processes, with SIGKILL and at random moments,
// and checks that Jetstep keeps what it promises: every event that was
// answered with 200 starts each of its functions exactly once, no run is lost
// or stuck, no recorded outcome of a step is lost or changed, and a step runs
// again only if its outcome was not recorded.
//
// The app under the server is a few scripted functions that speak the SDK's
// protocol. It writes one line for each call into a journal before it answers,
// so that the journal knows what happened even when the app is what is killed.
// The ledger reads the journal, live and once more at the end, and finds what
// must not be in it.
//
// Functions with flow control have trials of their own: nothing of what they
// gather, delay or count may be lost or doubled by a kill, no limit may be
// exceeded, except for calls of a dead server that are still in the app, and
// none may be smaller afterwards. Their ledger also knows what was sent when,
// and the app marks the ends of their calls.
//
// Trials are driven by a seed: it decides what is sent and when who is killed,
// though not what the processes make of it. With -short there is one small
// trial of each kind.
package crash_test
