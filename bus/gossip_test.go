package bus

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What one process stores the others know of, also one that gets no events.
func TestProcessesKnowHowFarEventsGo(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	first, second := n.open(nil), n.open(nil)
	for range 3 {
		require.NoError(t, first.Publish(t.Context(), numbered(10)))
		eventually(t, func() bool { return second.LastEvent() == first.LastEvent() }, "the second hears of it")
	}
	require.EqualValues(t, 30, second.LastEvent())
	require.NoError(t, second.Publish(t.Context(), numbered(1)))
	eventually(t, func() bool { return first.LastEvent() == 31 }, "and the first of what the second stores")

	require.NoError(t, first.Conn().Publish(seenSubject, []byte("no number")))
	first.SawEvent(7)
	require.EqualValues(t, 31, first.LastEvent(), "it never goes back")
	third := n.open(nil)
	require.EqualValues(t, 31, third.LastEvent())
}
