package pipeline

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	// inFlight is how many round trips are made at the same time. What is asked
	// meanwhile goes with the next one: more would carry less each.
	inFlight = 2
	// mostAtOnce is how many commands one carries.
	mostAtOnce = 64
)

// Gather makes commands that are sent at the same time share round trips, each
// with its own answer. It costs nobody who is alone any time. Commands that are not
// among those that it knows, and transactions, go by themselves.
func Gather(client redis.UniversalClient) { client.AddHook(&gatherer{client: client}) }

// gatherer is the hook of a client.
type gatherer struct {
	client redis.UniversalClient

	mu      sync.Mutex
	waiting []*errand
	flying  int // round trips
}

// errand are commands of one who waits for their answers.
type errand struct {
	commands []redis.Cmder
	done     chan struct{}
}

// gathered are the commands that share round trips: none of them waits for
// something, or is about the connection that it is sent on.
var gathered = map[string]bool{
	"eval": true, "evalsha": true, "get": true, "set": true, "del": true, "exists": true, "mget": true,
	"hget": true, "hmget": true, "hgetall": true, "hlen": true, "hscan": true, "hset": true, "hdel": true,
	"zrangebyscore": true, "zrange": true, "zcard": true, "zrem": true, "smembers": true, "srem": true,
}

// alone is the mark of a context whose commands go by themselves.
type alone struct{}

// Alone is a context whose commands are sent at once, by themselves: those of one
// for whom many others wait.
func Alone(ctx context.Context) context.Context { return context.WithValue(ctx, alone{}, true) }

func fits(ctx context.Context, commands ...redis.Cmder) bool {
	for _, c := range commands {
		if !gathered[c.Name()] {
			return false
		}
	}
	return len(commands) > 0 && ctx.Value(alone{}) == nil
}

// DialHook implements redis.Hook.
func (g *gatherer) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (g *gatherer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if !fits(ctx, command) {
			return next(ctx, command)
		}
		return g.send(ctx, command)
	}
}

// ProcessPipelineHook implements redis.Hook.
func (g *gatherer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		if !fits(ctx, commands...) {
			return next(ctx, commands)
		}
		return g.send(ctx, commands...)
	}
}

// send sends commands with what others send, and waits for their answers. The
// first error among them is returned.
func (g *gatherer) send(ctx context.Context, commands ...redis.Cmder) error {
	e := &errand{commands: commands, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, e)
	if g.flying < inFlight {
		g.flying++
		go g.fly()
	}
	g.mu.Unlock()
	select {
	case <-e.done:
	case <-ctx.Done():
		if g.withdraw(e) {
			fail(commands, context.Cause(ctx))
		} else {
			<-e.done // it is on its way: its answers are being written
		}
	}
	for _, c := range commands {
		if err := c.Err(); err != nil {
			return err
		}
	}
	return nil
}

// withdraw takes an errand back; false when it is on its way.
func (g *gatherer) withdraw(e *errand) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.waiting {
		if other == e {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return true
		}
	}
	return false
}

func fail(commands []redis.Cmder, err error) {
	for _, c := range commands {
		c.SetErr(err)
	}
}

// fly makes round trips as long as somebody waits for one.
func (g *gatherer) fly() {
	for errands := g.take(); errands != nil; errands = g.take() {
		pipe := g.client.Pipeline()
		for _, e := range errands {
			for _, c := range e.commands {
				_ = pipe.Process(context.Background(), c) // which adds it
			}
		}
		// Each command has its own answer. How long that may take says the client.
		_, _ = pipe.Exec(Alone(context.Background()))
		for _, e := range errands {
			close(e.done)
		}
	}
}

// take are the errands that go together next; nil when there are none: then this
// round trip is the last.
func (g *gatherer) take() []*errand {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.flying--
		return nil
	}
	commands := 0
	for i, e := range g.waiting {
		if commands += len(e.commands); commands > mostAtOnce && i > 0 {
			errands := g.waiting[:i:i]
			g.waiting = append([]*errand(nil), g.waiting[i:]...)
			return errands
		}
	}
	errands := g.waiting
	g.waiting = nil
	return errands
}
