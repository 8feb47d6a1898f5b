package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestPublishKeepsOrder(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	events := numbered(2*windowEvents + 17)
	require.NoError(t, b.Publish(t.Context(), events))
	require.Equal(t, uint64(len(events)), b.LastEvent())
	found := storedEvents(t, b)
	require.Len(t, found, len(events))
	for i, d := range found {
		require.Equal(t, i, number(t, d))
		require.Equal(t, uint64(i+1), d.Seq)
		require.Equal(t, events[i].InternalID, d.InternalID)
	}
}

func TestPublishKeepsEverythingOfAnEvent(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	plain := event("app/plain", 1)
	full := event("app/full", 2)
	full.ID, full.V, full.TS = "users own", "v2", 99
	full.User, full.Meta = []byte(`{"id":"u"}`), []byte(`{"sessions":{"a":1}}`)
	full.Seeded, full.Source = true, &Source{From: 3, N: 12}
	// The encoder is shared: what one event has must not stick to the next.
	require.NoError(t, b.Publish(t.Context(), []*Event{plain, full, event("app/plain", 3)}))
	found := storedEvents(t, b)
	got, err := found[1].Event()
	require.NoError(t, err)
	full.Seq = 2
	require.Equal(t, full, got)
	require.True(t, found[1].Seeded)
	for _, d := range []*Delivery{found[0], found[2]} {
		require.Nil(t, d.Source)
		require.False(t, d.Seeded)
	}
	raw, err := b.control.js.Stream(t.Context(), eventsStream)
	require.NoError(t, err)
	m, err := raw.GetMsg(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, []string{full.InternalID.String()}, m.Header["Jetstep-Event-Id"])
	require.Equal(t, []string{"3.12"}, m.Header["Jetstep-Source"])
	require.Equal(t, []string{"1"}, m.Header["Jetstep-Seeded"])
}

func TestPublishNothing(t *testing.T) {
	t.Parallel()
	require.NoError(t, openEmbedded(t).Publish(t.Context(), nil))
}

func TestPublishIsConcurrent(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	const publishers, calls, batch = 8, 20, 13
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for call := range calls {
				events := make([]*Event, batch)
				for i := range events {
					events[i] = event(fmt.Sprintf("app/p%d", p), call*batch+i)
				}
				if err := b.Publish(context.Background(), events); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	next := map[string]int{}
	for _, d := range storedEvents(t, b) {
		require.Equal(t, next[d.Name], number(t, d), d.Name)
		next[d.Name]++
	}
	require.Len(t, next, publishers)
	for name, n := range next {
		require.Equal(t, calls*batch, n, name)
	}
	require.Equal(t, uint64(publishers*calls*batch), b.LastEvent())
}

// A call refuses as a whole what can never be stored.
func TestPublishStoresNothingOfAnImpossibleCall(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	large := event("app/large", 0)
	large.Data = []byte(`{"x":"` + strings.Repeat("x", b.MaxPayload()) + `"}`)
	for name, impossible := range map[string]*Event{"too large": large, "no name": event("", 0)} {
		err := b.Publish(t.Context(), []*Event{event("app/n", 0), impossible})
		require.Error(t, err, name)
		require.NotErrorIs(t, err, ErrNotDurable, name)
		require.Equal(t, impossible == large, errors.Is(err, ErrTooLarge), name)
	}
	require.Empty(t, storedEvents(t, b))
}

func TestPublishTakesTheLargestEvent(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	e := event("app/large", 0)
	e.Data = []byte(`{"x":""}`)
	room := b.MaxPayload() - eventHeaderRoom - len(e.JSON())
	e.Data = []byte(`{"x":"` + strings.Repeat("x", room) + `"}`)
	// A busy machine may take longer for it than an acknowledgement is waited for.
	eventually(t, func() bool { return b.Publish(t.Context(), []*Event{e}) == nil }, "the event is accepted")
	stored := len(storedEvents(t, b))
	require.NotZero(t, stored)
	e.Data = []byte(`{"x":"` + strings.Repeat("x", room+1) + `"}`)
	require.ErrorIs(t, b.Publish(t.Context(), []*Event{e}), ErrTooLarge)
	require.Len(t, storedEvents(t, b), stored)
}

func TestPublishReportsRefusal(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	info, err := b.findStream(t.Context(), eventsStream)
	require.NoError(t, err)
	cfg := info.Config
	cfg.Discard, cfg.MaxBytes = jetstream.DiscardNew, 20_000
	_, err = b.control.js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)

	accepted := 0
	for err == nil {
		if err = b.Publish(t.Context(), numbered(10)); err == nil {
			accepted += 10
		}
	}
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorContains(t, err, "maximum bytes exceeded")
	require.NotZero(t, accepted)
	require.GreaterOrEqual(t, len(storedEvents(t, b)), accepted)
	require.Empty(t, b.publisher.Load().calls, "calls are forgotten")
}

