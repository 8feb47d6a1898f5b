package bus

import (
	"bytes"
	"context"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	b := open(t, Config{StoreDir: t.TempDir(), Partitions: 2})
	for i := range 5 {
		// Repeated sends are one message; ids count for each kind and partition.
		for range 2 {
			require.NoError(t, b.SendCommand(t.Context(), 1, "start", strconv.Itoa(i), []byte("s"+strconv.Itoa(i))))
		}
		require.NoError(t, b.SendCommand(t.Context(), 1, "cancel", strconv.Itoa(i), []byte("c"+strconv.Itoa(i))))
		require.NoError(t, b.SendCommand(t.Context(), 0, "start", strconv.Itoa(i), []byte("other")))
	}
	last, err := b.LastCommandSequence(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, uint64(10), last)

	got := make(chan string, 100)
	stop, err := b.ConsumeCommands(t.Context(), 1, 2, func(seq uint64, data []byte) {
		got <- strconv.FormatUint(seq, 10) + string(data)
	})
	require.NoError(t, err)
	defer stop()
	for _, want := range []string{"3s1", "4c1", "5s2", "6c2", "7s3", "8c3", "9s4", "10c4"} {
		require.Equal(t, want, wait(t, got))
	}
	require.NoError(t, b.SendCommand(t.Context(), 1, "start", "an id. with > odd * text", []byte("odd")))
	require.Equal(t, "11odd", wait(t, got))

	require.NoError(t, b.PurgeCommands(t.Context(), 1, 9))
	info, err := b.findStream(t.Context(), inStream(1))
	require.NoError(t, err)
	require.Equal(t, uint64(10), info.State.FirstSeq)
	last, err = b.LastCommandSequence(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, uint64(11), last)
}

func TestSendCommandReportsErrors(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	err := b.SendCommand(t.Context(), 0, "start", "large", bytes.Repeat([]byte("x"), b.MaxPayload()+1))
	require.ErrorIs(t, err, ErrTooLarge)
	require.NotErrorIs(t, err, ErrNotDurable)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.SendCommand(ended, 0, "start", "1", nil), context.Canceled)
	require.ErrorIs(t, b.SendCommand(t.Context(), 99, "start", "1", nil), ErrNotDurable, "no such partition")
	_, err = b.LastCommandSequence(t.Context(), 99)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	require.ErrorIs(t, b.PurgeCommands(t.Context(), 99, 1), jetstream.ErrStreamNotFound)
}
