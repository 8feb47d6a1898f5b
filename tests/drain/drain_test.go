package drain_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// TestDrain: what a server on the Redis left, killed, goes on to its end beside new
// runs, though the process that drains is killed in the middle.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.onRedis()
	s.send("limited", 0, 6)
	for _, function := range []string{"waits", "sleeps", "hears", "calls", "single"} {
		s.send(function, 0, 1)
		s.begun(function, 0, 1)
	}
	s.send("waits", 1, 2)
	s.begun("waits", 1, 2)
	s.paused(5)
	require.NoError(t, s.server.Kill())
	s.quiet()

	s.draining()
	require.NotEmpty(t, s.server.Log().Mentioning(`"drain":"redis`), "it is said at the start")
	s.send("limited", 100, 6)
	s.send("waits", 100, 2)
	s.send("calls", 100, 1)
	s.begun("waits", 100, 2)
	s.event("drain/waits", 0, "waits-0") // its run is in the Redis
	s.event("drain/single", 1, "single-1")
	s.event("drain/go", 1, "go-1")
	s.event("drain/go", 101, "go-101")
	s.await("limited to run", func(context.Context) error { return s.running("limited", limit) })
	require.NoError(t, s.server.Kill())
	s.quiet()
	require.NoError(t, s.server.Restart(s.ctx))
	s.app.note(func() { s.app.slow = false })
	for _, n := range []int{0, 2, 100} {
		s.event("drain/go", n, fmt.Sprint("go-", n))
	}
	s.await("the signal to be heard", func(ctx context.Context) error {
		_, err := s.server.Client().Signal(ctx, "signal-0", "now")
		return err
	})
	s.allEnded()
	s.drained()

	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	require.LessOrEqual(t, s.app.most["limited"], limit, "limits hold over both")
	require.Equal(t, limit, s.app.most["limited"])
	require.Len(t, s.app.ended["waits 0"], 1, "an event that has a run makes no second one")
	require.Zero(t, s.app.began["single 1"], "the singleton is held by a run in the Redis")
	require.Contains(t, s.app.ended["hears 0"][0], "now")
	require.Contains(t, s.app.ended["calls 0"][0], "callee 0")
	for _, n := range []int{0, 1, 2, 100, 101} {
		require.Contains(t, s.app.ended[fmt.Sprint("waits ", n)][0], fmt.Sprintf(`"n":%d`, n))
	}
}

// paused waits until so many waits are in the Redis.
func (s *site) paused(want int) {
	s.t.Helper()
	options, err := redis.ParseURL(s.redis.URL(0))
	require.NoError(s.t, err)
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	s.await("runs to wait", func(ctx context.Context) error {
		names, err := client.Keys(ctx, "{estate}:pauses:*").Result()
		if err == nil && len(names) < want {
			err = fmt.Errorf("%d of %d do", len(names), want)
		}
		return err
	})
}
