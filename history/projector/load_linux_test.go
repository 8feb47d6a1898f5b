package projector

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoadMeter(t *testing.T) {
	t.Parallel()
	var m loadMeter
	require.Zero(t, m.add("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4"), "nothing to compare with")
	require.InDelta(t, 0.75, m.add("cpu  150 0 75 815 60 0 0 0 0 0\n"), 0.001)
	require.InDelta(t, 1, m.add("cpu  250 0 75 815 60 0 0 0 0 0\n"), 0.001)
	require.Zero(t, m.add("cpu  250 0 75 815 60 0 0 0 0 0\n"), "no time has passed")
	require.Zero(t, m.add("cpu  x 0 75 815 60 0\n"))
	require.Zero(t, m.add("something else"))
	require.GreaterOrEqual(t, m.sample(), 0.0)
}
