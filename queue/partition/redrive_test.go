package partition

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/queue"
	"jetstep/state"
)

// A function that has nothing to say is called again, each time later, until it
// gets further.
func TestEmptyAnswersAreAskedForLessOften(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	redriven := func(saves ...state.Save) (delay int64) {
		t.Helper()
		before := s.now().UnixMilli()
		s.commit(&state.Transition{RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Saves: saves})
		run := s.load(lease.RunID)
		require.Len(t, run.Jobs, 1)
		delay = run.Jobs[0].Due - before
		s.advance(time.Duration(delay+1) * time.Millisecond)
		lease = s.call()
		return delay
	}
	const slack = 60_000 // the machine may be slow
	for _, want := range []int64{100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000} {
		delay := redriven()
		require.GreaterOrEqual(t, delay, want)
		require.Less(t, delay, want+slack)
	}
	require.Zero(t, func() int { redriven(state.Save{Step: "a", Memo: json.RawMessage(`1`)}); return lease.Job.Generation }())
	require.Equal(t, 1, func() int { redriven(); return lease.Job.Generation }(), "from the beginning again")
	require.Equal(t, queue.LaneCall, queue.LaneOf(lease.Job.Kind))
}
