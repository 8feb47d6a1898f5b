package drain_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRedisIsKilled: a Redis that goes away while it is drained, again and again, ends
// no process and loses nothing; new runs go on meanwhile, and limits hold.
func TestRedisIsKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.onRedis()
	s.send("limited", 0, 6)
	s.send("waits", 0, 4)
	s.send("sleeps", 0, 4)
	s.begun("waits", 0, 4)
	s.begun("sleeps", 0, 4)
	s.paused(4)
	require.NoError(t, s.server.Kill())
	s.quiet()

	s.draining()
	s.send("limited", 100, 6)
	s.await("limited to run", func(context.Context) error { return s.running("limited", limit) })
	require.NoError(t, s.redis.Kill())
	s.send("waits", 100, 2)
	s.begun("waits", 100, 2) // on NATS, which is there
	s.event("drain/go", 100, "go-100")
	s.ended("waits", 100)
	require.NoError(t, s.redis.Restart(s.ctx))
	s.app.note(func() { s.app.slow = false })
	for n := range 4 {
		s.event("drain/go", n, fmt.Sprint("go-", n))
		s.ended("waits", n)
		require.NoError(t, s.redis.Kill())
		s.event("drain/go", 200+n, fmt.Sprint("go-", 200+n)) // for nobody
		require.NoError(t, s.redis.Restart(s.ctx))
	}
	s.event("drain/go", 101, "go-101")
	s.allEnded()
	s.drained()
	require.NoError(t, s.server.Exited(), "it never ended")

	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	require.Equal(t, limit, s.app.most["limited"], "limits hold over both")
}

// running tells whether that many calls of a function are being answered.
func (s *site) running(function string, calls int) error {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	if now := s.app.now[function]; now < calls {
		return fmt.Errorf("%d calls", now)
	}
	return nil
}

// ended waits until a run has.
func (s *site) ended(function string, n int) {
	s.t.Helper()
	run := fmt.Sprint(function, " ", n)
	s.await(run+" to end", func(context.Context) error {
		s.app.mu.Lock()
		defer s.app.mu.Unlock()
		if len(s.app.ended[run]) == 0 {
			return fmt.Errorf("it has not")
		}
		return nil
	})
}
