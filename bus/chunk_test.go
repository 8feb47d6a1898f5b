package bus

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// largeRecord differs in every part, so that no part can stand for another.
func largeRecord(size int) []byte {
	record := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(record) // it never fails
	return record
}

func TestLogStoresRecordsLargerThanAMessage(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil) // max_payload is 1 MiB by default
	b := n.open(nil)
	require.Equal(t, 1<<20, b.MaxPayload())
	l := openLog(t, b)
	var want [][]byte
	for _, size := range []int{10, b.chunkSize(), b.chunkSize() + 1, 4 << 20, 3 * b.chunkSize(), 0, 5<<20 + 7} {
		record := largeRecord(size)
		want = append(want, record)
		before := l.End()
		seq, err := appendOne(t, l, record)
		require.NoError(t, err)
		require.Equal(t, l.End(), seq, "a record has the sequence of its last part")
		require.Equal(t, uint64(chunks(size, b.chunkSize())), seq-before)
	}
	var seqs []uint64
	var got [][]byte
	require.NoError(t, l.Replay(t.Context(), func(seq uint64, data []byte) error {
		seqs, got = append(seqs, seq), append(got, data)
		return nil
	}))
	require.Equal(t, []uint64{1, 2, 4, 9, 12, 13, 19}, seqs)
	for i := range want {
		require.True(t, bytes.Equal(want[i], got[i]), "record %d", i)
	}
}

// appendParts writes messages as a writer that died would have left them.
func appendParts(t *testing.T, l *Log, parts ...string) {
	t.Helper()
	for _, chunk := range parts {
		l.mu.Lock()
		l.msg.Header[headerChunk] = []string{chunk}
		l.mu.Unlock()
		_, err := appendOne(t, l, []byte("<"+chunk+">"))
		require.NoError(t, err)
	}
}

func TestLogLeavesIncompleteRecordsOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parts []string
		want  []string
	}{
		"tail":                 {[]string{"1/3", "2/3"}, nil},
		"then whole":           {[]string{"1/2", "", "1/2", "2/2"}, []string{"<>", "<1/2><2/2>"}},
		"begun again":          {[]string{"1/3", "2/3", "1/3", "2/3", "3/3"}, []string{"<1/3><2/3><3/3>"}},
		"head purged":          {[]string{"2/3", "3/3", ""}, []string{"<>"}},
		"middle missing":       {[]string{"1/3", "3/3", "2/3", ""}, []string{"<>"}},
		"repeated":             {[]string{"1/2", "1/2", "2/2", "2/2"}, []string{"<1/2><2/2>"}},
		"one after a fragment": {[]string{"1/2", "1/1"}, []string{"<1/1>"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openEmbedded(t)
			appendParts(t, openLog(t, b), c.parts...)
			var got []string
			for _, record := range records(t, b) {
				got = append(got, string(record))
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestLogReplayRefusesForeignChunks(t *testing.T) {
	t.Parallel()
	for _, chunk := range []string{"x", "1", "0/2", "3/2", "1/x", "-1/2", "1/2/3"} {
		_, _, err := parseChunk(chunk)
		require.Error(t, err, chunk)
	}
	b := openEmbedded(t)
	l := openLog(t, b)
	appendParts(t, l, "3/2")
	require.ErrorContains(t, l.Replay(t.Context(), ignoreRecord), "log 0: replay: sequence 1: bad header Jetstep-Chunk")
}
