package gates_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/queue"
)

// keysOf are the keys that flow control has of a function.
func keysOf(fn *function.Function) (all struct{ pointer, debounce, rate, singleton, usage string }) {
	all.pointer, all.debounce = format.BatchPointerKey(fn.ID), format.DebouncePointerKey(fn.ID, fn.ID.String())
	all.rate, all.singleton = format.RateLimitKey(function.AccountID, fn.ID, format.Evaluated{}), format.SingletonKey(fn.ID.String())
	all.usage = format.SemaphoreUsageKey(function.AccountID, function.RunSemaphore(fn.ID, ""), "")
	return all
}

// TestPoisonedGates: what flow control has in Redis may be of any type and say
// anything: events still become runs, and nothing of it is lost.
func TestPoisonedGates(t *testing.T) {
	t.Parallel()
	const (
		batched, debounced = `{"eventBatch":{"maxSize":10,"timeout":"1s"}}`, `{"debounce":{"period":"1s"}}`
		limited, single    = `{"rateLimit":{"limit":1,"period":"1h"}}`, `{"singleton":{"mode":"skip"}}`
		runs               = `{"concurrency":{"fn":[{"limit":1}]}}`
	)
	batch := ulid.Make()
	for name, c := range map[string]struct {
		config string
		poison func(s *site, fn *function.Function) error
	}{
		"a batch's pointer of a wrong type": {batched, func(s *site, fn *function.Function) error {
			return s.client.HSet(s.t.Context(), keysOf(fn).pointer, "a", "b").Err()
		}},
		"a batch's pointer to what is no batch": {batched, func(s *site, fn *function.Function) error {
			return s.client.Set(s.t.Context(), keysOf(fn).pointer, "nonsense", 0).Err()
		}},
		"a batch of a wrong type": {batched, func(s *site, fn *function.Function) error {
			return s.client.MSet(s.t.Context(), keysOf(fn).pointer, batch.String(), format.BatchKey(fn.ID, batch), "x").Err()
		}},
		"a batch whose status is of a wrong type": {batched, func(s *site, fn *function.Function) error {
			return s.client.MSet(s.t.Context(), keysOf(fn).pointer, batch.String(), format.BatchMetadataKey(fn.ID, batch), "x").Err()
		}},
		"a debounce's pointer of a wrong type": {debounced, func(s *site, fn *function.Function) error {
			return s.client.RPush(s.t.Context(), keysOf(fn).debounce, "x").Err()
		}},
		"debounces of a wrong type": {debounced, func(s *site, _ *function.Function) error {
			return s.client.Set(s.t.Context(), format.DebouncesKey, "x", 0).Err()
		}},
		"a debounce that cannot be read": {debounced, func(s *site, fn *function.Function) error {
			s.event(fn, newEvent(s.t, "e", nil))
			id := s.client.Get(s.t.Context(), keysOf(fn).debounce).Val()
			return s.client.HSet(s.t.Context(), format.DebouncesKey, id, `{"e":`).Err()
		}},
		"a rate of a wrong type": {limited, func(s *site, fn *function.Function) error {
			return s.client.SAdd(s.t.Context(), keysOf(fn).rate, "x").Err()
		}},
		"a rate that is no number": {limited, func(s *site, fn *function.Function) error {
			return s.client.Set(s.t.Context(), keysOf(fn).rate, "x", 0).Err()
		}},
		"a singleton of a wrong type": {single, func(s *site, fn *function.Function) error {
			return s.client.SAdd(s.t.Context(), keysOf(fn).singleton, "x").Err()
		}},
		"a singleton that no run has": {single, func(s *site, fn *function.Function) error {
			return s.client.Set(s.t.Context(), keysOf(fn).singleton, "x", 0).Err()
		}},
		"a semaphore of a wrong type": {runs, func(s *site, fn *function.Function) error {
			return s.client.SAdd(s.t.Context(), keysOf(fn).usage, "x").Err()
		}},
		"a semaphore that is no number": {runs, func(s *site, fn *function.Function) error {
			return s.client.Set(s.t.Context(), keysOf(fn).usage, "x", 0).Err()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn := newFunction(t, c.config)
			client := redistest.Open(t)
			jobs.MendTypes(client, jobs.Observer{}, slog.New(slog.DiscardHandler))
			s := openOn(t, client, newRegistry(fn))
			require.NoError(t, s.Sync(t.Context(), []gates.Known{{Function: fn, App: app}}))
			require.NoError(t, c.poison(s, fn))
			e := newEvent(t, "e", nil)
			s.eventually(func() bool {
				_, err := s.Event(t.Context(), fn.ID, e)
				return err == nil
			}, "the event is not handled")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			lease, err := s.Node.Lease(ctx, queue.LaneCall)
			require.NoError(t, err)
			run, err := s.Node.Load(ctx, lease.RunID)
			require.NoError(t, err)
			require.Contains(t, string(run.Events[0]), e.ID.String())
		})
	}
}
