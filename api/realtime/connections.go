package realtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"jetstep/jcs"
)

var errDraining = errors.New("server is shutting down")

// connections are those of subscribers, so that they can be ended.
type connections struct {
	// closing is closed when connections are to end in good order, and cut
	// ends when they are to end at once.
	closing chan struct{}
	cut     context.Context
	cutNow  context.CancelFunc

	mu       sync.Mutex
	draining bool
	closed   bool
	open     map[*subscriber]bool // those told true are sent a closing message
	ended    sync.WaitGroup
}

func (c *connections) init() {
	c.closing, c.open = make(chan struct{}), map[*subscriber]bool{}
	c.cut, c.cutNow = context.WithCancel(context.Background())
}

// begin registers a connection until end is called. notify has it told that
// the server is about to end. It fails with errDraining.
func (c *connections) begin(sub *subscriber, notify bool) (end func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return nil, errDraining
	}
	c.open[sub] = notify
	c.ended.Add(1)
	return func() {
		c.mu.Lock()
		delete(c.open, sub)
		c.mu.Unlock()
		c.ended.Done()
	}, nil
}

// count is the number of open connections.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

func (c *connections) drain(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return
	}
	c.draining = true
	body, err := jcs.Encode(message{Kind: kindClosing, CreatedAt: now.UTC()})
	if err != nil {
		panic(err) // it is always the same
	}
	for sub, notify := range c.open {
		if notify {
			sub.push(frame{body: body})
		}
	}
}

// close ends the connections, and cuts off those that are left when ctx ends.
func (c *connections) close(ctx context.Context) {
	c.mu.Lock()
	c.draining = true
	if !c.closed {
		c.closed = true
		close(c.closing)
	}
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, c.cutNow)
	defer stop()
	c.ended.Wait()
	c.cutNow()
}
