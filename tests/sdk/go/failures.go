package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/step"
)

// errorFunctions are about errors of steps and of functions, and their retries.
func errorFunctions(a *app) []function {
	slowDown := func() error {
		return inngestgo.RetryAtError(errors.New("slow down"), time.Now().Add(3*time.Second))
	}
	return []function{
		{id: "step-retry", retries: 3, body: stepRetry},
		{id: "step-caught", retries: 1, body: stepCaught},
		{id: "step-uncaught", retries: 1, body: func(r *run) (any, error) {
			if _, err := do(r, "bad", fail(errors.New("always bad"))); err != nil {
				return nil, err
			}
			return do(r, "never", give(0))
		}},
		{id: "step-non-retriable", retries: 3, body: func(r *run) (any, error) {
			return do(r, "bad", fail(inngestgo.NoRetryError(errors.New("no use"))))
		}},
		{id: "step-retry-after", retries: 1, body: func(r *run) (any, error) {
			return do(r, "limited", func() (string, error) {
				if r.attempt() == 0 {
					return "", slowDown()
				}
				return "done", nil
			})
		}},
		{id: "fn-retry-after", retries: 1, body: func(r *run) (any, error) {
			r.note("body", nil)
			if r.attempt() == 0 {
				return nil, slowDown()
			}
			return "done", nil
		}},
		{id: "fn-retry", retries: 3, body: fnRetry},
		{id: "fn-fail", retries: 1, body: func(r *run) (any, error) {
			r.note("body", nil)
			return nil, errors.New("broken function")
		}},
		{id: "fn-non-retriable", retries: 3, body: func(r *run) (any, error) {
			r.note("body", nil)
			return nil, inngestgo.NoRetryError(errors.New("hopeless"))
		}},
		// Only one test uses it: its failed runs are made again all together.
		{id: "replayed", body: func(r *run) (any, error) {
			r.note("body", nil)
			return nil, inngestgo.NoRetryError(errors.New("fails again"))
		}},
		{id: "on-failure", body: func(r *run) (any, error) {
			if _, err := do(r, "a", give(0)); err != nil {
				return nil, err
			}
			return nil, inngestgo.NoRetryError(errors.New("tell the handler"))
		}},
		// The Go SDK has no onFailure: this is what the others register for it.
		{
			id:   "on-failure-failure",
			on:   about(a, "inngest/function.failed", "on-failure"),
			body: handleFailure,
		},
	}
}

func stepRetry(r *run) (any, error) {
	a, err := do(r, "a", give(1))
	if err != nil {
		return nil, err
	}
	flaky, err := do(r, "flaky", func() (int, error) {
		if r.attempt() < r.data.Failures {
			return 0, fmt.Errorf("attempt %d fails", r.attempt())
		}
		return r.attempt(), nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"a": a, "flaky": flaky}, nil
}

func stepCaught(r *run) (any, error) {
	caught := ""
	if _, err := do(r, "bad", fail(errors.New("always bad"))); err != nil {
		caught = err.Error()
	}
	recovered, err := do(r, "recover", give(true))
	return map[string]any{"caught": caught, "recovered": recovered}, err
}

// fnRetry fails after a step, which is not run again with the function.
func fnRetry(r *run) (any, error) {
	a, err := do(r, "a", give("kept"))
	if err != nil {
		return nil, err
	}
	r.note("body", nil)
	if r.attempt() < 2 {
		return nil, errors.New("not yet")
	}
	return map[string]any{"a": a, "attempt": r.attempt()}, nil
}

func handleFailure(r *run) (any, error) {
	fields := r.input.Event.Data
	reason, _ := fields["error"].(map[string]any)
	return step.Run(r.ctx, "handle", func(context.Context) (any, error) {
		r.note("handled", map[string]any{
			"message": reason["message"], "fn": fields["function_id"], "run": fields["run_id"],
		})
		return nil, nil
	})
}
