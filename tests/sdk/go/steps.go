package main

import (
	"strings"
	"time"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/step"
)

// stepFunctions are about plain steps: order, memoisation, sleeping, sending.
func stepFunctions(a *app) []function {
	return []function{
		{id: "sequence", body: sequence},
		{id: "sleep", body: sleep},
		{id: "sleep-until", body: sleepUntil},
		{id: "send", body: a.send},
		{id: "big-output", body: func(r *run) (any, error) {
			return do(r, "big", give(strings.Repeat("b", 5<<20)))
		}},
		{id: "crash", retries: 20, body: crash},
	}
}

// sequence uses in each step the results before it; the same id twice is two
// steps.
func sequence(r *run) (any, error) {
	a, err := do(r, "a", give(1))
	if err != nil {
		return nil, err
	}
	b, err := do(r, "b", give(a+1))
	if err != nil {
		return nil, err
	}
	c, err := do(r, "c", give(map[string]any{"sum": a + b, "text": "ünïcode <&> \u2028"}))
	if err != nil {
		return nil, err
	}
	first, err := do(r, "again", give("first"))
	if err != nil {
		return nil, err
	}
	second, err := do(r, "again", give("second"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"a": a, "b": b, "c": c, "again": []string{first, second}}, nil
}

func sleep(r *run) (any, error) {
	if _, err := do(r, "before", give(0)); err != nil {
		return nil, err
	}
	step.Sleep(r.ctx, "nap", time.Second)
	if _, err := do(r, "after", give(0)); err != nil {
		return nil, err
	}
	return "rested", nil
}

// sleepUntil fixes the moment inside a step, so that it does not move with
// replays.
func sleepUntil(r *run) (any, error) {
	until, err := do(r, "before", func() (int64, error) { return time.Now().UnixMilli() + 2500, nil })
	if err != nil {
		return nil, err
	}
	step.SleepUntil(r.ctx, "nap", time.UnixMilli(until))
	if _, err := do(r, "after", give(0)); err != nil {
		return nil, err
	}
	return "rested", nil
}

func (a *app) send(r *run) (any, error) {
	echo := func(n int, of string) inngestgo.Event {
		fields := map[string]any{"token": r.token(), "n": n}
		if of != "" {
			fields["of"] = of
		}
		return inngestgo.Event{Name: a.id + "/echo", Data: fields}
	}
	ids, err := step.SendMany(r.ctx, "emit", []inngestgo.Event{echo(1, ""), echo(2, "")})
	if err != nil {
		return nil, err
	}
	one, err := step.Send(r.ctx, "emit-one", echo(3, r.data.Of))
	if err != nil {
		return nil, err
	}
	return map[string]any{"ids": append(ids, one)}, nil
}

// crash has a step whose first call never ends: the test kills the app in it.
func crash(r *run) (any, error) {
	a, err := do(r, "a", give("A"))
	if err != nil {
		return nil, err
	}
	b, err := do(r, "b", give(a+"B"))
	if err != nil {
		return nil, err
	}
	c, err := do(r, "block", func() (string, error) {
		if r.app.calls.Count(r.token(), "block") == 1 {
			select {}
		}
		return b + "C", nil
	})
	if err != nil {
		return nil, err
	}
	return do(r, "d", give(c+"D"))
}
