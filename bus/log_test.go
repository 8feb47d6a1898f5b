package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// openLog opens partition 0's log and replays it.
func openLog(t testing.TB, b *Bus) *Log {
	t.Helper()
	l, err := b.OpenLog(0)
	require.NoError(t, err)
	t.Cleanup(l.Close)
	require.NoError(t, l.Replay(t.Context(), ignoreRecord))
	return l
}

// appendOne appends a record and waits.
func appendOne(t testing.TB, l *Log, record []byte) (uint64, error) {
	t.Helper()
	type outcome struct {
		seq uint64
		err error
	}
	done := make(chan outcome, 1)
	l.Append("_", record, func(seq uint64, err error) { done <- outcome{seq, err} })
	o := wait(t, done)
	return o.seq, o.err
}

// records replays a log.
func records(t testing.TB, b *Bus) [][]byte {
	t.Helper()
	l, err := b.OpenLog(0)
	require.NoError(t, err)
	defer l.Close()
	var found [][]byte
	require.NoError(t, l.Replay(t.Context(), func(_ uint64, data []byte) error {
		found = append(found, data)
		return nil
	}))
	return found
}

func TestLogReplaysWhatWasAppended(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	require.Zero(t, l.End())
	const n = 3000
	var mu sync.Mutex
	var acked []uint64
	var all sync.WaitGroup
	var want [][]byte
	for i := range n {
		record := []byte("record " + strconv.Itoa(i))
		want = append(want, record)
		all.Add(1)
		l.Append("run"+strconv.Itoa(i%7), record, func(seq uint64, err error) {
			defer all.Done()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				acked = append(acked, seq)
			}
		})
	}
	require.Equal(t, uint64(n), l.End())
	all.Wait()
	require.Len(t, acked, n)
	for i, seq := range acked {
		require.Equal(t, uint64(i+1), seq)
	}
	require.Equal(t, want, records(t, b))
	first, last, err := l.Bounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []uint64{1, n}, []uint64{first, last})

	// A second life goes on where the first ended.
	again := openLog(t, b)
	require.Equal(t, uint64(n), again.End())
	seq, err := appendOne(t, again, []byte("next"))
	require.NoError(t, err)
	require.Equal(t, uint64(n+1), seq)
}

func TestLogKeepsEmptyRecords(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	_, err := appendOne(t, l, nil)
	require.NoError(t, err)
	_, err = appendOne(t, l, []byte("x"))
	require.NoError(t, err)
	found := records(t, b)
	require.Len(t, found, 2)
	require.Empty(t, found[0])
	require.Equal(t, "x", string(found[1]))
}

func TestLogAppendNeedsReplay(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l, err := b.OpenLog(0)
	require.NoError(t, err)
	defer l.Close()
	_, err = appendOne(t, l, []byte("x"))
	require.ErrorIs(t, err, errNotReplayed)
	require.Empty(t, records(t, b))
}

// largeRecord differs in every part, so that no part can stand for another.
func largeRecord(size int) []byte {
	record := make([]byte, size)
	for i := range record {
		record[i] = byte(i>>16) ^ byte(i)
	}
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

func TestLogReplayEndsWithApplysError(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	appendRecords(t, l, 10, 4)
	poison := errors.New("poison")
	n := 0
	err := l.Replay(t.Context(), func(uint64, []byte) error {
		if n++; n == 3 {
			return poison
		}
		return nil
	})
	require.ErrorIs(t, err, poison)
	require.Equal(t, 3, n)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, l.Replay(ended, ignoreRecord), context.Canceled)
}

func TestLogPurge(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	appendRecords(t, l, 100, 16)
	require.NoError(t, l.Purge(t.Context(), 60))
	first, last, err := l.Bounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []uint64{61, 100}, []uint64{first, last})
	require.Len(t, records(t, b), 40)
	_, err = appendOne(t, l, []byte("after"))
	require.NoError(t, err, "purging does not disturb the fence")

	// All of it: the numbering goes on.
	require.NoError(t, l.Purge(t.Context(), 101))
	require.Empty(t, records(t, b))
	again := openLog(t, b)
	seq, err := appendOne(t, again, []byte("later"))
	require.NoError(t, err)
	require.Equal(t, uint64(102), seq)
}

