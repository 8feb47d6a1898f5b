package bus

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// appendMany appends records without waiting in between and returns what each
// was told.
func appendMany(t *testing.T, l *Log, name string, n int) []error {
	t.Helper()
	var outcomes []error
	done := make(chan struct{})
	for i := range n {
		l.Append("_", []byte(name+" "+strconv.Itoa(i)), func(_ uint64, err error) {
			if outcomes = append(outcomes, err); len(outcomes) == n {
				close(done)
			}
		})
	}
	wait(t, done)
	return outcomes
}

func TestLogFencesTheOlderOwner(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	older := openLog(t, b)
	_, err := appendOne(t, older, []byte("older"))
	require.NoError(t, err)
	newer := openLog(t, b)
	_, err = appendOne(t, newer, []byte("newer"))
	require.NoError(t, err)

	// The second of these expects the sequence that the newer one has taken.
	for _, err := range appendMany(t, older, "stale", 50) {
		require.ErrorIs(t, err, ErrFenced)
		require.NotErrorIs(t, err, ErrLogUnknown)
	}
	_, err = appendOne(t, older, []byte("even later"))
	require.ErrorIs(t, err, ErrFenced, "a fenced writer stays fenced")
	// What it left behind fences the newer one, which then goes on.
	for _, err := range appendMany(t, newer, "disturbed", 10) {
		require.ErrorIs(t, err, ErrFenced)
	}
	again := openLog(t, b)
	for _, err := range appendMany(t, again, "again", 3) {
		require.NoError(t, err)
	}
	want := [][]byte{[]byte("older"), []byte("newer"), []byte("again 0"), []byte("again 1"), []byte("again 2")}
	require.Equal(t, want, records(t, b))

	// And whatever is purged, readers do not find a stray message first.
	for upTo := range again.End() + 2 {
		require.NoError(t, again.Purge(t.Context(), upTo))
		left := records(t, b)
		require.Equal(t, want[len(want)-len(left):], left, "purged up to %d", upTo)
	}
	require.Len(t, records(t, b), 1)
}

// logWriter appends bursts of pipelined records as an owner does: it loads the
// log again whenever it is refused or not answered.
type logWriter struct {
	bus            *Bus
	log            *Log
	name           string
	next           int
	acked, refused []string
}

// open loads the log unless the writer has it.
func (w *logWriter) open() error {
	if w.log != nil {
		return nil
	}
	l, err := w.bus.OpenLog(0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.Replay(ctx, ignoreRecord); err != nil {
		l.Close()
		return err
	}
	w.log = l
	return nil
}

// burst appends records and waits for all outcomes.
func (w *logWriter) burst(n int) error {
	if err := w.open(); err != nil {
		return err
	}
	var failed error
	done := make(chan struct{}, n)
	for range n {
		record := w.name + "-" + strconv.Itoa(w.next)
		w.next++
		w.log.Append("_", []byte(record), func(_ uint64, err error) {
			if err == nil {
				w.acked = append(w.acked, record)
			} else {
				w.refused = append(w.refused, record)
				failed = err
			}
			done <- struct{}{}
		})
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for left := n; left > 0; {
		select {
		case <-done:
			left--
		case <-look.C:
			w.log.Stalled(apiTimeout)
		}
	}
	if failed != nil {
		w.log.Close()
		w.log = nil
	}
	return failed
}

func TestLogWritersExcludeEachOther(t *testing.T) {
	t.Parallel()
	fight(t, openEmbedded(t), 150, false)
}

// fight lets writers fight for one log until each has stored so many records:
// what is acknowledged is there exactly once and in each writer's order, what
// was refused is not, and nothing else is. With overtaking, the refusal of one
// append may arrive before the acknowledgements of those before it, which then
// are there although they failed.
func fight(t *testing.T, b *Bus, each int, overtaking bool) {
	t.Helper()
	const writers = 3
	var mu sync.Mutex
	ackedBy := map[string][]string{}
	refused := map[string]bool{}
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			w := &logWriter{bus: b, name: strconv.Itoa(i)}
			for len(w.acked) < each {
				if err := w.burst(1 + rand.IntN(16)); err != nil && !errors.Is(err, ErrFenced) {
					t.Error(err)
					return
				}
			}
			if w.log != nil {
				w.log.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			ackedBy[w.name] = w.acked
			for _, record := range w.refused {
				refused[record] = true
			}
		})
	}
	all.Wait()
	require.NotEmpty(t, refused, "the writers never met")
	position := map[string]int{}
	for i, record := range records(t, b) {
		require.NotContains(t, position, string(record))
		if !overtaking {
			require.False(t, refused[string(record)], "%s was refused", record)
		}
		position[string(record)] = i
	}
	total := 0
	for w, acked := range ackedBy {
		total += len(acked)
		for i, record := range acked {
			require.Contains(t, position, record)
			if i > 0 {
				require.Less(t, position[acked[i-1]], position[record], "writer %s", w)
			}
		}
	}
	for record := range position {
		if refused[record] {
			total++
		}
	}
	require.Len(t, position, total)
}
