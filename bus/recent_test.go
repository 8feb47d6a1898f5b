package bus

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestRecentEvents(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	receipts, err := b.RecentEvents(t.Context(), 5)
	require.NoError(t, err)
	require.Empty(t, receipts)

	events := numbered(7)
	require.NoError(t, b.Publish(t.Context(), events))
	receipts, err = b.RecentEvents(t.Context(), 5)
	require.NoError(t, err)
	require.Len(t, receipts, 5)
	for i, r := range receipts {
		want := events[2+i]
		require.Equal(t, want.InternalID, r.InternalID)
		require.Equal(t, want.Name, r.Name)
		require.EqualValues(t, 3+i, r.Seq)
		require.False(t, r.StoredAt.IsZero())
	}

	foreign(t, b, EventSubject(0, "app/n"), nats.Header{HeaderEventID: {"no ULID"}}, `{}`)
	foreign(t, b, EventSubject(0, "app/raw"), nil, `{"name":"app/raw"}`)
	receipts, err = b.RecentEvents(t.Context(), 100)
	require.NoError(t, err)
	require.Len(t, receipts, 8, "all, but not what is no event")
	raw, err := b.EventAt(t.Context(), 9)
	require.NoError(t, err)
	require.Equal(t, raw.InternalID, receipts[7].InternalID, "the id that the event has everywhere")
}
