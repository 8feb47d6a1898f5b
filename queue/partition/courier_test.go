package partition

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/state"
)

func messages(numbers ...uint64) []state.Sent {
	var list []state.Sent
	for _, n := range numbers {
		list = append(list, state.Sent{To: 1, N: n, Message: state.Message{Kind: state.MessageUnwatch, Name: "x"}})
	}
	return list
}

func numbersOf(list []state.Sent) (numbers []uint64) {
	for _, s := range list {
		numbers = append(numbers, s.N)
	}
	return numbers
}

// quietly gives a partition a courier that does nothing by itself, and puts
// messages to a destination into its outbox.
func quietly(s *site, p, to int, n uint64) (*Owner, *courier) {
	o := s.node.owner(p)
	o.courier.stop()
	c := newCourier(o)
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := uint64(1); i <= n; i++ {
		e := newEvent("x", `{}`)
		o.index.ApplyOp(&state.Sent{To: to, N: i, Message: state.Message{
			Kind: state.MessageEvent, Event: &state.SentEvent{InternalID: e.InternalID, ID: e.ID, Name: "x", Data: e.Data, TS: 1},
		}}, 0)
		o.durable[to] = i
	}
	return o, c
}

// What is decided but not durable may be undone: nobody may act on it.
func TestCourierSendsOnlyWhatIsDurable(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	o, c := quietly(s, 0, 1, 2)
	o.mu.Lock()
	o.index.ApplyOp(&messages(3)[0], 0)
	o.mu.Unlock()
	c.resend(map[int]uint64{}, true)
	require.Equal(t, []uint64{1, 2}, numbersOf(c.wait[1]))
}

func TestResendKeepsTheOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	o, c := quietly(s, 0, 1, 5)
	for name, queued := range map[string][]uint64{
		"nothing is queued": nil, "all of it": {1, 2, 3, 4, 5}, "the end": {4, 5}, "more than was looked at": {4, 5, 6, 7}, "a middle": {2, 3},
	} {
		c.wait = map[int][]state.Sent{1: messages(queued...)}
		c.resend(map[int]uint64{}, true)
		got := numbersOf(c.wait[1])
		require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7}[:len(got)], got, name)
		require.GreaterOrEqual(t, len(got), 5, name)
	}
	c.wait = map[int][]state.Sent{}
	stale := map[int]uint64{}
	c.resend(stale, false)
	require.Empty(t, c.wait, "it has only just been sent")
	o.confirm(1, 1)
	c.resend(stale, false)
	require.Empty(t, c.wait, "it makes progress")
	c.resend(stale, false)
	require.Equal(t, []uint64{2, 3, 4, 5}, numbersOf(c.wait[1]))
	o.confirm(1, 5)
	c.wait = map[int][]state.Sent{}
	c.resend(stale, true)
	require.Empty(t, c.wait)
}

// A command stream drops repeats, so that a message which overtook another
// there could not be sent again after it.
func TestForwardDoesNotOvertake(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	o, c := quietly(s, 0, 1, 3)
	other := s.node.owners[1].Swap(nil) // another process owns it
	defer s.node.owners[1].Store(other)
	stored := func() uint64 {
		n, err := s.bus.LastCommandSequence(t.Context(), 1)
		require.NoError(t, err)
		return n
	}
	c.forward(t.Context(), 1, messages(2))
	require.Zero(t, stored())
	c.forward(t.Context(), 1, messages(1, 2))
	require.EqualValues(t, 2, stored())
	require.EqualValues(t, 3, nextFor(o, 1))
	c.forward(t.Context(), 1, messages(1, 2, 3))
	require.EqualValues(t, 3, stored(), "what is delivered is not sent again")
	require.EqualValues(t, 4, nextFor(o, 1))
}

// After events that could not be published, later ones must not be: their
// confirmation would confirm the lost ones.
func TestPublishDoesNotOvertake(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	to := state.EventsOf(s.node.partitionOf("x"))
	o, c := quietly(s, 0, to, 3)
	all := o.index.Outbox(to).Waiting
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	c.publish(gone, map[int][]state.Sent{to: all[:2]})
	c.publish(t.Context(), map[int][]state.Sent{to: all[2:]})
	require.EqualValues(t, 1, nextFor(o, to))
	c.publish(t.Context(), map[int][]state.Sent{to: all})
	require.EqualValues(t, 4, nextFor(o, to))
	s.eventually(func() bool { return s.rec.count(s.rec.events, "x") == 3 })
}

func nextFor(o *Owner, to int) uint64 {
	next, _ := o.nextFor(to)
	return next
}

// Where an owner took over, numbers make a jump: what is after it says that all
// before it is delivered.
func TestPublishAfterATakeover(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	to := state.EventsOf(s.node.partitionOf("x"))
	o, c := quietly(s, 0, to, 3)
	o.mu.Lock()
	event := o.index.Outbox(to).Waiting[0].Message
	for n := range uint64(3) {
		o.index.ApplyOp(&state.Sent{To: to, N: 1000 + n, Message: event}, 0)
	}
	all := slices.Clone(o.index.Outbox(to).Waiting)
	o.mu.Unlock()
	require.Equal(t, 3, oneByOne(all, 10))
	require.Equal(t, 2, oneByOne(all, 2))
	require.Equal(t, 3, oneByOne(all[3:], 10))
	require.Zero(t, oneByOne(nil, 10))
	c.publish(t.Context(), map[int][]state.Sent{to: all})
	require.EqualValues(t, 1003, nextFor(o, to))
	s.eventually(func() bool { return s.rec.count(s.rec.events, "x") == 6 })
}
