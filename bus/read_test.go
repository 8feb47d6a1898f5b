package bus

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// foreign puts a message that is no event of Jetstep's into EVENTS.
func foreign(t *testing.T, b *Bus, subject string, header nats.Header, body string) {
	t.Helper()
	_, err := b.Conn().RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: []byte(body)}, patience)
	require.NoError(t, err)
}

func TestEventsBetween(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	var events []*Event
	for i := range 10 {
		events = append(events, event([]string{"app/a", "app/b", "app/a.b"}[i%3], i))
	}
	require.NoError(t, b.Publish(t.Context(), events))
	for _, c := range []struct {
		name        string
		after, upTo uint64
		most        int
		want        []int
	}{
		{"app/a", 0, 10, 99, []int{0, 3, 6, 9}},
		{"app/a", 1, 9, 99, []int{3, 6}},
		{"app/a", 0, 10, 2, []int{0, 3}},
		{"app/a", 4, 4, 99, nil},
		{"app/a", 10, 20, 99, nil},
		{"app/b", 0, 100, 99, []int{1, 4, 7}},
		{"app/none", 0, 10, 99, nil},
	} {
		var got []int
		err := b.EventsBetween(t.Context(), c.name, c.after, c.upTo, func(d *Delivery) bool {
			require.Equal(t, c.name, d.Name)
			got = append(got, number(t, d))
			return len(got) < c.most
		})
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%s in (%d, %d]", c.name, c.after, c.upTo)
	}
}

func TestEventsBetweenPassesOverForeignMessages(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	foreign(t, b, EventSubject(0, "app/n"), nats.Header{HeaderEventID: {"no ULID"}}, `{}`)
	foreign(t, b, EventSubject(0, "app/n"), nats.Header{HeaderSource: {"x"}}, `{}`)
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	var seqs []uint64
	require.NoError(t, b.EventsBetween(t.Context(), "app/n", 0, 4, func(d *Delivery) bool {
		seqs = append(seqs, d.Seq)
		return true
	}))
	require.Equal(t, []uint64{1, 4}, seqs)
}

func TestEventAt(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	events := numbered(3)
	require.NoError(t, b.Publish(t.Context(), events))
	foreign(t, b, EventSubject(0, "app/n"), nil, `not JSON`)
	foreign(t, b, eventPrefix+"x", nil, `{}`)

	got, err := b.EventAt(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, events[1].InternalID, got.InternalID)
	require.Equal(t, uint64(2), got.Seq)

	for _, seq := range []uint64{4, 5} {
		_, err = b.EventAt(t.Context(), seq)
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrNoEvent)
	}
	_, err = b.EventAt(t.Context(), 99)
	require.ErrorIs(t, err, ErrNoEvent)
	require.NoError(t, b.purge(t.Context(), eventsStream, 2))
	_, err = b.EventAt(t.Context(), 2)
	require.ErrorIs(t, err, ErrNoEvent)
}

func TestReadingReportsErrors(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.EventAt(ended, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, b.EventsBetween(ended, "app/n", 0, 1, func(*Delivery) bool { return true }), context.Canceled)
	_, err = b.LastEventSequence(ended)
	require.ErrorIs(t, err, context.Canceled)

	require.NoError(t, b.control.js.DeleteStream(t.Context(), eventsStream))
	_, err = b.EventAt(t.Context(), 1)
	require.ErrorContains(t, err, "event at sequence 1")
	_, err = b.LastEventSequence(t.Context())
	require.ErrorContains(t, err, "stream EVENTS")
}

func TestLastEventSequence(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	last, err := b.LastEventSequence(t.Context())
	require.NoError(t, err)
	require.Zero(t, last)
	require.NoError(t, b.Publish(t.Context(), numbered(5)))
	require.NoError(t, b.purge(t.Context(), eventsStream, 5))
	last, err = b.LastEventSequence(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(5), last, "purged events keep their numbers")
}
