package bus

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// taken counts deliveries by event name.
type taken struct {
	mu    sync.Mutex
	names map[string]int
}

func (r *taken) add(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string]int{}
	}
	r.names[name]++
	return r.names[name]
}

func (r *taken) all() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.names)
}

// TestShareEvents: those who share under a name get each event once together,
// from behind the last one on, also what came while nobody was there.
func TestShareEvents(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	publishNames(t, b, "before")
	var got taken
	record := func(_ context.Context, d *Delivery) error {
		got.add(d.Name)
		return nil
	}
	var stops []func()
	for range 2 {
		stop, err := b.ShareEvents(t.Context(), Share{Name: "readers", Parallel: 3, Handle: record})
		require.NoError(t, err)
		stops = append(stops, stop)
	}
	want := map[string]int{}
	for i := range 50 {
		name := "e" + strconv.Itoa(i)
		want[name] = 1
		publishNames(t, b, name)
	}
	arrived := func() bool { return len(got.all()) == len(want) }
	require.Eventually(t, arrived, patience, time.Millisecond)
	for _, stop := range stops {
		stop()
	}
	publishNames(t, b, "meanwhile")
	want["meanwhile"] = 1
	stop, err := b.ShareEvents(t.Context(), Share{Name: "readers", Parallel: 3, Handle: record})
	require.NoError(t, err)
	defer stop()
	require.Eventually(t, arrived, patience, time.Millisecond)
	require.Equal(t, want, got.all())
}

// TestShareEventsAgain: what failed comes again, and does not keep others.
func TestShareEventsAgain(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	var got taken
	stop, err := b.ShareEvents(t.Context(), Share{Name: "readers", Parallel: 2, Handle: func(_ context.Context, d *Delivery) error {
		if got.add(d.Name) < 3 && d.Name == "hard" {
			return errors.New("not yet")
		}
		return nil
	}})
	require.NoError(t, err)
	defer stop()
	publishNames(t, b, "hard", "easy")
	require.Eventually(t, func() bool { return got.all()["hard"] == 3 }, patience, time.Millisecond)
	require.Equal(t, 1, got.all()["easy"])
}

// TestShareEventsAbroad: a message that is no event is passed over.
func TestShareEventsAbroad(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	var got taken
	stop, err := b.ShareEvents(t.Context(), Share{Name: "readers", Parallel: 1, Handle: func(_ context.Context, d *Delivery) error {
		got.add(d.Name)
		return nil
	}})
	require.NoError(t, err)
	defer stop()
	_, err = b.control.js.Publish(t.Context(), eventPrefix+"0.%", []byte("x"))
	require.NoError(t, err)
	publishNames(t, b, "after")
	require.Eventually(t, func() bool { return got.all()["after"] == 1 }, patience, time.Millisecond)
	require.Equal(t, []string{"after"}, slices.Collect(maps.Keys(got.all())))
}

// TestShareEventsInLine: those of a line come one after the other, whatever the
// others do.
func TestShareEventsInLine(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	const events = 200
	var mu sync.Mutex
	var order []int
	busy := 0
	stop, err := b.ShareEvents(t.Context(), Share{
		Name: "readers", Parallel: 8, Line: func(d *Delivery) string { return strings.TrimPrefix(d.Name, "free") },
		Handle: func(_ context.Context, d *Delivery) error {
			if d.Name == "free" {
				return nil
			}
			mu.Lock()
			busy++
			alone := busy == 1
			mu.Unlock()
			runtime.Gosched()
			mu.Lock()
			defer mu.Unlock()
			busy--
			if !alone {
				return errors.New("two at once")
			}
			order = append(order, number(t, d))
			return nil
		},
	})
	require.NoError(t, err)
	defer stop()
	var sent []*Event
	for i := range events {
		sent = append(sent, event("line", i), event("free", i))
	}
	require.NoError(t, b.Publish(t.Context(), sent))
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(order) == events
	}, "all are handled")
	require.IsIncreasing(t, order)
}

func TestRetryShared(t *testing.T) {
	t.Parallel()
	require.Equal(t, shareRetry, retryShared(1))
	require.Equal(t, 2*shareRetry, retryShared(2))
	require.Equal(t, maxShareRetry, retryShared(1000))
}

func publishNames(t *testing.T, b *Bus, names ...string) {
	t.Helper()
	var events []*Event
	for _, name := range names {
		events = append(events, event(name, 0))
	}
	require.NoError(t, b.Publish(t.Context(), events))
}
