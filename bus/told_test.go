package bus

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestToldComesInOrder(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	large := bytes.Repeat([]byte("x"), 2*b.chunkSize()+7)
	for _, data := range [][]byte{[]byte("a"), large, []byte("b")} {
		require.NoError(t, b.PublishTold(t.Context(), "w", data))
	}
	type payload struct {
		seq  uint64
		data []byte
	}
	read := func(after uint64, n int) []payload {
		got := make(chan payload, 8)
		stop, err := b.ConsumeTold(t.Context(), after, func(seq uint64, at time.Time, data []byte) {
			got <- payload{seq, data}
		})
		require.NoError(t, err)
		defer stop()
		var all []payload
		for range n {
			all = append(all, wait(t, got))
		}
		return all
	}
	require.Equal(t, []payload{{1, []byte("a")}, {4, large}, {5, []byte("b")}}, read(0, 3))
	require.Equal(t, []payload{{5, []byte("b")}}, read(2, 1), "the rest of a payload is none")
	require.NoError(t, b.PurgeTold(t.Context(), 4))
	first, last, err := b.ToldBounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []uint64{5, 5}, []uint64{first, last})
}
