package bus

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// consumeNumbers gives what is delivered above after.
func consumeNumbers(t *testing.T, b *Bus, after uint64) (numbers <-chan int, stop func()) {
	t.Helper()
	c := make(chan int, 100_000)
	stop, err := b.ConsumeEvents(t.Context(), 0, after, func(d *Delivery) { c <- number(t, d) })
	require.NoError(t, err)
	t.Cleanup(stop)
	return c, stop
}

func TestConsumeEventsFromAPosition(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	require.NoError(t, b.Publish(t.Context(), numbered(3000)))
	for _, after := range []uint64{0, 1, 2999} {
		numbers, _ := consumeNumbers(t, b, after)
		for i := int(after); i < 3000; i++ {
			require.Equal(t, i, wait(t, numbers))
		}
	}
	// At the end, and beyond it, only what is new.
	numbers, _ := consumeNumbers(t, b, 3000)
	require.NoError(t, b.Publish(t.Context(), []*Event{event("app/n", 3000)}))
	require.Equal(t, 3000, wait(t, numbers))
}

func TestConsumeEventsOfOnePartition(t *testing.T) {
	t.Parallel()
	b := open(t, Config{StoreDir: t.TempDir(), Partitions: 3})
	names := []string{"app/a", "app/b", "app/c", "app/d", "app/e", "app/f", "app/g", "app/h"}
	var events []*Event
	want := [3]int{}
	for _, name := range names {
		events = append(events, event(name, 0))
		want[PartitionOf(name, 3)]++
	}
	require.NoError(t, b.Publish(t.Context(), events))
	for p := range 3 {
		names := make(chan string, len(events))
		stop, err := b.ConsumeEvents(t.Context(), p, 0, func(d *Delivery) { names <- d.Name })
		require.NoError(t, err)
		for range want[p] {
			require.Equal(t, p, PartitionOf(wait(t, names), 3))
		}
		stop()
		require.Empty(t, names)
	}
}

func TestConsumeEventsPassesOverForeignMessages(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	foreign(t, b, EventSubject(0, "app/n"), nats.Header{HeaderEventID: {"no ULID"}}, `{}`)
	foreign(t, b, EventSubject(0, "app/n"), nats.Header{HeaderSource: {"no source"}}, `{}`)
	foreign(t, b, eventPrefix+"0.bad%zz", nil, `{}`)
	foreign(t, b, eventPrefix+"0.empty", nil, "")
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	deliveries := make(chan *Delivery, 10)
	stop, err := b.ConsumeEvents(t.Context(), 0, 0, func(d *Delivery) { deliveries <- d })
	require.NoError(t, err)
	defer stop()
	// A body that is no event is for the handler to set aside.
	empty := wait(t, deliveries)
	require.Equal(t, "empty", empty.Name)
	_, err = empty.Event()
	require.ErrorContains(t, err, "event at sequence 4")
	require.Equal(t, uint64(5), wait(t, deliveries).Seq)
}

func TestConsumeEventsOverRestarts(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	numbers, _ := consumeNumbers(t, b, 0)
	next, expected := 0, 0
	for range 3 {
		for range 5 {
			for b.Publish(t.Context(), []*Event{event("app/n", next)}) != nil {
				// Tried again: it may be there twice, never out of order.
			}
			next++
		}
		n.restart()
		for expected < next {
			if got := wait(t, numbers); got != expected-1 {
				require.Equal(t, expected, got)
				expected++
			}
		}
	}
}

// A handler that blocks stops the server from sending, and nothing is lost.
func TestConsumeEventsWaitsForItsHandler(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	const events = 20
	data := []byte(`{"x":"` + strings.Repeat("x", 2<<20) + `"}`)
	for i := range events {
		e := event("app/large", i)
		e.Data = data
		require.NoError(t, b.Publish(t.Context(), []*Event{e}))
	}
	proceed, done := make(chan struct{}), make(chan struct{})
	var seqs []uint64
	stop, err := b.ConsumeEvents(t.Context(), 0, 0, func(d *Delivery) {
		<-proceed
		if seqs = append(seqs, d.Seq); len(seqs) == events {
			close(done)
		}
	})
	require.NoError(t, err)
	defer stop()
	// All that is asked for at once is bounded, whatever the handler does.
	eventually(t, func() bool { return b.control.nc.Stats().InBytes > deliveredAhead/2 }, "the first are sent")
	require.NoError(t, b.control.nc.Flush())
	require.Less(t, b.control.nc.Stats().InBytes, uint64(2*b.readAhead()))
	close(proceed)
	wait(t, done)
	for i, seq := range seqs {
		require.Equal(t, uint64(i+1), seq)
	}
}

func TestConsumeEventsStops(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	require.NoError(t, b.Publish(t.Context(), numbered(1000)))
	var running atomic.Bool
	started := make(chan struct{}, 1000)
	stop, err := b.ConsumeEvents(t.Context(), 0, 0, func(*Delivery) {
		running.Store(true)
		started <- struct{}{}
		running.Store(false)
	})
	require.NoError(t, err)
	wait(t, started)
	stop()
	require.False(t, running.Load(), "no handler runs when stop returns")
	seen := len(started)
	stop()
	require.NoError(t, b.Publish(t.Context(), numbered(10)))
	require.Equal(t, seen, len(started))
	stream, err := b.control.js.Stream(t.Context(), eventsStream)
	require.NoError(t, err)
	eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Consumers == 0
	}, "the consumer is removed from the server")
}

func TestConsumeReportsErrors(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.ConsumeEvents(ended, 0, 0, func(*Delivery) {})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, b.control.js.DeleteStream(t.Context(), inStream(0)))
	_, err = b.ConsumeCommands(t.Context(), 0, 0, func(uint64, uint64, []byte) {})
	require.ErrorContains(t, err, "consume IN_0")
}
