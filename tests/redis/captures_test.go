package redis_test

import (
	"context"
	"time"

	"jetstep/tests/harness"
)

// capture is a captured database, and how what is in it has to end.
type capture struct {
	file string
	// ago is how long ago it seems to have been captured; 0 is longer than anything
	// waits, so that all is overdue.
	ago time.Duration
	// act is what happens from outside.
	act func(context.Context, *harness.Client) error
	// want are the runs in order: function, status, result, steps that ran.
	want []string
	// unseen tells that results are not compared.
	unseen  bool
	reports bool   // steps are reported while a call lasts: the app is its server's alone
	cron    string // the function with a schedule; "" for none
	short   bool   // also with -short
}

func (c *capture) title() string {
	if c.ago == 0 {
		return c.file
	}
	return c.file + " after " + c.ago.String()
}

func event(name string, data any) func(context.Context, *harness.Client) error {
	return func(ctx context.Context, c *harness.Client) error {
		_, err := c.Send(ctx, harness.Event{Name: name, Data: data})
		return err
	}
}

func signal(name string, data any) func(context.Context, *harness.Client) error {
	return func(ctx context.Context, c *harness.Client) error {
		_, err := harness.Await(ctx, "signal "+name, func(ctx context.Context) (string, error) { return c.Signal(ctx, name, data) })
		return err
	}
}

// times are some runs that end alike.
func times(n int, line string) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = line
	}
	return lines
}

func one(lines ...string) []string { return lines }

// soon is shortly after a capture: what waits does so still.
const soon = time.Second

