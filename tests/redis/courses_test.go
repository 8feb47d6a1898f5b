package redis_test

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"jetstep/tests/harness"
)

// course is how captured databases came about, one after another.
type course struct {
	stages  []stage
	reports bool   // steps are reported while a call lasts: the app is its server's alone
	cron    string // the function with a schedule; "" for none
	short   bool   // also with -short
}

// stage is what was done, and the captured database that came of it.
type stage struct {
	file    string
	acts    []act
	untimed bool     // times are of schedules
	unlike  []string // parts of lines that may differ, besides those that may anywhere
}

// unlike are parts of lines that differ on purpose (docs/compatibility.md).
var unlike = []string{
	"[metadata_size] =", // nothing is stored for a request's times
	"cron-sync",         // hints at what is looked for anyway
	"cron-health-check", // comes with any schedule; when it was looked at last says nothing
	"sem:ik:setcap:",    // of registrations, which are repeated without harm
}

// Where a stage differs from its capture, on purpose or by chance.
var (
	// inFirstCall: that a run has begun is noted when its first call has come to
	// something.
	inFirstCall = []string{"[die] =", "[sat] ="}
	// traced: the event that invokes a function has no trace of the original.
	traced = []string{"[event_size] =", "[state_size] ="}
	// eitherFirst: which of steps side by side is executed first is up to their ids.
	eitherFirst = []string{`"gen_name": "p1"`, `"gen_name": "p2"`}
	// inGroup: sleeps keep the key of their group.
	inGroup = []string{`"kind": "sleep"`}
	// withStack: a stack trace names files.
	withStack = []string{`"stack":`, "[state_size] ="}
	// emptied: a partition without items goes when it is looked at.
	emptied = []string{":partition:", "{queue}:accounts:sorted"}
	// longer: it sleeps for minutes, not seconds, and is captured before it wakes.
	longer = []string{":bulk-events:", ":sleep [", "{queue}:idx:run:", "{queue}:queue:sorted:"}
	// plain: the original writes <, > and & as escapes, and a negative zero.
	plain = []string{":bulk-events:", "[event_size] =", "[state_size] ="}
	// earlier: what remains of a key's life was some seconds less.
	earlier = []string{"}:key:<key> ("}
	// ownPriority: numbers of events count for priorities.
	ownPriority = []string{`"pf": `}
)

func (s *stage) explained(line string) bool {
	return slices.ContainsFunc(slices.Concat(unlike, s.unlike), func(text string) bool { return strings.Contains(line, text) })
}

// but is the stage where these parts of lines may differ.
func (s stage) but(unlike ...[]string) stage {
	s.unlike = slices.Concat(unlike...)
	return s
}

type anyMap = map[string]any

func through(stages ...stage) course { return course{stages: stages} }

// after is a stage of a file.
func after(file string, acts ...act) stage { return stage{file: file, acts: acts} }

func thrice(do act) act {
	return func(w *writing) error { return errors.Join(do(w), do(w), do(w)) }
}

// counted sends events that have their number in n, one after another.
func counted(name string, data anyMap, count int) act {
	return func(w *writing) error {
		for n := range count {
			numbered := anyMap{"n": n}
			maps.Copy(numbered, data)
			if err := sent(harness.Event{Name: name, Data: numbered})(w); err != nil {
				return err
			}
		}
		return nil
	}
}

var identified = harness.Event{ID: "my-id-1", Name: "lab/sleep", Data: anyMap{"nap": "5m"}}