func TestLogFencesTheOlderOwner(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	older := openLog(t, b)
	_, err := appendOne(t, older, []byte("older 1"))
	require.NoError(t, err)
	newer := openLog(t, b)
	_, err = appendOne(t, newer, []byte("newer 1"))
	require.NoError(t, err)

	var mu sync.Mutex
	var outcomes []error
	var all sync.WaitGroup
	for i := range 50 {
		all.Add(1)
		older.Append("_", []byte("stale "+strconv.Itoa(i)), func(_ uint64, err error) {
			mu.Lock()
			outcomes = append(outcomes, err)
			mu.Unlock()
			all.Done()
		})
	}
	all.Wait()
	require.Len(t, outcomes, 50)
	for _, err := range outcomes {
		require.ErrorIs(t, err, ErrFenced)
		require.NotErrorIs(t, err, ErrLogUnknown)
	}
	_, err = appendOne(t, older, []byte("even later"))
	require.ErrorIs(t, err, ErrFenced, "a fenced writer stays fenced")
	_, err = appendOne(t, newer, []byte("newer 2"))
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("older 1"), []byte("newer 1"), []byte("newer 2")}, records(t, b))
}

// writeLikeAnOwner appends bursts of pipelined records, and loads the log
// again whenever it is refused, until it has n records acknowledged.
func writeLikeAnOwner(b *Bus, name string, n int) (acked, refused []string, err error) {
	ctx := context.Background()
	next := 0
	for len(acked) < n {
		l, err := b.OpenLog(0)
		if err != nil {
			return nil, nil, err
		}
		if err := l.Replay(ctx, ignoreRecord); err != nil {
			return nil, nil, err
		}
		healthy := true
		for healthy && len(acked) < n {
			var burst sync.WaitGroup
			for range 1 + rand.IntN(16) {
				record := name + "-" + strconv.Itoa(next)
				next++
				burst.Add(1)
				l.Append("_", []byte(record), func(_ uint64, err error) {
					if err == nil {
						acked = append(acked, record)
					} else {
						refused = append(refused, record)
						healthy = false
					}
					burst.Done()
				})
			}
			burst.Wait()
		}
		l.Close()
	}
	return acked, refused, nil
}

// Writers that fight for one log: what is acknowledged is there exactly once
// and in each writer's order, what was refused is not, and nothing else is.
func TestLogWritersExcludeEachOther(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	const writers, each = 3, 300
	var mu sync.Mutex
	ackedBy := map[int][]string{}
	refused := map[string]bool{}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			acked, lost, err := writeLikeAnOwner(b, strconv.Itoa(w), each)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			ackedBy[w] = acked
			for _, record := range lost {
				refused[record] = true
			}
		})
	}
	all.Wait()
	require.NotEmpty(t, refused, "the writers never met")
	position := map[string]int{}
	for i, record := range records(t, b) {
		require.NotContains(t, position, string(record))
		require.False(t, refused[string(record)], "%s was refused", record)
		position[string(record)] = i
	}
	total := 0
	for w, acked := range ackedBy {
		total += len(acked)
		for i, record := range acked {
			require.Contains(t, position, record)
			if i > 0 {
				require.Less(t, position[acked[i-1]], position[record], "writer %d", w)
			}
		}
	}
	require.Len(t, position, total)
}

func TestLogStalled(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	require.False(t, l.Stalled(0), "nothing is in flight")
	require.NoError(t, b.control.js.DeleteStream(t.Context(), logStream(0)))
	_, err := b.Conn().SubscribeSync(logPrefix + ">") // never answers
	require.NoError(t, err)
	require.NoError(t, b.Conn().Flush())
	done := make(chan error, 1)
	l.Append("_", []byte("x"), func(_ uint64, err error) { done <- err })
	require.False(t, l.Stalled(time.Hour))
	eventually(t, func() bool { return l.Stalled(time.Microsecond) }, "the append is late")
	require.ErrorIs(t, wait(t, done), ErrLogUnknown)
	require.False(t, l.Stalled(time.Microsecond), "it has failed already")
}

