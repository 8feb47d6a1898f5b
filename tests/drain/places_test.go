package drain_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// TestDrainPlaces: a limit on runs in progress counts those of both, also while they
// only wait, and events join the batch that was open in the Redis.
func TestDrainPlaces(t *testing.T) {
	t.Parallel()
	const runs = 4 // of each
	s := newSite(t)
	s.onRedis()
	s.send("places", 0, runs)
	s.event("drain/gathers", 0, "gathers-0")
	s.event("drain/gathers", 1, "gathers-1")
	s.await("runs to have their places", func(context.Context) error { return s.inProgress("places", limit) })
	s.paused(limit)
	s.gathered(2)
	require.NoError(t, s.server.Kill())
	s.quiet()

	s.draining()
	s.send("places", 100, runs)
	s.event("drain/gathers", 2, "gathers-2")
	s.ended("gathers", 0)
	tries := 0
	s.await("all places to be given back", func(context.Context) error {
		if left := s.waiting("places"); len(left) > 0 {
			tries++ // an event that comes before its run waits for it is for nobody
			for _, n := range left {
				s.event("drain/go", n, fmt.Sprintf("go-%d-%d", n, tries))
			}
		}
		return s.finished("places", 2*runs)
	})
	s.drained()

	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	require.Equal(t, limit, s.app.peaks["places"], "limits hold over both")
	require.Equal(t, 3, s.app.sizes["gathers 0"], "one batch of events from before and since")
	require.Zero(t, s.app.began["gathers 2"])
	require.Len(t, s.app.ended["gathers 0"], 1)
}

// inProgress tells whether that many runs of a function are.
func (s *site) inProgress(function string, runs int) error {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	if now := s.app.live[function]; now < runs {
		return fmt.Errorf("%d runs of %s", now, function)
	}
	return nil
}

// waiting are the runs of a function that have begun and not ended, by number.
func (s *site) waiting(function string) (numbers []int) {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	for run := range s.app.began {
		var n int
		if _, err := fmt.Sscanf(run, function+" %d", &n); err == nil && len(s.app.ended[run]) == 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// finished tells whether that many runs of a function have ended.
func (s *site) finished(function string, runs int) error {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	ended := 0
	for run := range s.app.ended {
		var n int
		if _, err := fmt.Sscanf(run, function+" %d", &n); err == nil {
			ended++
		}
	}
	if ended < runs {
		return fmt.Errorf("%d of %d have ended", ended, runs)
	}
	return nil
}

// gathered waits until so many events are in batches in the Redis.
func (s *site) gathered(want int64) {
	s.t.Helper()
	options, err := redis.ParseURL(s.redis.URL(0))
	require.NoError(s.t, err)
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	s.await("events to be gathered", func(ctx context.Context) error {
		names, err := client.Keys(ctx, "{queue:*}:batches:*").Result()
		if err != nil {
			return err
		}
		have := int64(0)
		for _, name := range names {
			have += client.LLen(ctx, name).Val() // 0 for metadata
		}
		if have < want {
			return fmt.Errorf("%d of %d are", have, want)
		}
		return nil
	})
}
