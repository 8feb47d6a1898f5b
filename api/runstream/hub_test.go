package runstream

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

var quiet = slog.New(slog.DiscardHandler)

// broker delivers at once, to all hubs that share it.
type broker struct {
	mu        sync.Mutex
	next      int
	handlers  map[string]map[int]func([]byte)
	published []string
	err       error
}

func (b *broker) PublishRealtime(subject string, message []byte) error {
	b.mu.Lock()
	b.published = append(b.published, subject)
	var deliver []func([]byte)
	for _, handler := range b.handlers[subject] {
		deliver = append(deliver, handler)
	}
	b.mu.Unlock()
	for _, handler := range deliver {
		handler(message)
	}
	return b.err
}

func (b *broker) SubscribeRealtime(subject string, deliver func([]byte)) (stop func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	if b.handlers == nil {
		b.handlers = map[string]map[int]func([]byte){}
	}
	if b.handlers[subject] == nil {
		b.handlers[subject] = map[int]func([]byte){}
	}
	b.next++
	id := b.next
	b.handlers[subject][id] = deliver
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.handlers[subject], id)
	}, nil
}

func (b *broker) count(subject string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.published {
		if s == subject {
			n++
		}
	}
	return n
}

func woken(w *watch) bool {
	select {
	case <-w.changed:
		return true
	default:
		return false
	}
}

// TestHub: a change wakes those who watch the run, in any process, and nobody
// else is told.
func TestHub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &broker{}
		here, there := NewHub(shared, quiet), NewHub(shared, quiet)
		run, other := ulid.Make(), ulid.Make()
		here.Changed(run)
		require.Empty(t, shared.published, "nobody watches")

		w, err := here.watch(run)
		require.NoError(t, err)
		synctest.Wait() // it is announced
		require.False(t, woken(w))
		here.Changed(other)
		there.Changed(other)
		require.False(t, woken(w))
		here.Changed(run, run)
		require.True(t, woken(w))
		require.False(t, woken(w), "once for all that is not looked at yet")
		there.Changed(run)
		require.True(t, woken(w))
		require.Equal(t, 1, shared.count(changedSubject+run.String()))

		w.stop()
		require.Empty(t, here.watches)
		require.Zero(t, here.watched.Load())
		there.Changed(run)
		require.Equal(t, 2, shared.count(changedSubject+run.String()), "it does not know yet")
		sleepFor(2 * interestLasts)
		require.Zero(t, there.watched.Load(), "interest ends by itself")
		there.Changed(run)
		require.Equal(t, 2, shared.count(changedSubject+run.String()))
		here.Close()
		there.Close()
		synctest.Wait()
	})
}

// TestInterestIsRenewed for as long as the run is watched.
func TestInterestIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &broker{}
		here, there := NewHub(shared, quiet), NewHub(shared, quiet)
		run := ulid.Make()
		w, err := here.watch(run)
		require.NoError(t, err)
		sleepFor(10 * interestLasts)
		there.Changed(run)
		require.True(t, woken(w))
		w.stop()
		here.Close()
		there.Close()
		synctest.Wait()
	})
}

func TestHubIsBounded(t *testing.T) {
	t.Parallel()
	h := NewHub(&broker{}, quiet)
	var watches []*watch
	for range maxStreams {
		w, err := h.watch(ulid.Make())
		require.NoError(t, err)
		watches = append(watches, w)
	}
	require.Equal(t, maxStreams, h.Streams())
	_, err := h.watch(ulid.Make())
	require.ErrorIs(t, err, ErrBusy)
	for _, w := range watches {
		w.stop()
	}
	w, err := h.watch(ulid.Make())
	require.NoError(t, err)
	w.stop()

	node := ulid.Make()
	for range maxInterests + 10 {
		h.interested(append(node.Bytes(), ulid.Make().Bytes()...))
	}
	h.interested([]byte("junk"))
	require.Len(t, h.interests, maxInterests)
	h.Close()
	_, err = h.watch(ulid.Make())
	require.ErrorIs(t, err, ErrBusy, "it is closed")
}

// TestHubWithoutBroker: what happens in this process is told all the same.
func TestHubWithoutBroker(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	h := NewHub(&broker{err: errors.New("no connection")}, slog.New(slog.NewTextHandler(&log, nil)))
	require.Contains(t, log.String(), "no connection")
	run := ulid.Make()
	w, err := h.watch(run)
	require.NoError(t, err)
	h.Changed(run)
	require.True(t, woken(w))
	w.stop()
	h.Close()
}