func TestLogWithoutStream(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	require.NoError(t, b.control.js.DeleteStream(t.Context(), logStream(0)))
	_, err := appendOne(t, l, []byte("x"))
	require.ErrorIs(t, err, ErrLogUnknown)
	_, _, err = l.Bounds(t.Context())
	require.ErrorContains(t, err, "log 0")
	require.ErrorContains(t, l.Replay(t.Context(), ignoreRecord), "log 0")
	require.ErrorContains(t, l.Purge(t.Context(), 1), "purge LOG_0 up to 1")
}

func TestLogTellsOutcomesInOrder(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	const n = 2000
	var order []int
	var all sync.WaitGroup
	all.Add(n)
	for i := range n {
		l.Append("_", []byte("x"), func(uint64, error) {
			order = append(order, i) // one at a time, or the race detector objects
			all.Done()
		})
		if i == n/2 {
			go l.fail(ErrLogUnknown)
		}
	}
	all.Wait()
	for i, got := range order {
		require.Equal(t, i, got)
	}
}

// An owner holds its lock when it appends and takes it in done.
func TestLogNeverCallsDoneFromAppend(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	var owner sync.Mutex
	done := make(chan error, 3)
	report := func(_ uint64, err error) {
		owner.Lock()
		defer owner.Unlock()
		done <- err
	}
	owner.Lock()
	l.Append("_", []byte("works"), report)
	l.fail(ErrFenced)
	l.Append("_", []byte("is refused"), report)
	b.logs.nc.Close()
	l.Append("_", []byte("cannot be sent"), report)
	owner.Unlock()
	wait(t, done)
	require.ErrorIs(t, wait(t, done), ErrFenced)
	require.ErrorIs(t, wait(t, done), ErrFenced)
}

func TestLogCloseEndsAppends(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	reported := 0
	for range 100 {
		l.Append("_", []byte("x"), func(uint64, error) { reported++ })
	}
	l.Close()
	require.Equal(t, 100, reported)
	_, err := appendOne(t, l, []byte("x"))
	require.ErrorIs(t, err, ErrLogUnknown)
	require.Empty(t, b.openLogs.all())
}

// When the connection breaks, appends in flight end at once and a new writer
// goes on from what was stored.
func TestLogOverRestarts(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	acked := map[string]bool{}
	for round := range 3 {
		l, err := b.OpenLog(0)
		require.NoError(t, err)
		eventually(t, func() bool { return l.Replay(t.Context(), ignoreRecord) == nil }, "the log can be read again")
		var mu sync.Mutex
		broken := make(chan error, 1)
		enough := make(chan struct{})
		go func() {
			for i := 0; ; i++ {
				record := fmt.Sprintf("%d-%d", round, i)
				done := make(chan error, 1)
				l.Append("_", []byte(record), func(_ uint64, err error) { done <- err })
				if err := <-done; err != nil {
					broken <- err
					return
				}
				mu.Lock()
				acked[record] = true
				mu.Unlock()
				if i == 100 {
					close(enough)
				}
			}
		}()
		wait(t, enough)
		start := time.Now()
		n.restart()
		require.ErrorIs(t, wait(t, broken), ErrLogUnknown)
		require.Less(t, time.Since(start), 5*time.Second)
		l.Close()
	}
	var found [][]byte
	eventually(t, func() bool {
		l, err := b.OpenLog(0)
		if err != nil {
			return false
		}
		defer l.Close()
		found = nil
		return l.Replay(t.Context(), func(_ uint64, data []byte) error {
			found = append(found, data)
			return nil
		}) == nil
	}, "the log can be read again")
	seen := map[string]bool{}
	for _, record := range found {
		require.False(t, seen[string(record)])
		seen[string(record)] = true
	}
	for record := range acked {
		require.True(t, seen[record], record)
	}
}

func TestOpenLogAfterClose(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	b.Close()
	_, err := appendOne(t, l, []byte("x"))
	require.ErrorIs(t, err, ErrLogUnknown)
	_, err = b.OpenLog(0)
	require.ErrorContains(t, err, "log 0")
}
