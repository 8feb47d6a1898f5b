package main

import (
	"context"
	"errors"
	"time"

	"github.com/inngest/inngestgo/group"
	"github.com/inngest/inngestgo/step"
)

// checkpointFunctions belong to a client with checkpointing: many steps in one
// call, each reported by API as it finishes.
func checkpointFunctions(*app) []function {
	return []function{
		{id: "checkpoint", body: checkpointed},
		{id: "checkpoint-retry", retries: 2, body: checkpointRetry},
		{id: "checkpoint-parallel", body: checkpointParallel},
		{id: "checkpoint-fail", retries: 1, body: func(r *run) (any, error) {
			if _, err := do(r, "a", give(0)); err != nil {
				return nil, err
			}
			r.note("body", nil)
			return nil, errors.New("after a checkpoint")
		}},
		{id: "checkpoint-crash", retries: 20, body: crash},
	}
}

// checkpointed counts the calls as "body": one up to the sleep, one after it.
func checkpointed(r *run) (any, error) {
	r.note("body", nil)
	a, err := do(r, "a", give(1))
	if err != nil {
		return nil, err
	}
	b, err := do(r, "b", give(a+1))
	if err != nil {
		return nil, err
	}
	step.Sleep(r.ctx, "nap", time.Second)
	c, err := do(r, "c", give(b+1))
	if err != nil {
		return nil, err
	}
	return []int{a, b, c}, nil
}

// checkpointRetry has steps that each fail once: each has its own retries,
// although one call runs them all, and more steps fail than one step may.
func checkpointRetry(r *run) (any, error) {
	all := ""
	for _, id := range []string{"a", "b", "c"} {
		part, err := do(r, id, func() (string, error) {
			if r.app.calls.Count(r.token(), id) == 1 {
				return "", errors.New(id + " fails first")
			}
			return id, nil
		})
		if err != nil {
			return nil, err
		}
		all += part
	}
	return all, nil
}

func checkpointParallel(r *run) (any, error) {
	a, err := do(r, "a", give(1))
	if err != nil {
		return nil, err
	}
	results := group.Parallel(r.ctx,
		func(ctx context.Context) (any, error) { return doIn(ctx, r, "b", give(a+1)) },
		func(ctx context.Context) (any, error) { return doIn(ctx, r, "c", give(a+2)) },
	)
	if err := results.AnyError(); err != nil {
		return nil, err
	}
	return do(r, "d", give(a+results[0].Value.(int)+results[1].Value.(int)))
}
