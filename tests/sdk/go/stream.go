package main

import (
	"errors"
	"time"

	"github.com/inngest/inngestgo/step"
)

// streamFunctions belong to an app that streams its responses.
func streamFunctions(*app) []function {
	return []function{{id: "stream", retries: 2, body: stream}}
}

// stream has a slow step, during which the stream carries white space.
func stream(r *run) (any, error) {
	a, err := do(r, "a", give(1))
	if err != nil {
		return nil, err
	}
	slow, err := do(r, "slow", func() (string, error) {
		<-time.After(1200 * time.Millisecond)
		return "s", nil
	})
	if err != nil {
		return nil, err
	}
	step.Sleep(r.ctx, "nap", time.Second)
	flaky, err := do(r, "flaky", func() (string, error) {
		if r.attempt() == 0 {
			return "", errors.New("first time")
		}
		return "f", nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"a": a, "slow": slow, "flaky": flaky}, nil
}
