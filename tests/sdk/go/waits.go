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

// waitFunctions wait for events and for signals.
func waitFunctions(a *app) []function {
	return []function{
		{id: "wait", body: wait},
		{id: "wait-race", body: a.waitRace},
		{id: "signal", body: signal},
	}
}

func wait(r *run) (any, error) {
	if _, err := do(r, "before", give(0)); err != nil {
		return nil, err
	}
	event, _ := r.data.Event.(string)
	timeout, err := time.ParseDuration(r.data.Timeout)
	if err != nil {
		return nil, err
	}
	options := step.WaitForEventOpts{Event: event, Timeout: timeout}
	switch {
	case r.data.If != "":
		options.If = &r.data.If
	case r.data.Match != "":
		match := fmt.Sprintf("event.%s == async.%[1]s", r.data.Match)
		options.If = &match
	}
	var got any
	received, err := step.WaitForEvent[inngestgo.Event](r.ctx, "w", options)
	switch {
	case errors.Is(err, step.ErrEventNotReceived):
	case err != nil:
		return nil, err
	default:
		got = map[string]any{"name": received.Name, "data": received.Data}
	}
	if _, err := do(r, "after", give(0)); err != nil {
		return nil, err
	}
	return map[string]any{"got": got}, nil
}

// waitRace sends the awaited event from a step planned in the same response as
// the wait, so it may come the moment the wait begins, but never before.
func (a *app) waitRace(r *run) (any, error) {
	race := a.id + "/race"
	results := group.Parallel(r.ctx,
		func(ctx context.Context) (any, error) {
			return step.WaitForEvent[inngestgo.Event](ctx, "w", step.WaitForEventOpts{
				Event:   race,
				Timeout: 20 * time.Second,
				If:      inngestgo.StrPtr("async.data.token == event.data.token"),
			})
		},
		func(ctx context.Context) (any, error) {
			return doIn(ctx, r, "kick", func() (string, error) {
				return a.client.Send(ctx, inngestgo.Event{Name: race, Data: map[string]any{"token": r.token()}})
			})
		},
	)
	if err := results.AnyError(); err != nil {
		return nil, err
	}
	received, _ := results[0].Value.(inngestgo.Event)
	return map[string]any{"got": received.Data["token"] == r.token()}, nil
}

func signal(r *run) (any, error) {
	if _, err := do(r, "before", give(0)); err != nil {
		return nil, err
	}
	timeout, err := time.ParseDuration(r.data.Timeout)
	if err != nil {
		return nil, err
	}
	var got any
	received, err := step.WaitForSignal[any](r.ctx, "s", step.WaitForSignalOpts{
		Signal:     r.data.Signal,
		Timeout:    timeout,
		OnConflict: step.SignalConfict(r.data.Conflict),
	})
	switch {
	case errors.Is(err, step.ErrSignalNotReceived):
	case err != nil:
		return nil, err
	default:
		got = received
	}
	if _, err := do(r, "after", give(0)); err != nil {
		return nil, err
	}
	return map[string]any{"got": got}, nil
}
