package main

import (
	"errors"
	"time"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/step"
)

// invokeFunctions invoke functions, of this app and of others.
func invokeFunctions(a *app) []function {
	return []function{
		{id: "invoke", body: invoke},
		{id: "invoke-uncaught", body: func(r *run) (any, error) {
			return step.Invoke[any](r.ctx, "inv", step.InvokeOpts{
				FunctionId: a.id + "-callee-fails", Data: map[string]any{"token": r.token()},
			})
		}},
		{id: "callee", body: func(r *run) (any, error) {
			doubled, err := do(r, "double", give(r.data.N*2))
			return map[string]any{"doubled": doubled}, err
		}},
		{id: "callee-fails", body: func(*run) (any, error) {
			return nil, inngestgo.NoRetryError(errors.New("callee refused"))
		}},
		{id: "callee-slow", body: func(r *run) (any, error) {
			step.Sleep(r.ctx, "long", time.Hour)
			return nil, nil
		}},
	}
}

func otherFunctions(*app) []function {
	return []function{{id: "callee", body: func(r *run) (any, error) {
		tripled, err := do(r, "triple", give(r.data.N*3))
		return map[string]any{"tripled": tripled}, err
	}}}
}

// invoke calls the function that the event names by app and function id.
func invoke(r *run) (any, error) {
	options := step.InvokeOpts{
		FunctionId: r.data.App + "-" + r.data.Fn,
		Data:       map[string]any{"token": r.token(), "n": r.data.N},
	}
	if r.data.Timeout != "" {
		timeout, err := time.ParseDuration(r.data.Timeout)
		if err != nil {
			return nil, err
		}
		options.Timeout = timeout
	}
	outcome := map[string]any{}
	result, err := step.Invoke[any](r.ctx, "inv", options)
	if err != nil {
		outcome["error"] = err.Error()
	} else {
		outcome["result"] = result
	}
	if _, err := do(r, "after", give(0)); err != nil {
		return nil, err
	}
	return outcome, nil
}
