package bus

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// followed reads n records of the log after a sequence.
func followed(t *testing.T, b *Bus, after uint64, n int) []LogRecord {
	t.Helper()
	got := make(chan LogRecord, 100)
	stop, err := b.FollowLog(t.Context(), 0, after, func(r LogRecord) { got <- r })
	require.NoError(t, err)
	defer stop()
	var records []LogRecord
	for range n {
		select {
		case r := <-got:
			require.False(t, r.StoredAt.IsZero())
			records = append(records, r)
		case <-t.Context().Done():
			t.Fatal("the test ended first")
		}
	}
	return records
}

// TestFollowLogFromAnywhere has a log with what a stale writer left, and with a
// record of several messages.
func TestFollowLogFromAnywhere(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	older := openLog(t, b)
	_, err := appendOne(t, older, []byte("older"))
	require.NoError(t, err)
	newer := openLog(t, b)
	_, err = appendOne(t, newer, []byte("newer"))
	require.NoError(t, err)
	appendMany(t, older, "stale", 20)
	require.Eventually(t, func() bool { // all but the first are stored after it was refused
		_, last, err := b.LogBounds(t.Context(), 0)
		return err == nil && last == 21
	}, 10*time.Second, time.Millisecond)
	again := openLog(t, b)
	large := bytes.Repeat([]byte("large"), b.chunkSize()/4)
	for _, record := range [][]byte{[]byte("again"), large, []byte("last")} {
		_, err = appendOne(t, again, record)
		require.NoError(t, err)
	}
	want := [][]byte{[]byte("older"), []byte("newer"), []byte("again"), large, []byte("last")}
	all := followed(t, b, 0, len(want))
	for i, r := range all {
		require.Equal(t, want[i], r.Data)
		rest := followed(t, b, r.Seq, len(want)-i-1)
		require.Equal(t, all[i+1:], append([]LogRecord{}, rest...), "after %d", r.Seq)
	}
	first, last, err := b.LogBounds(t.Context(), 0)
	require.NoError(t, err)
	require.EqualValues(t, 1, first)
	require.Equal(t, all[4].Seq, last)
	require.NoError(t, again.Purge(t.Context(), all[2].Seq))
	require.Equal(t, all[3:], followed(t, b, 0, 2), "what was before is purged")
}

func TestFollowEvents(t *testing.T) {
	t.Parallel()
	b := open(t, Config{StoreDir: t.TempDir(), Partitions: 3})
	first, last, err := b.EventBounds(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, []uint64{1, 0}, []uint64{first, last})
	require.NoError(t, b.Publish(t.Context(), numbered(5)))
	got := make(chan *Delivery, 10)
	stop, err := b.FollowEvents(t.Context(), 2, func(d *Delivery) { got <- d })
	require.NoError(t, err)
	defer stop()
	for seq := uint64(3); seq <= 5; seq++ {
		require.Equal(t, seq, (<-got).Seq)
	}
	_, last, err = b.EventBounds(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 5, last)
}