var courses = []course{
	through(after("redis-queue/d01-sleep", sent(of("t/simple", anyMap{"a": 1})))),
	through(after("redis-queue/d02-in-progress", sent(of("t/slow", anyMap{}))).but(inFirstCall)),
	through(after("redis-queue/d02b-in-progress-extended", sent(of("t/slow", anyMap{}))).but(inFirstCall)),
	through(after("redis-queue/d03-concurrency-limited",
		sent(of("t/conc", anyMap{"customer": "c1", "region": "eu"})), sent(of("t/conc", anyMap{"customer": "c1", "region": "eu"})),
		sent(of("t/conc", anyMap{"customer": "c2", "region": "eu"}))).but(inFirstCall)),
	through(after("redis-queue/d03b-fn-concurrency-limited", counted("t/conc-fn", nil, 4)).but(inFirstCall)),
	through(after("redis-queue/d04-throttled", counted("t/throttle", anyMap{"customer": "c1"}, 5)).but(emptied)),
	through(after("redis-queue/d04b-throttled-nokey", counted("t/throttle-nokey", nil, 3)).but(emptied)),
	through(after("redis-queue/d05-wait-for-event", sent(of("t/wait", anyMap{"id": "abc"})))),
	through(after("redis-queue/d05b-invoke", sent(of("t/inv", anyMap{}))).but(inFirstCall, traced)),
	through(after("redis-queue/d05c-wait-for-signal", sent(of("t/sig", anyMap{})))),
	through(after("redis-queue/d06-retried-function-error", sent(of("t/retry", anyMap{})))),
	through(after("redis-queue/d06b-retried-step-error", sent(of("t/retry-step", anyMap{})))),
	through(after("redis-queue/d07-parallel", sent(of("t/par", anyMap{}))).but(inGroup)),
	{stages: []stage{{file: "redis-queue/d08-cron", untimed: true}}, cron: "rq-cron"},
	through(after("redis-queue/d12-edge-in-progress-and-queued", sent(of("t/edgeq", anyMap{}))).but(eitherFirst)),
	{stages: []stage{after("redis-queue/d13-checkpoint-retry", sent(of("t/ck", anyMap{})))}, reports: true},
	through(after("redis-queue/d14-finished-run", sent(of("t/short", anyMap{}))).but(emptied)),
	through(after("redis-queue/d15-singleton-sleeping", sent(of("t/single", anyMap{"customer": "c1"})))),
	through(after("redis-queue/d16-finish-timeout", sent(of("t/timeouts", anyMap{})))),
	through(after("redis-queue/d18-semaphore-fn-concurrency", sent(of("t/semfn", anyMap{"n": 1})), sent(of("t/semfn", anyMap{"n": 2})))),
	through(after("redis-queue/d19-semaphore-key", sent(of("t/semkey", anyMap{"customer": "c1"})))),
	through(
		after("redis-queue/e08-debounce", sent(of("t/deb", anyMap{"customer": "c1", "n": 1}))),
		after("redis-queue/e09-debounce-updated", sent(of("t/deb", anyMap{"customer": "c1", "n": 2})))),
	through(after("redis-queue/e10-batch", sent(of("t/batch", anyMap{"n": 1})), sent(of("t/batch", anyMap{"n": 2})))),

	through(after("redis-state/s01-sleep", sent(of("lab/sleep", anyMap{"nap": "5m"})))),
	through(
		after("redis-state/s02-wait-for-event", sent(of("lab/wait", anyMap{"orderId": "o-1", "timeout": "10m"}))),
		after("redis-state/s02b-wait-no-match", sent(of("lab/reply", anyMap{"orderId": "o-2"}))),
		after("redis-state/s02c-wait-finished", sent(of("lab/reply", anyMap{"orderId": "o-1"}))).but(emptied)),
	through(after("redis-state/s03-invoke", sent(of("lab/call", anyMap{"nap": "60s"}))).but(traced)),
	through(
		after("redis-state/s04-wait-for-signal", sent(of("lab/signal", anyMap{"signal": "sig-1"}))),
		after("redis-state/s04b-signal-conflict", sent(of("lab/signal", anyMap{"signal": "sig-1"})))),
	through(
		after("redis-state/s04-wait-for-signal", sent(of("lab/signal", anyMap{"signal": "sig-1"}))),
		after("redis-state/s04c-signal-replaced", sent(of("lab/signal", anyMap{"signal": "sig-1", "replace": true})))),
	through(
		after("redis-state/s05-parallel-early", sent(of("lab/parallel", anyMap{"id": "p1", "nap": "20m", "slowMs": 9000}))).but(inGroup, longer),
		after("redis-state/s05b-parallel-later", enough).but(inGroup, longer),
		after("redis-state/s05c-parallel-event", sent(of("lab/parallel.go", anyMap{"id": "p1"}))).but(inGroup, longer)),
	through(after("redis-state/s06-batch", sent(of("lab/batch", anyMap{"i": 1})),
		raw(`{"name":"lab/batch","data":{"i":2},"user":{"u":1},"v":"1"}`), sent(of("lab/batch.keyed", anyMap{"team": "red"})))),
	through(after("redis-state/s06d-batch-filled-at-once",
		sent(of("lab/batch", anyMap{"i": 1}), of("lab/batch", anyMap{"i": 2}), of("lab/batch", anyMap{"i": 3}), of("lab/batch", anyMap{"i": 4}))).but(emptied)),
	through(
		after("redis-state/s07-debounce", sent(of("lab/debounce", anyMap{"i": 1})),
			raw(`{"name":"lab/debounce.keyed","data":{"arr":[],"big":12345678901234568,"f":1.5,"i":1,"user":"ann"}}`)),
		after("redis-state/s07b-debounce-updated", sent(of("lab/debounce", anyMap{"i": 2})),
			raw(`{"name":"lab/debounce.keyed","data":{"i":2,"arr":{},"user":"ann","u":"a/b é <x>","f":1.5,"big":1.2345678901235e+16}}`)),
		after("redis-state/s07c-debounce-ran").but(emptied)),
	through(after("redis-state/s08-rate-limit", thrice(sent(of("lab/rl", anyMap{}))), thrice(sent(of("lab/rl.keyed", anyMap{"user": "ann"})))).but(emptied)),
	through(
		after("redis-state/s09-singleton", sent(of("lab/single.skip", anyMap{"user": "ann"})), sent(of("lab/single.skip", anyMap{"user": "ann"})),
			sent(of("lab/single.cancel", anyMap{}))),
		after("redis-state/s09b-singleton-cancelled", sent(of("lab/single.cancel", anyMap{})))),
	through(
		after("redis-state/s10-cancel-on", sent(of("lab/cancellable", anyMap{"orderId": "o-9"}))),
		after("redis-state/s10b-cancelled", sent(of("lab/cancel", anyMap{"orderId": "o-9"}))).but(emptied)),
	through(after("redis-state/s11-idempotency", sent(of("lab/idem", anyMap{"orderId": "o-9"})), sent(of("lab/idem", anyMap{"orderId": "o-9"})),
		sent(identified), sent(identified)).but(emptied)),
	through(after("redis-state/s12-step-failed", sent(of("lab/flaky", anyMap{}))).but(withStack)),
	through(after("redis-state/s13-defers", sent(of("lab/defer", anyMap{"nap": "60s"})))),
	through(after("redis-state/s14-flow-control", sent(of("lab/prio", anyMap{"acct": "a1", "p": 60}))).but(inFirstCall, ownPriority, []string{"finish", "sorted:cancel"})),
	{stages: []stage{after("redis-state/s15-checkpointing", sent(of("lab/ck", anyMap{"nap": "5m"})))}, reports: true},
	through(after("redis-state/s16-wait-timed-out", sent(of("lab/wait", anyMap{"orderId": "o-1", "timeout": "8s"}))).but(emptied)),
	through(after("redis-state/s17-semaphore",
		sent(of("lab/fnsem", anyMap{"acct": "a1"})), sent(of("lab/fnsem", anyMap{"acct": "a1"})), sent(of("lab/fnsem", anyMap{"acct": "a1"}))).but(earlier)),
	through(after("redis-state/s20-encodings",
		raw(`{"name":"lab/echo","ts":1795000000000,"user":{"id":"u1"},"v":"2024-01","data":{"a":"a/b <x> & é","arr":[],"big":12345678901234568,"e":1e+21,"f":1.5,"n":null,"neg":-0,"obj":{},"t":true,"z":1}}`),
		waits, raw(`{"name":"lab/echo.reply","data":{"a":1,"b":"<y>"},"user":{"q":1},"v":"x"}`)).but(plain)),
	{stages: []stage{
		after("redis-state/s21-resumed-values", sent(of("lab/collect", anyMap{})), signalled("sig-c", anyMap{"ok": true})).but(traced),
	}, reports: true}, // it sends an event
	{stages: []stage{{file: "redis-state/s18-cron", untimed: true}}, cron: "state-lab-crony"},
}
