package main

import (
	"context"
	"os"
)

// untilSignal returns a context that ends with the first signal. The second
// one ends the process with code 1, for people who will not wait. stop must be
// called when signals are no longer of interest.
func untilSignal(ctx context.Context, signals <-chan os.Signal, exit func(code int)) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		for _, react := range []func(){cancel, func() { exit(1) }} {
			select {
			case <-signals:
				react()
			case <-stopped:
				return
			}
		}
	}()
	return ctx, func() { close(stopped); cancel() }
}
