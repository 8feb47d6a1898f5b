package partition

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/state"
)

func TestTheObserverIsTold(t *testing.T) {
	t.Parallel()
	var matched, late, appended, records, compacted atomic.Int64
	s := newSiteIn(t, busConfig(t, 1), func(n *Node) {
		n.compactBytes = 8 << 10
		n.observer = Observer{
			Matched: func(lag time.Duration) {
				if lag > -time.Second && lag < patience {
					matched.Add(1)
				}
			},
			Late: func(by time.Duration) {
				if by >= time.Minute {
					late.Add(1)
				}
			},
			Appended:  func(bytes, n int, _ time.Duration) { appended.Add(int64(bytes)); records.Add(int64(n)) },
			Compacted: func(bytes int) { compacted.Add(int64(bytes)) },
		}
	})
	s.register(on("fn", "begin"))
	s.send("no/one", `{}`)
	lease := s.begin("begin")
	s.eventually(func() bool { return matched.Load() == 2 })
	require.Positive(t, appended.Load())
	require.Positive(t, records.Load())

	again := complete(lease, ``)
	again.Finish, again.Then, again.RetryAt = nil, state.JobRetry, s.now().Add(time.Minute).UnixMilli()
	s.commit(again)
	require.Zero(t, late.Load())
	s.advance(2 * time.Minute)
	lease = s.call()
	require.EqualValues(t, 1, late.Load())
	s.commit(complete(lease, `1`))

	for rounds := 0; compacted.Load() == 0; rounds++ {
		require.Less(t, rounds, 100, "the log is not compacted")
		for range 16 {
			s.commit(complete(s.begin("begin"), `"some output"`))
		}
		s.delivered()
		s.advance(0) // a tick compacts
	}
	require.GreaterOrEqual(t, compacted.Load(), int64(8<<10))
}
