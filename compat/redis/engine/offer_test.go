package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/queue"
)

// TestWorkerOfRefused: a worker who was kept for a job that a limit refuses gets the
// next one in line that none does.
func TestWorkerOfRefused(t *testing.T) {
	t.Parallel()
	const hash = "h"
	s := openOn(t, redistest.Open(t), engine.Limits{Keys: []engine.KeyLimit{{Scope: format.OfFunction, Hash: hash, Limit: 1}}})
	begin := func(value string) {
		what := start(newEvent(t, "suite/start", nil))
		what.Flow.Concurrency = []format.ConcurrencyKey{{Key: "f:" + functionID().String() + ":" + value, Hash: hash, Limit: 1}}
		_, _, err := s.Start(t.Context(), what)
		require.NoError(t, err)
	}
	begin("a")
	first := s.lease(queue.LaneCall)
	begin("a")
	begin("b")
	second := s.lease(queue.LaneCall)
	s.nothing(queue.LaneCall)
	s.finish(first)
	s.finish(s.lease(queue.LaneCall))
	s.finish(second)
}
