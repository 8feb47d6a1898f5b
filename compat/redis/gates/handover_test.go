package gates_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/gates"
	"jetstep/function"
	"jetstep/state"
)

// elsewhere takes over what it is given.
type elsewhere struct {
	mu     sync.Mutex
	taken  []state.Moved // but for claims
	seen   int           // claims
	result state.TakeResult
	err    error
}

func (e *elsewhere) TakeOver(_ context.Context, all []state.Moved) ([]state.TakeOutcome, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return nil, e.err
	}
	for _, m := range all {
		if _, claim := m.Fact.(*state.KeyClaimed); claim {
			e.seen++
			continue
		}
		e.taken = append(e.taken, m)
	}
	return []state.TakeOutcome{{Result: e.result}}, nil
}

func (e *elsewhere) change(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

// beside is a site on the same Redis as another one, whose gates hand over.
func beside(s *site) (*site, *elsewhere) {
	e, log := &elsewhere{}, slog.New(slog.DiscardHandler)
	w := &world{outcomes: map[gates.Outcome]int{}, ended: map[ulid.ULID]*state.Finish{}}
	node := engine.Open(engine.Config{
		Redis: s.client, Functions: s.registry, World: w, Account: function.AccountID, Environment: function.EnvironmentID, Log: log,
	})
	s.t.Cleanup(node.Close)
	other := &site{world: w, registry: s.registry, t: s.t, client: s.client}
	other.Gates = gates.New(gates.Config{Redis: s.client, Node: node, Functions: s.registry, World: w, Elsewhere: e, Log: log})
	return other, e
}

// left is what a Redis has of debounces and batches, and their jobs.
func (s *site) left() int {
	s.t.Helper()
	names, err := s.client.Keys(s.t.Context(), "{queue:*}:batches:*").Result()
	require.NoError(s.t, err)
	pointers, err := s.client.Keys(s.t.Context(), "{queue*:debounce-ptrs:*").Result()
	require.NoError(s.t, err)
	return len(names) + len(pointers) + int(s.client.HLen(s.t.Context(), format.DebouncesKey).Val()+s.client.HLen(s.t.Context(), format.ItemsKey).Val())
}

// TestHandOver: debounces and batches that are open go elsewhere, once, with when they
// are due; nothing of them stays.
func TestHandOver(t *testing.T) {
	t.Parallel()
	pausing := newFunction(t, `{"debounce":{"period":"1h","key":"event.data.k","timeout":"3h"}}`)
	gathering := newFunction(t, `{"batchEvents":{"maxSize":9,"timeout":"1h","key":"event.data.k"}}`)
	unknown := newFunction(t, `{"debounce":{"period":"1h"}}`)
	s := open(t, pausing, gathering, unknown)
	for n, k := range []string{"x", "x", "y"} {
		s.event(pausing, newEvent(t, "e", map[string]any{"k": k, "n": n}))
		s.event(gathering, newEvent(t, "e", map[string]any{"k": k, "n": n}))
	}
	s.event(unknown, newEvent(t, "e", map[string]any{"n": 1}))
	s.registry.remove(unknown.ID)
	other, to := beside(s)
	to.change(func() { to.err = errors.New("nobody is there") })
	require.ErrorIs(t, other.HandOver(t.Context()), engine.ErrLater)
	to.change(func() { to.err = nil })
	require.NoError(t, other.HandOver(t.Context()))
	require.Len(t, to.taken, 4)
	sizes := map[int]int{}
	for _, m := range to.taken {
		require.True(t, m.Joins)
		require.False(t, m.Apart)
		var due int64
		switch put := m.Fact.(type) {
		case *state.DebouncePut:
			due = put.Debounce.Due
			require.Equal(t, pausing.ID, m.Function)
			require.Greater(t, put.Debounce.Until, due)
			sizes[len(put.Debounce.Start.Events)]++
		case *state.BatchPut:
			due = put.Batch.Due
			require.Equal(t, gathering.ID, m.Function)
			sizes[len(put.Batch.Start.Events)]++
		}
		require.InDelta(t, time.Now().Add(time.Hour).UnixMilli(), due, float64(time.Minute.Milliseconds()))
	}
	require.Equal(t, map[int]int{1: 3, 2: 1}, sizes)
	require.Equal(t, 3, to.seen, "events of batches")
	require.Equal(t, 3, s.left(), "that of the unknown function stays")
	require.NoError(t, other.HandOver(t.Context()))
	require.Len(t, to.taken, 4)
	require.Zero(t, s.live())
}

// TestHandOverWhatIsDue: the jobs themselves hand over, and a batch that is due is
// joined by no more events.
func TestHandOverWhatIsDue(t *testing.T) {
	t.Parallel()
	gathering := newFunction(t, `{"batchEvents":{"maxSize":2,"timeout":"1h"}}`)
	s := open(t, gathering)
	s.Node.Close() // it starts nothing
	for n := range 2 {
		s.event(gathering, newEvent(t, "e", map[string]any{"n": n}))
	}
	_, to := beside(s)
	s.eventually(func() bool { return s.left() == 0 })
	require.Len(t, to.taken, 1)
	require.True(t, to.taken[0].Apart)
}

// TestHandOverRefused: what nobody takes over starts its run here, as does what has one
// already.
func TestHandOverRefused(t *testing.T) {
	t.Parallel()
	gathering := newFunction(t, `{"batchEvents":{"maxSize":9,"timeout":"1h"}}`)
	pausing := newFunction(t, `{"debounce":{"period":"1h"}}`)
	s := open(t, gathering, pausing)
	s.event(gathering, newEvent(t, "e", map[string]any{"n": 1}))
	e := newEvent(t, "e", map[string]any{"n": 2})
	s.event(pausing, e)
	claimed := s.client.Set(t.Context(), format.ClaimKey(function.AccountID, function.IdempotencyKey(pausing.ID, e.ID.String())), "-"+ulid.Make().String(), 0)
	require.NoError(t, claimed.Err())
	other, to := beside(s)
	to.change(func() { to.result = state.TakenNot })
	require.NoError(t, other.HandOver(t.Context()))
	require.Len(t, to.taken, 1)
	require.Equal(t, 1, s.live())
}

// TestMendBatches: a batch whose job was never made starts when its time is over.
func TestMendBatches(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"batchEvents":{"maxSize":9,"timeout":"1h","key":"event.data.k"}}`)
	s := open(t, fn)
	s.event(fn, newEvent(t, "e", map[string]any{"k": "x", "n": 1}))
	lose := func(item *format.Item) { // as if it had never been there
		require.NoError(t, s.client.HDel(t.Context(), format.ItemsKey, item.ID).Err())
		require.NoError(t, s.client.ZRem(t.Context(), format.ReadyKey(item.Partition()), item.ID).Err())
	}
	made := s.item(format.KindBatch)
	require.NoError(t, s.MendBatches(t.Context()))
	require.Equal(t, made, s.item(format.KindBatch), "it has one")
	lose(made)
	require.NoError(t, s.MendBatches(t.Context()))
	again := s.item(format.KindBatch)
	require.InDelta(t, made.At, again.At, 2000)
	require.Equal(t, made.Data.Payload, again.Data.Payload)

	sooner := *fn
	sooner.EventBatch = &function.EventBatch{MaxSize: 9, Timeout: "1ms", Key: "event.data.k"}
	s.registry.put(gates.Known{Function: &sooner, App: app})
	lose(made)
	require.NoError(t, s.MendBatches(t.Context()))
	require.Equal(t, []int{1}, numbers(t, s.run()))
}
