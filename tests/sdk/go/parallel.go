package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inngest/inngestgo/group"
	"github.com/inngest/inngestgo/step"
)

// parallelFunctions run steps in parallel.
func parallelFunctions(*app) []function {
	return []function{
		{id: "parallel", body: parallel},
		{id: "parallel-fail", retries: 1, body: parallelFail},
		{id: "nested", body: nested},
	}
}

type branch = func(context.Context) (any, error)

func parallel(r *run) (any, error) {
	branches := make([]branch, r.data.N)
	for i := range branches {
		branches[i] = func(ctx context.Context) (any, error) {
			return doIn(ctx, r, fmt.Sprintf("p%d", i), give(i))
		}
	}
	results := group.Parallel(r.ctx, branches...)
	if err := results.AnyError(); err != nil {
		return nil, err
	}
	return do(r, "sum", func() (int, error) {
		sum := 0
		for _, result := range results {
			sum += result.Value.(int)
		}
		return sum, nil
	})
}

func parallelFail(r *run) (any, error) {
	results := group.Parallel(r.ctx,
		func(ctx context.Context) (any, error) { return doIn(ctx, r, "good", give("fine")) },
		func(ctx context.Context) (any, error) { return doIn(ctx, r, "bad", fail(errors.New("bad luck"))) },
	)
	if _, err := do(r, "after", give(0)); err != nil {
		return nil, err
	}
	if results[1].Error == nil {
		return nil, errors.New("the bad branch succeeded")
	}
	return map[string]any{"good": results[0].Value, "bad": results[1].Error.Error()}, nil
}

// nested has branches of two steps, joined; then one more step, then two more
// in parallel: every kind of fan-in.
func nested(r *run) (any, error) {
	twice := func(name string) branch {
		return func(ctx context.Context) (any, error) {
			one, err := doIn(ctx, r, name+"1", give(name))
			if err != nil {
				return nil, err
			}
			return doIn(ctx, r, name+"2", give(one+one))
		}
	}
	napping := func(ctx context.Context) (any, error) {
		step.Sleep(ctx, "nap", time.Second)
		return doIn(ctx, r, "woke", give("w"))
	}
	results := group.Parallel(r.ctx, twice("x"), twice("y"), napping)
	if err := results.AnyError(); err != nil {
		return nil, err
	}
	joined, err := do(r, "join", func() (string, error) {
		var parts []string
		for _, result := range results {
			parts = append(parts, result.Value.(string))
		}
		return strings.Join(parts, "-"), nil
	})
	if err != nil {
		return nil, err
	}
	tail := group.Parallel(r.ctx,
		func(ctx context.Context) (any, error) { return doIn(ctx, r, "t1", give(1)) },
		func(ctx context.Context) (any, error) { return doIn(ctx, r, "t2", give(2)) },
	)
	if err := tail.AnyError(); err != nil {
		return nil, err
	}
	return map[string]any{"joined": joined, "tail": []any{tail[0].Value, tail[1].Value}}, nil
}
