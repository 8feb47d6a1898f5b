package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/step"
)

// lifecycleFunctions are cancelled, or hear what the server says about runs.
func lifecycleFunctions(a *app) []function {
	cancelIf := func(expression string) []inngestgo.ConfigCancel {
		return []inngestgo.ConfigCancel{{Event: a.id + "/cancel", If: &expression}}
	}
	byToken := cancelIf("event.data.token == async.data.token")
	return []function{
		{id: "sleeper", body: sleepsLong},
		{id: "waiter", body: func(r *run) (any, error) {
			if _, err := do(r, "started", give(0)); err != nil {
				return nil, err
			}
			_, err := step.WaitForEvent[inngestgo.Event](r.ctx, "w", step.WaitForEventOpts{
				Event: a.id + "/nothing", Timeout: time.Hour,
			})
			if err != nil {
				return nil, err
			}
			return do(r, "never", give(0))
		}},
		{id: "cancel-match", cancel: byToken, body: sleepsLong},
		{
			id:     "cancel-if",
			cancel: cancelIf("async.data.token == event.data.token && async.data.reason == 'stop'"),
			body:   sleepsLong,
		},
		{id: "watched", cancel: byToken, body: watched},
		{id: "on-finished", on: about(a, "inngest/function.finished", "watched"), body: tells("finished")},
		{id: "on-failed", on: about(a, "inngest/function.failed", "watched"), body: tells("failed")},
		{id: "on-cancelled", on: about(a, "inngest/function.cancelled", "watched"), body: tells("cancelled")},
	}
}

// about is the trigger by internal events that tell about one function.
func about(a *app, event, fn string) inngestgo.MultipleTriggers {
	expression := fmt.Sprintf("event.data.function_id == '%s-%s'", a.id, fn)
	return inngestgo.MultipleTriggers{inngestgo.EventTrigger(event, &expression)}
}

func sleepsLong(r *run) (any, error) {
	if _, err := do(r, "started", give(0)); err != nil {
		return nil, err
	}
	step.Sleep(r.ctx, "long", time.Hour)
	return do(r, "never", give(0))
}

// watched ends as the event's mode says: "ok", "fail" or "cancel".
func watched(r *run) (any, error) {
	if _, err := do(r, "started", give(0)); err != nil {
		return nil, err
	}
	switch r.data.Mode {
	case "fail":
		return nil, inngestgo.NoRetryError(errors.New("watched failed"))
	case "cancel":
		step.Sleep(r.ctx, "long", time.Hour)
	}
	return map[string]any{"mode": r.data.Mode}, nil
}

func tells(kind string) func(*run) (any, error) {
	return func(r *run) (any, error) {
		if _, err := do(r, "on-"+kind, give(0)); err != nil {
			return nil, err
		}
		fields := r.input.Event.Data
		detail := map[string]any{"id": r.input.Event.ID}
		for _, key := range []string{"function_id", "run_id", "result"} {
			detail[key] = fields[key]
		}
		if reason, ok := fields["error"].(map[string]any); ok {
			detail["error"] = reason["message"]
		}
		r.note(kind, detail)
		return nil, nil
	}
}