var captures = []capture{
	{file: "redis-queue/d01-sleep", want: one(`rq-simple COMPLETED "ok" [b]`), short: true},
	{file: "redis-queue/d02-in-progress", want: one(`rq-slow COMPLETED "ok" [a]`)},
	{file: "redis-queue/d02b-in-progress-extended", reports: true, want: one(`rq-slow COMPLETED "ok" [a]`)},
	{file: "redis-queue/d03-concurrency-limited", want: times(3, `rq-conc COMPLETED "ok" [a]`), short: true},
	{file: "redis-queue/d03b-fn-concurrency-limited", want: times(4, `rq-conc-fn COMPLETED "ok" [a]`)},
	{file: "redis-queue/d04-throttled", want: times(2, `rq-throttle COMPLETED "ok" [a]`)},
	{file: "redis-queue/d04b-throttled-nokey", want: one(`rq-throttle-nokey COMPLETED "ok" []`)},
	{file: "redis-queue/d05-wait-for-event", want: one(`rq-wait COMPLETED "timed out" []`), short: true},
	{file: "redis-queue/d05-wait-for-event", ago: soon, act: event("t/never", map[string]any{"id": "abc"}), want: one(`rq-wait COMPLETED {"id":"abc"} []`)},
	{file: "redis-queue/d05b-invoke", ago: soon, want: one(`rq-inv COMPLETED "ok" []`, `rq-slow COMPLETED "ok" [a]`)},
	{file: "redis-queue/d05c-wait-for-signal", ago: soon, act: signal("sig-1", 7), want: one(`rq-sig COMPLETED {"data":7,"signal":"sig-1"} []`)},
	{file: "redis-queue/d06-retried-function-error", want: one(`rq-retry FAILED []`)},
	{file: "redis-queue/d06b-retried-step-error", want: one(`rq-retry-step FAILED [a]`)},
	{file: "redis-queue/d07-parallel", want: one(`rq-par COMPLETED [1,2,null] [p1 p2]`)},
	{file: "redis-queue/d08-cron", cron: "rq-cron"},
	{file: "redis-queue/d10-edge-queued", want: one(`rq-edge COMPLETED "ok" []`)},
	{file: "redis-queue/d11-edge-error-queued", want: one(`rq-edgeerr COMPLETED "ok" []`)},
	{file: "redis-queue/d12-edge-in-progress-and-queued", want: one(`rq-edgeq COMPLETED [1,1] [p1 p2]`)},
	{file: "redis-queue/d13-checkpoint-retry", reports: true, want: one(`rq-ck FAILED [b]`)},
	{file: "redis-queue/d14-finished-run"},
	{file: "redis-queue/d15-singleton-sleeping", want: one(`rq-single COMPLETED "ok" []`)},
	{file: "redis-queue/d16-finish-timeout", ago: 20 * time.Minute, want: one(`rq-timeouts COMPLETED "ok" []`)},
	{file: "redis-queue/d17-crashed-worker", want: one(`rq-slow COMPLETED "ok" [a]`), short: true},
	{file: "redis-queue/d18-semaphore-fn-concurrency", want: times(2, `rq-semfn COMPLETED "ok" []`)},
	{file: "redis-queue/d19-semaphore-key", want: one(`rq-semkey COMPLETED "ok" []`)},
	{file: "redis-queue/d20-scavenged", want: one(`rq-slow COMPLETED "ok" [a]`)},
	{file: "redis-queue/e01-start-plain", want: one(`rq-simple COMPLETED "ok" [a b]`)},
	{file: "redis-queue/e02-start-concurrency-keys", want: times(2, `rq-conc COMPLETED "ok" [a]`)},
	{file: "redis-queue/e03-start-fn-concurrency", want: one(`rq-conc-fn COMPLETED "ok" [a]`)},
	{file: "redis-queue/e04-start-account-key", want: one(`rq-conc-acct COMPLETED "ok" [a]`)},
	{file: "redis-queue/e05-start-throttle-key", want: times(2, `rq-throttle COMPLETED "ok" [a]`)},
	{file: "redis-queue/e06-start-throttle-nokey", want: one(`rq-throttle-nokey COMPLETED "ok" []`)},
	{file: "redis-queue/e08-debounce", want: one(`rq-deb COMPLETED {"customer":"c1","n":1} []`), short: true},
	{file: "redis-queue/e09-debounce-updated", want: one(`rq-deb COMPLETED {"customer":"c1","n":2} []`)},
	{file: "redis-queue/e10-batch", want: one(`rq-batch COMPLETED 2 []`), short: true},
	{file: "redis-queue/e11-singleton", want: one(`rq-single COMPLETED "ok" []`)},
	{file: "redis-queue/e12-start-timeout", ago: time.Minute, want: one(`rq-timeouts COMPLETED "ok" []`)},
	{file: "redis-queue/e13-ratelimit", want: one(`rq-rl COMPLETED "ok" []`)},
	{file: "redis-queue/e14-start-future", want: one(`rq-simple COMPLETED "ok" [a b]`)},
	{file: "redis-queue/e15-cancel-on", want: one(`rq-cancelable COMPLETED "ok" []`)},
	{file: "redis-queue/e16-start-event-id", want: one(`rq-simple COMPLETED "ok" [a b]`)},
	{file: "redis-queue/e17-priority-float-ignored", want: one(`rq-prio-float COMPLETED "ok" []`)},
	{file: "redis-queue/e18-cron-sync-and-health-check"},
	{file: "redis-queue/k01-sleep-in-backlog", want: one(`rq-simple COMPLETED "ok" [b]`)},
	{file: "redis-queue/k02-concurrency-backlogs", want: times(4, `rq-conc COMPLETED "ok" [a]`), short: true},
	{file: "redis-queue/k03-throttle-backlogs", want: times(2, `rq-throttle COMPLETED "ok" [a]`)},
	{file: "redis-queue/k04-refilled-ready", want: one(`rq-simple COMPLETED "ok" [a b]`)},

	{file: "redis-state/s01-sleep", want: one(`state-lab-sleeper COMPLETED {"a":{"empty":{},"greeting":"hello","list":[],"n":1},"b":2} [second]`)},
	{file: "redis-state/s02-wait-for-event", want: one(`state-lab-waiter COMPLETED {"got":null} []`)},
	{file: "redis-state/s02-wait-for-event", ago: soon, act: event("lab/reply", map[string]any{"orderId": "o-1"}),
		want: one(`state-lab-waiter COMPLETED {"got":{"orderId":"o-1"}} []`), short: true},
	{file: "redis-state/s02b-wait-no-match", want: one(`state-lab-waiter COMPLETED {"got":null} []`)},
	{file: "redis-state/s02c-wait-finished"},
	{file: "redis-state/s03-invoke", ago: 2 * time.Minute, want: one(`state-lab-callee COMPLETED {"answer":42} []`, `state-lab-caller COMPLETED {"answer":42} []`), short: true},
	{file: "redis-state/s04-wait-for-signal", ago: soon, act: signal("sig-1", map[string]any{"ok": true}),
		want: one(`state-lab-signaller COMPLETED {"data":{"ok":true},"signal":"sig-1"} []`), short: true},
	{file: "redis-state/s04b-signal-conflict", want: one(`state-lab-signaller COMPLETED null []`)},
	{file: "redis-state/s04c-signal-replaced", want: times(2, `state-lab-signaller COMPLETED null []`)},
	{file: "redis-state/s05-parallel-early", want: one(`state-lab-parallel COMPLETED ["fast","slow",null,null] [p-slow]`), short: true},
	{file: "redis-state/s05b-parallel-later", reports: true, want: one(`state-lab-parallel COMPLETED ["fast","slow",null,null] []`)},
	{file: "redis-state/s05c-parallel-event", reports: true, unseen: true, want: one(`state-lab-parallel COMPLETED []`)},
	{file: "redis-state/s06-batch", want: one(`state-lab-batched COMPLETED {"n":2} []`, `state-lab-batched-keyed COMPLETED {"n":1} []`)},
	{file: "redis-state/s06b-batch-filled", want: one(`state-lab-batched COMPLETED {"n":3} []`, `state-lab-batched-keyed COMPLETED {"n":1} []`)},
	{file: "redis-state/s06c-batch-done"},
	{file: "redis-state/s06d-batch-filled-at-once", want: one(`state-lab-batched COMPLETED {"n":1} []`)},
	{file: "redis-state/s07-debounce", unseen: true, want: one(`state-lab-debounced COMPLETED []`, `state-lab-debounced-keyed COMPLETED []`)},
	{file: "redis-state/s07b-debounce-updated", unseen: true, want: one(`state-lab-debounced COMPLETED []`, `state-lab-debounced-keyed COMPLETED []`)},
	{file: "redis-state/s07c-debounce-ran"},
	{file: "redis-state/s07d-debounce-stale-pointer", unseen: true, want: one(`state-lab-debounced-keyed COMPLETED []`)},
	{file: "redis-state/s08-rate-limit"},
	{file: "redis-state/s09-singleton", want: one(`state-lab-single-cancel COMPLETED 1 []`, `state-lab-single-skip COMPLETED 1 []`)},
	{file: "redis-state/s09b-singleton-cancelled", want: one(`state-lab-single-cancel COMPLETED 1 []`, `state-lab-single-skip COMPLETED 1 []`)},
	{file: "redis-state/s10-cancel-on", want: one(`state-lab-cancellable COMPLETED "never" []`)},
	{file: "redis-state/s10-cancel-on", ago: soon, act: event("lab/cancel.all", nil), want: one(`state-lab-cancellable CANCELLED []`)},
	{file: "redis-state/s10b-cancelled"},
	{file: "redis-state/s11-idempotency", unseen: true, want: one(`state-lab-sleeper COMPLETED [second]`)},
	{file: "redis-state/s12-step-failed", want: one(`state-lab-flaky COMPLETED "survived" []`)},
	{file: "redis-state/s13-defers", want: one(`state-lab-deferer COMPLETED "done" []`, `state-lab-later COMPLETED {"k":"one"} []`), short: true},
	{file: "redis-state/s14-flow-control", ago: time.Minute, want: one(`state-lab-prio COMPLETED 1 [work]`)},
	{file: "redis-state/s15-checkpointing", reports: true, want: one(`state-lab-ck-checkpointed COMPLETED {"a":1,"b":{"a":1}} []`)},
	{file: "redis-state/s16-wait-timed-out"},
	{file: "redis-state/s17-semaphore", want: one(`state-lab-fnsem COMPLETED 1 []`, `state-lab-fnsem COMPLETED 1 []`, `state-lab-fnsem COMPLETED 1 [work]`)},
	{file: "redis-state/s17b-semaphore-capacity-missing", reports: true, want: times(3, `state-lab-fnsem COMPLETED 1 [work]`)},
	{file: "redis-state/s18-cron", cron: "state-lab-crony"},
	{file: "redis-state/s18b-cron-run", cron: "state-lab-crony", want: one(`state-lab-crony COMPLETED "tick" []`)},
	{file: "redis-state/s19-rerun-from-step-input", unseen: true, want: one(`state-lab-sleeper COMPLETED [second]`)},
	{file: "redis-state/s19b-rerun-memoized", unseen: true, want: one(`state-lab-sleeper COMPLETED [second]`)},
	{file: "redis-state/s20-encodings", unseen: true, want: one(`state-lab-echo COMPLETED []`)},
	{file: "redis-state/s21-resumed-values", want: one(`state-lab-callee COMPLETED {"answer":42} []`, `state-lab-collector COMPLETED {"answer":42} []`)},
}
