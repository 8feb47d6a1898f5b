package bus

import (
	"bytes"
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
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
	stop, err := b.ConsumeCommands(t.Context(), 1, 2, func(seq, upTo uint64, data []byte) {
		assert.Equal(t, seq, upTo)
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
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.SendCommand(ended, 0, "start", "1", nil), context.Canceled)
	require.ErrorIs(t, b.SendCommand(t.Context(), 99, "start", "1", nil), ErrNotDurable, "no such partition")
	_, err := b.LastCommandSequence(t.Context(), 99)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	require.ErrorIs(t, b.PurgeCommands(t.Context(), 99, 1), jetstream.ErrStreamNotFound)
}

// What no message holds comes in one piece, also when parts of others come between,
// a sender gave up in the middle, or the receiver begins anew.
func TestLargeCommands(t *testing.T) {
	t.Parallel()
	n := startNATS(t, func(o *server.Options) { o.MaxPayload = minPayload })
	b, other := n.open(nil), n.open(nil)
	large := func(c string, parts int) []byte { return bytes.Repeat([]byte(c), (parts-1)*b.chunkSize()+1) }
	require.NoError(t, b.SendCommand(t.Context(), 0, "message", "a", large("a", 3)))

	// The parts of two senders, one of which sends all again.
	sendFirstPart(t, b, "b", large("b", 3))
	require.NoError(t, other.SendCommand(t.Context(), 0, "message", "c", []byte("c")))
	require.NoError(t, other.SendCommand(t.Context(), 0, "message", "d", large("d", 2)))
	require.NoError(t, b.SendCommand(t.Context(), 0, "message", "b", large("b", 3)))

	type got struct {
		upTo uint64
		data string
	}
	receive := func(after uint64, count int) (all []got) {
		t.Helper()
		commands := make(chan got, 100)
		stop, err := b.ConsumeCommands(t.Context(), 0, after, func(_, upTo uint64, data []byte) { commands <- got{upTo, string(data)} })
		require.NoError(t, err)
		defer stop()
		for range count {
			all = append(all, wait(t, commands))
		}
		return all
	}
	a, c, d, whole := got{3, string(large("a", 3))}, got{3, "c"}, got{3, string(large("d", 2))}, got{3, string(large("b", 3))}
	require.Equal(t, []got{a, c, d, whole}, receive(0, 4), "the sequence stays before what is not complete")
	require.Equal(t, []got{c, d, whole}, receive(3, 3))
	whole.upTo, d.upTo = 10, 7
	require.Equal(t, []got{d, whole}, receive(5, 2), "who begins behind its first part does not wait for it")
	require.Equal(t, []got{whole}, receive(6, 1), "half a command is none")
}

// sendFirstPart is what is left of a sender that died then.
func sendFirstPart(t *testing.T, b *Bus, id string, data []byte) {
	t.Helper()
	part, chunk := b.part(data, 0, chunks(len(data), b.chunkSize()))
	require.NoError(t, b.store(t.Context(), &nats.Msg{Subject: inPrefix + "0.message." + id, Data: part,
		Header: nats.Header{headerWriter: {"who died"}, headerChunk: {chunk}}}))
}

// After some time nobody waits for the rest of a command any more.
func TestInboxForgetsHalfCommands(t *testing.T) {
	t.Parallel()
	x, began := inbox{}, time.Now()
	header := func(writer, chunk string) nats.Header {
		return nats.Header{headerWriter: {writer}, headerChunk: {chunk}}
	}
	_, complete, err := x.add(5, began, header("w", "1/2"), []byte("a"))
	require.NoError(t, err)
	require.False(t, complete)
	_, complete, _ = x.add(6, began.Add(partsWithin), nil, []byte("b"))
	require.True(t, complete)
	require.EqualValues(t, 4, x.upTo(6))
	_, _, err = x.add(7, began.Add(partsWithin), header("v", "nonsense"), []byte("c"))
	require.Error(t, err)
	_, complete, _ = x.add(8, began.Add(partsWithin+1), nil, []byte("d"))
	require.True(t, complete)
	require.EqualValues(t, 8, x.upTo(8))
	_, complete, _ = x.add(9, began.Add(partsWithin+1), header("w", "2/2"), []byte("e"))
	require.False(t, complete, "its beginning is forgotten")
	require.Empty(t, x)
}
