package bus

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTraces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := Open(t.Context(), Config{StoreDir: dir, Partitions: 2})
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	first, last, err := b.TraceBounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 0}, []uint64{first, last})
	require.NoError(t, b.PublishTraces(t.Context(), []byte("a")))
	require.NoError(t, b.PublishTraces(t.Context(), []byte("b")))
	require.ErrorIs(t, b.PublishTraces(t.Context(), make([]byte, b.MaxPayload()+1)), ErrTooLarge)

	b.Close()
	b, err = Open(t.Context(), Config{StoreDir: dir})
	require.NoError(t, err)
	require.NoError(t, b.PublishTraces(t.Context(), []byte("c")))
	type message struct {
		seq  uint64
		data string
	}
	got := make(chan message, 3)
	stop, err := b.ConsumeTraces(t.Context(), 1, func(seq uint64, at time.Time, data []byte) {
		require.WithinDuration(t, time.Now(), at, time.Hour)
		got <- message{seq, string(data)}
	})
	require.NoError(t, err)
	defer stop()
	require.Equal(t, message{2, "b"}, wait(t, got))
	require.Equal(t, message{3, "c"}, wait(t, got))

	b.Close()
	require.ErrorIs(t, b.PublishTraces(t.Context(), []byte("d")), ErrNotDurable)
}

// TestTracesAreMadeAnew: an installation without the stream is complete.
func TestTracesAreMadeAnew(t *testing.T) {
	t.Parallel()
	srv := startNATS(t, nil)
	b := srv.open(nil)
	require.NoError(t, b.control.js.DeleteStream(t.Context(), tracesStream))
	require.NoError(t, srv.open(nil).PublishTraces(t.Context(), []byte("a")))
}
