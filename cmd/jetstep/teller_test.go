package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/state"
)

// shelf is a toldStore in memory, which may be out of reach.
type shelf struct {
	mu     sync.Mutex
	broken bool
	stored []*state.Record
	purged uint64
}

var errShelf = errors.New("out of reach")

func (s *shelf) PublishTold(ctx context.Context, _ string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errShelf
	}
	return state.Decode(data, func(r *state.Record) error {
		s.stored = append(s.stored, r)
		return nil
	})
}

func (s *shelf) PurgeTold(_ context.Context, upTo uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errShelf
	}
	s.purged = upTo
	return nil
}

func (s *shelf) set(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

// has is what is stored, and up to where it was purged.
func (s *shelf) has() (stored []*state.Record, purged uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.stored), s.purged
}

func ended(n int, output []byte) *state.Record {
	return &state.Record{At: int64(n), Ops: []state.Op{&state.RunFinished{RunID: ulid.ULID{byte(n)}, Output: output}}}
}

// telling runs a test with a teller, whose time is not the clock's.
func telling(t *testing.T, test func(t *testing.T, s *shelf, tell *teller, shown func() int)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, shown := &shelf{}, 0
		var mu sync.Mutex
		tell := newTeller(s, func() uint64 { return 7 }, func(*state.Record) {
			mu.Lock()
			defer mu.Unlock()
			shown++
		}, slog.New(slog.DiscardHandler))
		test(t, s, tell, func() int {
			mu.Lock()
			defer mu.Unlock()
			return shown
		})
		tell.Close(t.Context())
	})
}

func TestToldIsStoredInOrder(t *testing.T) {
	telling(t, func(t *testing.T, s *shelf, tell *teller, shown func() int) {
		require.NoError(t, tell.Sync(t.Context()), "nothing was told")
		for n := range 100 {
			tell.Tell(t.Context(), ended(n, nil))
		}
		require.NoError(t, tell.Sync(t.Context()))
		require.Equal(t, 100, shown())
		stored, _ := s.has()
		for n, r := range stored {
			require.Equal(t, ended(n, nil), r)
		}
		time.Sleep(toldPurge + time.Second)
		_, purged := s.has()
		require.EqualValues(t, 7, purged)
	})
}

// TestToldIsTriedAgain: what cannot be stored for a while is not lost.
func TestToldIsTriedAgain(t *testing.T) {
	telling(t, func(t *testing.T, s *shelf, tell *teller, shown func() int) {
		s.set(true)
		tell.Tell(t.Context(), ended(1, nil))
		time.Sleep(time.Second)
		tell.Tell(t.Context(), ended(2, nil))
		require.Zero(t, shown())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, tell.Sync(ctx), errNotTold)
		require.ErrorIs(t, tell.Sync(t.Context()), errShelf)
		s.set(false)
		time.Sleep(toldPauseMax)
		require.NoError(t, tell.Sync(t.Context()))
		stored, _ := s.has()
		require.Len(t, stored, 2)
	})
}

// TestNobodyWaitsForEver: with too much to be stored those who tell wait, but not
// longer than it is worth.
func TestNobodyWaitsForEver(t *testing.T) {
	telling(t, func(t *testing.T, s *shelf, tell *teller, shown func() int) {
		s.set(true)
		large := append(append([]byte{'"'}, make([]byte, toldMost)...), '"')
		tell.Tell(t.Context(), ended(1, large))
		synctest.Wait() // it is being stored
		tell.Tell(t.Context(), ended(2, large))
		began := time.Now()
		tell.Tell(t.Context(), ended(3, nil))
		require.InDelta(t, toldPatience, time.Since(began), float64(time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		tell.Tell(ctx, ended(4, nil))
		s.set(false)
		time.Sleep(toldPauseMax)
		require.NoError(t, tell.Sync(t.Context()))
		stored, _ := s.has()
		require.Len(t, stored, 2)
		s.set(true)
		time.Sleep(2 * toldPurge)
	})
}
