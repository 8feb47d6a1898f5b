package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/group"
	"github.com/inngest/inngestgo/step"
)

// The keys of flow control by which tests do not get in each other's way: the
// token, or a field of the event.
const (
	byToken = "event.data.token"
	byK     = "event.data.k"
)

// flowFunctions are about flow control: what decides whether and when runs
// start, and how many steps and runs go on at once. Limits on the runs of a
// function are missing, as the Go SDK cannot express them.
func flowFunctions(a *app) []function {
	all := []function{
		{id: "plain", body: plain},
		{id: "bulk", body: naps},
		{id: "pausable", body: plain},
		{id: "unpaused", on: inngestgo.MultipleTriggers{inngestgo.EventTrigger(a.id+"/pausable", nil)}, body: plain},
		{id: "timeout-finish", body: naps, flow: options{
			Timeouts: &inngestgo.ConfigTimeouts{Finish: in(2 * time.Second)},
		}},
		{id: "timeout-start", body: held, flow: options{
			Timeouts:    &inngestgo.ConfigTimeouts{Start: in(5 * time.Second)},
			Concurrency: limits(limit(1, byToken)),
		}},
		{id: "on-finished", on: about(a, "inngest/function.finished", "timeout-finish"), body: tells("finished")},
		{id: "on-cancelled", on: about(a, "inngest/function.cancelled", "timeout-finish"), body: tells("cancelled")},
	}
	for _, group := range [][]function{concurrencyFunctions(a), rateFunctions(), gatherFunctions(), orderFunctions()} {
		all = append(all, group...)
	}
	return all
}

// options are the SDK's own options of flow control.
type options = inngestgo.FunctionOpts

func concurrencyFunctions(a *app) []function {
	shared := func(id string, l inngestgo.ConfigStepConcurrency) function {
		return function{id: id, flow: options{Concurrency: limits(l)}, body: held}
	}
	env, account := limit(1, byToken), limit(1, byToken)
	env.Scope, account.Scope = 1, 2 // "env", "account"
	cancelIf := "event.data.k == async.data.k"
	return []function{
		shared("conc", limit(2, "")),
		shared("conc-keyed", limit(1, byK)),
		{id: "conc-two", flow: options{Concurrency: limits(limit(3, ""), limit(1, byK))}, body: held},
		shared("conc-env-a", env),
		shared("conc-env-b", env),
		shared("conc-account-a", account),
		shared("conc-account-b", account),
		{id: "conc-asleep", flow: options{Concurrency: limits(limit(1, byToken))}, body: naps},
		{id: "conc-retrying", retries: 1, flow: options{Concurrency: limits(limit(1, byToken))}, body: func(r *run) (any, error) {
			return do(r, "started", fail(inngestgo.RetryAtError(errors.New("not now"), time.Now().Add(time.Hour))))
		}},
		{id: "conc-steps", flow: options{Concurrency: limits(limit(2, byToken))}, body: heldInParallel},
		{
			id:     "conc-cancel",
			flow:   options{Concurrency: limits(limit(1, byToken))},
			cancel: []inngestgo.ConfigCancel{{Event: a.id + "/cancel", If: &cancelIf}},
			body:   held,
		},
	}
}

// rateFunctions are limited in how many runs start in a time.
func rateFunctions() []function {
	throttle := func(id string, limit uint, period time.Duration, burst uint, key string) function {
		c := &inngestgo.ConfigThrottle{Limit: limit, Period: period, Burst: burst, Key: &key}
		return function{id: id, flow: options{Throttle: c}, body: plain}
	}
	rate := func(id string, limit uint, period time.Duration, key string) function {
		c := &inngestgo.ConfigRateLimit{Limit: limit, Period: period, Key: &key}
		return function{id: id, flow: options{RateLimit: c}, body: plain}
	}
	return []function{
		throttle("throttle-burst", 2, 10*time.Minute, 1, byToken),
		throttle("throttle-steady", 1, 2*time.Second, 0, byToken),
		throttle("throttle-keyed", 1, 10*time.Minute, 0, byK),
		rate("rate", 1, time.Hour, byK),
		rate("rate-shared", 1, 10*time.Second, byK),
		rate("rate-spread", 5, 20*time.Second, byToken),
		rate("rate-burst", 10, 10*time.Minute, byToken),
		rate("rate-invoked", 1, time.Hour, byToken),
		{id: "idempotent", flow: options{Idempotency: inngestgo.StrPtr(byK)}, body: plain},
	}
}

