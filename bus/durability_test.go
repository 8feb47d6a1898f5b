package bus

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func init() { children["durability"] = durabilityChild }

// durabilityChild publishes and appends as fast as it can and says what was
// acknowledged, until it is killed. Numbers go on where the store ends.
func durabilityChild() {
	b := childBus()
	l, err := b.OpenLog(0)
	first := 0
	if err == nil {
		err = l.Replay(context.Background(), func(uint64, []byte) error { first++; return nil })
	}
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	say := func(what string, from, to int) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintln(os.Stdout, what, from, to) // one write each: a line is said or not
	}
	go func() {
		for n := int(b.LastEvent()); ; n += 10 {
			var events []*Event
			for i := range 10 {
				events = append(events, event("app/n", n+i))
			}
			if err := b.Publish(context.Background(), events); err != nil {
				panic(err)
			}
			say("events", n, n+10)
		}
	}()
	window := make(chan struct{}, 16)
	for n := first; ; n++ {
		window <- struct{}{}
		l.Append("_", []byte(strconv.Itoa(n)), func(_ uint64, err error) {
			if err != nil {
				panic(err)
			}
			say("record", n, n+1)
			<-window
		})
	}
}

// crash runs the child, kills it after a while and returns how many events and
// records it was told are durable.
func crash(t *testing.T, dir string) (events, records int) {
	t.Helper()
	cmd := child(t, "durability", dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	var killer *time.Timer
	for lines.Scan() {
		if killer == nil { // it is at work
			killer = time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
		var what string
		var from, to int
		if _, err := fmt.Sscanf(lines.Text(), "%s %d %d", &what, &from, &to); err != nil {
			break // cut off by the end
		}
		if what == "events" {
			events = to
		} else {
			records = to
		}
	}
	require.ErrorContains(t, cmd.Wait(), "killed", "it ended by itself")
	return events, records
}

// Whatever was acknowledged is there after kill -9: every event in order, and
// a log without holes.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	t.Parallel()
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	dir := t.TempDir()
	events, appended, checked := 0, 0, 0
	for range rounds {
		e, r := crash(t, dir)
		events, appended = max(events, e), max(appended, r)
		b := open(t, Config{StoreDir: dir})
		require.GreaterOrEqual(t, int(b.LastEvent()), events)
		for _, d := range deliveredAfter(t, b, uint64(checked)) {
			require.Equal(t, checked, number(t, d))
			checked++
		}
		require.Equal(t, int(b.LastEvent()), checked)
		kept := records(t, b)
		require.GreaterOrEqual(t, len(kept), appended)
		for i, record := range kept {
			require.Equal(t, strconv.Itoa(i), string(record))
		}
		b.Close()
	}
	require.NotZero(t, events)
	require.NotZero(t, appended)
	t.Logf("%d events and %d records in %d rounds", events, appended, rounds)
}
