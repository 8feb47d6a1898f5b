package partition

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/state"
)

// slowRecorder is told of runs only when its gate is open.
type slowRecorder struct {
	Recorder
	gate atomic.Pointer[chan struct{}]
}

func (r *slowRecorder) RunScheduled(run *state.Run) {
	if gate := r.gate.Load(); gate != nil {
		<-*gate
	}
	r.Recorder.RunScheduled(run)
}

// A run that cannot be found because its log is being read is not said to be
// unknown.
func TestLoadingLastsUntilThePartitionIsServed(t *testing.T) {
	t.Parallel()
	rec := &slowRecorder{}
	s := newSiteIn(t, bus.Config{StoreDir: t.TempDir(), Partitions: 1}, func(n *Node) {
		rec.Recorder = n.history
		n.history = rec
	})
	s.register(on("fn", "begin"))
	run := s.begin("begin").RunID
	s.settled()
	require.False(t, s.node.Loading(run))

	gate := make(chan struct{})
	rec.gate.Store(&gate)
	old := s.node.owner(0)
	old.fail(errTest)
	s.eventually(func() bool { return s.node.Loading(run) })
	close(gate)
	s.eventually(func() bool { return !s.node.Loading(run) && s.node.owner(0) != nil && s.node.owner(0) != old })
}