func TestPublishWithoutStream(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	require.NoError(t, b.control.js.DeleteStream(t.Context(), eventsStream))
	err := b.Publish(t.Context(), numbered(3))
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorContains(t, err, "no stream takes the message now")
}

// silence replaces EVENTS by a subscriber that never acknowledges.
func silence(t *testing.T, b *Bus) {
	t.Helper()
	require.NoError(t, b.control.js.DeleteStream(t.Context(), eventsStream))
	_, err := b.Conn().SubscribeSync(eventPrefix + ">")
	require.NoError(t, err)
	require.NoError(t, b.Conn().Flush())
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	silence(t, b)
	why := errors.New("the caller went away")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, why)
	defer cancel()
	err := b.Publish(ctx, numbered(3))
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorIs(t, err, why)
}

// Once a window of a call is stored, a later failure cannot be a clean one.
func TestPublishOfManyWindowsFailsAsNotDurable(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	ctx, cancel := context.WithCancel(t.Context())
	stop, err := b.ConsumeEvents(t.Context(), 0, 0, func(*Delivery) { cancel() })
	require.NoError(t, err)
	defer stop()
	err = b.Publish(ctx, numbered(50*windowEvents))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, ErrNotDurable)
}

func TestPublishSendsNothingAfterItsContextEnded(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := b.Publish(ctx, numbered(3))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrNotDurable)
	require.Empty(t, storedEvents(t, b))
}

func TestPublishBoundsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	budget := b.publisher.Load().budget
	require.NoError(t, budget.Acquire(t.Context(), publishBudget))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := b.Publish(ctx, numbered(1))
	require.ErrorContains(t, err, "too much is being published")
	require.NotErrorIs(t, err, ErrNotDurable)
	budget.Release(publishBudget)
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	require.True(t, budget.TryAcquire(publishBudget), "a call gives back what it took")
}

func TestWindow(t *testing.T) {
	t.Parallel()
	n, cost := window(numbered(windowEvents + 1))
	require.Equal(t, windowEvents, n)
	require.Less(t, cost, int64(windowCost))

	large := event("app/large", 0)
	large.Data = bytes.Repeat([]byte("x"), windowCost/3)
	n, _ = window([]*Event{large, large, large, large})
	require.Equal(t, 2, n)

	larger := event("app/larger", 0)
	larger.Data = make([]byte, 2*publishBudget)
	n, cost = window([]*Event{larger, large})
	require.Equal(t, 1, n)
	require.Equal(t, int64(publishBudget), cost, "a call can always be paid for")
}

// Late acknowledgements of a call that was given up must not reach another.
func TestLateAcknowledgementsAreIgnored(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(300))*time.Microsecond)
		_ = b.Publish(ctx, numbered(5)) // many end early: that is the point
		cancel()
	}
	before := b.LastEvent()
	require.NoError(t, b.Publish(t.Context(), numbered(7)))
	require.GreaterOrEqual(t, b.LastEvent(), before+7)
	require.Len(t, storedEvents(t, b), int(b.LastEvent()))
}

// While a server goes down and comes back, a call either fails or its events
// are stored.
func TestPublishOverRestarts(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	var accepted sync.Map
	var failed, next atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for ctx.Err() == nil {
				events := []*Event{event("app/n", int(next.Add(1))), event("app/n", int(next.Add(1)))}
				if err := b.Publish(context.Background(), events); err != nil {
					failed.Add(1)
					continue
				}
				for _, e := range events {
					accepted.Store(e.InternalID, true)
				}
			}
		})
	}
	for range 3 {
		seen := b.LastEvent()
		eventually(t, func() bool { return b.LastEvent() > seen+50 }, "publishing goes on")
		n.restart()
	}
	seen := b.LastEvent()
	eventually(t, func() bool { return b.LastEvent() > seen }, "publishing goes on after the last restart")
	cancel()
	publishers.Wait()
	require.NotZero(t, failed.Load(), "no call was hit")
	for _, d := range storedEvents(t, b) {
		accepted.Delete(d.InternalID)
	}
	accepted.Range(func(id, _ any) bool {
		require.Fail(t, "an accepted event is gone", "%s", id)
		return false
	})
}

// Calls whose acknowledgements were lost with the connection end at once, not
// after publishTimeout.
func TestPublishEndsWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	silence(t, b)
	done := make(chan error, 1)
	go func() { done <- b.Publish(context.Background(), numbered(1)) }()
	eventually(t, func() bool {
		p := b.publisher.Load()
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.calls) == 1
	}, "the call is under way")
	start := time.Now()
	n.stop()
	err := wait(t, done)
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorContains(t, err, "connection lost")
	require.Less(t, time.Since(start), publishTimeout/2)
}

func TestPublishAfterClose(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	b.Close()
	require.Error(t, b.Publish(t.Context(), numbered(1)))
}
