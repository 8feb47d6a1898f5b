package main

import (
	"context"
	"os"
	"time"
)

// oneSignal is how long signals count as the first one: tools that run
// commands pass on a signal that the terminal, or the process group, has sent
// to everyone already.
const oneSignal = time.Second

// untilSignal returns a context that ends with the first signal. Another one,
// later than oneSignal, ends the process with code 1, for people who will not
// wait. stop must be called when signals are no longer of interest.
func untilSignal(ctx context.Context, signals <-chan os.Signal, exit func(code int)) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case <-signals:
			case <-stopped:
				return
			}
			switch {
			case first.IsZero():
				first = time.Now()
				cancel()
			case time.Since(first) > oneSignal:
				exit(1)
				return
			}
		}
	}()
	return ctx, func() { close(stopped); cancel() }
}
