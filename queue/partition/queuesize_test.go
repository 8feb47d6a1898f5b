package partition

import (
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/function"
)

func TestQueueSize(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("a", "e"), on("b", "e", "f"))
	a, b := function.FunctionID("a", "a"), function.FunctionID("b", "b")
	require.Zero(t, s.node.QueueSize(a))
	s.publish(newEvent("e", `{}`), newEvent("f", `{}`))
	awaitStarted(s, "a", "b", "b")
	require.Equal(t, 1, s.node.QueueSize(a))
	require.Equal(t, 2, s.node.QueueSize(b))
}
