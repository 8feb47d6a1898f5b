package main

import (
	"context"
	"sync"
)

// Gates keep the bodies of steps waiting until the test lets them through, so
// that a test decides how long a step takes, and in which order steps end.
type Gates struct {
	mu      sync.Mutex
	byToken map[string]*gate
}

// gate is how many more may pass, or else who waits.
type gate struct {
	free    int
	waiting []chan struct{}
}

// Pass returns when the gate of this token lets one more through, or with an
// error when ctx ends.
func (g *Gates) Pass(ctx context.Context, token string) error {
	g.mu.Lock()
	of := g.of(token)
	if of.free > 0 {
		of.free--
		g.mu.Unlock()
		return nil
	}
	through := make(chan struct{})
	of.waiting = append(of.waiting, through)
	g.mu.Unlock()
	select {
	case <-through:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Let lets n through: first those that wait, in order, then those to come.
func (g *Gates) Let(token string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.of(token)
	of.free += n
	for of.free > 0 && len(of.waiting) > 0 {
		of.free--
		close(of.waiting[0])
		of.waiting = of.waiting[1:]
	}
}

// of is called with the mutex held.
func (g *Gates) of(token string) *gate {
	if g.byToken == nil {
		g.byToken = map[string]*gate{}
	}
	if g.byToken[token] == nil {
		g.byToken[token] = &gate{}
	}
	return g.byToken[token]
}
