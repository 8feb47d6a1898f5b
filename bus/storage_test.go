//go:build unix

package bus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func init() { children["full disk"] = fullDiskChild }

// fullDiskChild runs into a disk that takes no more, which a limit on the size
// of files stands for, and says what it was told.
func fullDiskChild() {
	b := childBus()
	l, err := b.OpenLog(0)
	if err == nil {
		err = l.Replay(context.Background(), ignoreRecord)
	}
	if err != nil {
		panic(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 256 << 10, Max: 256 << 10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	say := func(what string, n int, took time.Duration, err error) {
		fmt.Printf("%s %d quick=%t storage=%t unknown=%t %s\n", what, n, took < publishTimeout/2,
			errors.Is(err, ErrStorage), errors.Is(err, ErrNotDurable) || errors.Is(err, ErrLogUnknown), err)
	}
	events, took, err := untilError(func(n int) error { return b.Publish(context.Background(), []*Event{event("app/n", n)}) })
	say("events", events, took, err)
	appended, took, err := untilError(func(n int) error {
		done := make(chan error, 1)
		l.Append("_", []byte(fmt.Sprintf("%0200d", n)), func(_ uint64, err error) { done <- err })
		return <-done
	})
	say("records", appended, took, err)
	// And from then on.
	_, took, err = untilError(func(int) error { return b.Publish(context.Background(), numbered(1)) })
	say("again", 0, took, err)
	_, err = b.OpenLog(0)
	say("open", 0, 0, err)
	say("bus", 0, 0, b.StorageError())
}

// untilError counts successes, and times the failure.
func untilError(try func(n int) error) (succeeded int, took time.Duration, err error) {
	for {
		start := time.Now()
		if err := try(succeeded); err != nil {
			return succeeded, time.Since(start), err
		}
		succeeded++
	}
}

// A full disk ends calls with an error soon, and what was acknowledged before
// is all there, without holes.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := child(t, "full disk", dir).Output()
	require.NoError(t, err, "%s", out)
	acked := map[string]int{}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		line := lines.Text()
		var what string
		var n int
		_, err := fmt.Sscanf(line, "%s %d", &what, &n)
		require.NoError(t, err, line)
		acked[what] = n
		require.Contains(t, line, "quick=true")
		require.Contains(t, line, "storage=true")
		require.Contains(t, line, "file too large")
		if what == "events" || what == "records" {
			require.Contains(t, line, "unknown=true")
		}
	}
	require.Len(t, acked, 5, "%s", out)
	require.NotZero(t, acked["events"])
	require.NotZero(t, acked["records"])

	b := open(t, Config{StoreDir: dir})
	require.NoError(t, b.StorageError())
	found := storedEvents(t, b)
	require.GreaterOrEqual(t, len(found), acked["events"])
	for i, d := range found {
		require.Equal(t, i, number(t, d))
	}
	kept := records(t, b)
	require.GreaterOrEqual(t, len(kept), acked["records"])
	for i, record := range kept {
		require.Equal(t, fmt.Sprintf("%0200d", i), string(record))
	}
	_, err = appendOne(t, openLog(t, b), []byte("works again"))
	require.NoError(t, err)
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
}

// The limit of a server or an account is a refusal that does not last.
func TestResourceLimit(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	n.stop()
	n.opts.JetStreamMaxStore = 64 << 10
	n.start()
	b := n.open(nil)
	events, _, err := untilError(func(i int) error { return b.Publish(t.Context(), []*Event{event("app/n", i)}) })
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorContains(t, err, "insufficient")
	require.Len(t, storedEvents(t, b), events)
	l := openLog(t, b)
	_, err = appendOne(t, l, []byte("x"))
	require.ErrorIs(t, err, ErrLogUnknown)
	require.ErrorContains(t, err, "insufficient")
	require.Empty(t, records(t, b))

	require.NoError(t, b.purge(t.Context(), eventsStream, b.LastEvent()))
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	_, err = appendOne(t, openLog(t, b), []byte("x"))
	require.NoError(t, err)
}