// gatherFunctions wait for further events before they start.
func gatherFunctions() []function {
	debounce := func(id string, period time.Duration, timeout *time.Duration, key string) function {
		c := &inngestgo.ConfigDebounce{Key: key, Period: period, Timeout: timeout}
		return function{id: id, flow: options{Debounce: c}, body: plain}
	}
	batch := func(id string, c inngestgo.ConfigBatchEvents) function {
		return function{id: id, flow: options{BatchEvents: &c}, body: plain}
	}
	token, k, bulk := byToken, byK, "event.data.bulk == true"
	return []function{
		debounce("debounce", 4*time.Second, nil, byK),
		debounce("debounce-capped", 4*time.Second, in(6*time.Second), byToken),
		debounce("debounce-invoked", 5*time.Second, nil, byToken),
		batch("batch-size", inngestgo.ConfigBatchEvents{MaxSize: 3, Timeout: time.Minute, Key: &token}),
		batch("batch-time", inngestgo.ConfigBatchEvents{MaxSize: 3, Timeout: 3 * time.Second}),
		batch("batch-keyed", inngestgo.ConfigBatchEvents{MaxSize: 2, Timeout: time.Minute, Key: &k}),
		batch("batch-if", inngestgo.ConfigBatchEvents{MaxSize: 2, Timeout: time.Minute, Key: &token, If: &bulk}),
	}
}

// orderFunctions start before or instead of each other. The zero mode of a
// singleton is to skip the new run, 1 to cancel the old one.
func orderFunctions() []function {
	singleton := func(id string, c inngestgo.ConfigSingleton, body func(*run) (any, error)) function {
		return function{id: id, flow: options{Singleton: &c}, body: body}
	}
	token, k := byToken, byK
	return []function{
		{id: "priority", body: held, flow: options{
			Priority:    &inngestgo.ConfigPriority{Run: inngestgo.StrPtr("event.data.p")},
			Concurrency: limits(limit(1, byToken)),
		}},
		singleton("single-skip", inngestgo.ConfigSingleton{Key: &k}, held),
		singleton("single-cancel", inngestgo.ConfigSingleton{Key: &k, Mode: 1}, held),
		singleton("single-invoked", inngestgo.ConfigSingleton{Key: &token}, naps),
	}
}

// held has one step that ends when the test lets it through its gate.
func held(r *run) (any, error) {
	_, err := work(r.ctx, r, "work")
	return map[string]any{"k": r.input.Event.Data["k"]}, err
}

// heldInParallel has as many such steps as the event says.
func heldInParallel(r *run) (any, error) {
	branches := make([]branch, r.data.N)
	for i := range branches {
		branches[i] = func(ctx context.Context) (any, error) { return work(ctx, r, fmt.Sprintf("work%d", i)) }
	}
	return nil, group.Parallel(r.ctx, branches...).AnyError()
}

// work is a step that ends when the test lets it through its gate. The call log
// thus has what was in flight: each "work" until its "worked".
func work(ctx context.Context, r *run, id string) (any, error) {
	k := map[string]any{"k": r.input.Event.Data["k"]}
	return step.Run(ctx, id, func(ctx context.Context) (any, error) {
		r.note("work", k)
		if err := r.app.gates.Pass(ctx, r.token()); err != nil {
			return nil, err
		}
		r.note("worked", k)
		return nil, nil
	})
}

// plain tells at once with which events it was called.
func plain(r *run) (any, error) {
	ns := make([]any, len(r.input.Events))
	for i, event := range r.input.Events {
		ns[i] = event.Data["n"]
	}
	told := map[string]any{"ns": ns}
	r.note("plain", told)
	return told, nil
}

func naps(r *run) (any, error) {
	if _, err := do(r, "started", give(0)); err != nil {
		return nil, err
	}
	step.Sleep(r.ctx, "nap", time.Hour)
	return do(r, "ended", give(0))
}

func limits(all ...inngestgo.ConfigStepConcurrency) []inngestgo.ConfigStepConcurrency { return all }

// limit is a limit on steps, for each value of the key if there is one.
func limit(n int, key string) inngestgo.ConfigStepConcurrency {
	c := inngestgo.ConfigStepConcurrency{Limit: n}
	if key != "" {
		c.Key = &key
	}
	return c
}

func in(d time.Duration) *time.Duration { return &d }
