package bus

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
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

	// All of it is all but the last: what readers find first must be the log's.
	require.NoError(t, l.Purge(t.Context(), 101))
	require.Equal(t, [][]byte{[]byte("after")}, records(t, b))
	seq, err := appendOne(t, openLog(t, b), []byte("later"))
	require.NoError(t, err)
	require.Equal(t, uint64(102), seq)
}

// An operator may have emptied the stream: the numbering goes on.
func TestLogGoesOnWhenItsStreamWasEmptied(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	appendRecords(t, openLog(t, b), 10, 4)
	require.NoError(t, b.purge(t.Context(), logStream(0), 10))
	require.Empty(t, records(t, b))
	l := openLog(t, b)
	seq, err := appendOne(t, l, []byte("later"))
	require.NoError(t, err)
	require.Equal(t, uint64(11), seq)
	require.Len(t, records(t, b), 1)
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
	appendRecords(t, l, 2, 1)
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

// When the connection breaks, appends in flight end without being asked
// whether they stall, and a new writer goes on from what was stored.
func TestLogOverRestarts(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	var acked atomic.Int64
	stop := make(chan struct{})
	done := make(chan *logWriter)
	failed := 0
	go func() {
		w := &logWriter{bus: b, name: "w"}
		defer func() { done <- w }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := w.burst(5); err != nil {
				failed++
				time.Sleep(time.Millisecond) // as an owner waits before it opens the log again
			}
			acked.Store(int64(len(w.acked)))
		}
	}()
	for range 3 {
		before := acked.Load()
		eventually(t, func() bool { return acked.Load() > before+100 }, "appending goes on")
		n.restart()
	}
	before := acked.Load()
	eventually(t, func() bool { return acked.Load() > before }, "appending goes on after the last restart")
	close(stop)
	w := wait(t, done)
	require.NotZero(t, failed, "nothing was hit")
	position := map[string]int{}
	for i, record := range records(t, b) {
		require.NotContains(t, position, string(record))
		position[string(record)] = i
	}
	for i, record := range w.acked {
		require.Contains(t, position, record)
		if i > 0 {
			require.Less(t, position[w.acked[i-1]], position[record])
		}
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
