package partition

import (
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// Of three runs of a function that may execute one step, two wait, and say so
// until it is their turn.
func TestHeldJobs(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(limited("fn", "e", func(fn *function.Function) {
		fn.Concurrency = &function.Concurrency{Steps: []function.StepLimit{{Limit: 1, Scope: function.ScopeFunction}}}
	}))
	s.numbered("e", ``, 1, 2, 3)
	s.decided("success:3")
	s.eventually(func() bool { return s.node.Stats().Held == 2 })
	for waiting := 2; waiting >= 0; waiting-- {
		lease := s.call()
		_, held := s.node.Held(s.t.Context(), lease.RunID)
		require.False(t, held, "it is being executed")
		require.Empty(t, s.node.HeldJobs(s.t.Context(), lease.RunID))
		found := 0
		for _, run := range s.runs("fn") {
			limit, held := s.node.Held(s.t.Context(), run.ID)
			if !held {
				continue
			}
			found++
			require.Contains(t, limit, "concurrency")
			require.Equal(t, map[string]string{run.Jobs[0].ID: limit}, s.node.HeldJobs(s.t.Context(), run.ID))
		}
		require.Equal(t, waiting, found)
		s.commit(complete(lease, `1`))
	}
	require.Empty(t, s.node.HeldJobs(s.t.Context(), ulid.Make()))
}
