package drain_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/drain"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/state"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func set(t *testing.T, client *redis.Client, key, value string) {
	t.Helper()
	require.NoError(t, client.Set(t.Context(), key, value, 0).Err())
}

// TestPastKeys: starts with keys that runs of the Redis have, or had, are known.
func TestPastKeys(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	live, ended := ulid.Make(), ulid.Make()
	key := func(n int) string { return function.IdempotencyKey(fn, fmt.Sprint(n)) }
	set(t, client, format.ClaimKey(function.AccountID, key(1)), live.String())
	set(t, client, format.ClaimKey(function.AccountID, key(2)), "-"+ended.String())
	set(t, client, format.FinalizeKey(function.AccountID, key(3)), uuid.NewString())
	set(t, client, format.ClaimKey(function.AccountID, key(4)), "?")
	for n := range 2500 {
		set(t, client, format.ClaimKey(function.AccountID, key(100+n)), live.String())
	}
	past := drain.NewPast(client, function.AccountID)
	_, taken := past.Claimed(fn, key(1))
	require.False(t, taken)
	require.NoError(t, past.Load(t.Context()))
	for n, want := range map[int]ulid.ULID{1: live, 2: ended, 4: {}, 100: live, 2599: live} {
		run, taken := past.Claimed(fn, key(n))
		require.True(t, taken, n)
		require.Equal(t, want, run)
	}
	_, taken = past.Claimed(fn, key(3))
	require.False(t, taken)
}

// TestPastSingletons: who holds a singleton is known until its run has ended.
func TestPastSingletons(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	plain, keyed, empty := ulid.Make(), ulid.Make(), ulid.Make()
	other := uuid.UUID{15: 9}
	set(t, client, format.SingletonKey(fn.String()), plain.String())
	set(t, client, format.SingletonRunKey(plain), format.SingletonKey(fn.String()))
	set(t, client, format.SingletonKey(other.String()+"-"+function.Hash("a")), keyed.String())
	set(t, client, format.SingletonKey(other.String()+"-"+function.Hash("")), empty.String())
	for _, run := range []ulid.ULID{plain, keyed, empty} {
		live(t, client, run)
	}
	past := drain.NewPast(client, function.AccountID)
	require.NoError(t, past.Load(t.Context()))
	for _, c := range []struct {
		fn   uuid.UUID
		text string
		want ulid.ULID
	}{{fn, "", plain}, {fn, "a", ulid.ULID{}}, {other, "a", keyed}, {other, "", empty}, {other, "b", ulid.ULID{}}} {
		run, held := past.Singleton(c.fn, c.text)
		require.Equal(t, c.want, run)
		require.Equal(t, !c.want.IsZero(), held)
	}
	past.Ended(empty)
	_, held := past.Singleton(other, "")
	require.False(t, held)

	next := ulid.Make()
	live(t, client, next)
	set(t, client, format.SingletonKey(fn.String()), next.String())
	require.NoError(t, client.Del(t.Context(), format.SingletonKey(other.String()+"-"+function.Hash("a"))).Err())
	require.NoError(t, past.Refresh(t.Context()))
	run, _ := past.Singleton(fn, "")
	require.Equal(t, next, run)
	_, held = past.Singleton(other, "a")
	require.False(t, held)
}

// TestPastSingletonsOfNoRun: a key that a run left behind when its end broke off
// keeps no other run from being made.
func TestPastSingletonsOfNoRun(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	run := ulid.Make()
	set(t, client, format.SingletonKey(fn.String()), run.String())
	past := drain.NewPast(client, function.AccountID)
	require.NoError(t, past.Load(t.Context()))
	_, held := past.Singleton(fn, "")
	require.False(t, held, "of no run")

	live(t, client, run)
	require.NoError(t, past.LoadSingletons(t.Context()))
	_, held = past.Singleton(fn, "")
	require.True(t, held)
	require.NoError(t, client.Del(t.Context(), format.MetadataKey(run)).Err())
	require.NoError(t, past.Refresh(t.Context()))
	_, held = past.Singleton(fn, "")
	require.False(t, held, "the run is gone")
}

// TestPastRates: what starts were charged is known (captured throttles and rates).
func TestPastRates(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	for key, text := range map[string]string{
		format.RateLimitKey(function.AccountID, fn, format.Evaluated{}): "1.5e+18",
		format.RateLimitKey(function.AccountID, fn, format.Evaluated{
			Expression: function.Hash("event.data.k"), Value: function.FunctionValueKey(fn, "a"),
		}): "1.6e+18",
		format.ThrottleKey(function.AccountID, fn, format.Evaluated{
			Expression: function.Hash(""), Value: function.ThrottleKey(fn),
		}): "1795645834167",
		format.ThrottleKey(function.AccountID, fn, format.Evaluated{
			Expression: function.Hash("event.data.k"), Value: function.ThrottleValueKey(fn, "a"),
		}): "1795645834168",
		format.RateLimitKey(function.AccountID, uuid.UUID{15: 9}, format.Evaluated{}): "nonsense",
	} {
		set(t, client, key, text)
	}
	past := drain.NewPast(client, function.AccountID)
	require.NoError(t, past.Load(t.Context()))
	expr, value := function.Hash("event.data.k"), function.Hash("a")
	for key, want := range map[state.GateKey]float64{
		state.NewValueKey(state.OfRateLimit, fn, "", ""):                   1.5e18,
		state.NewValueKey(state.OfRateLimit, fn, expr, value):              1.6e18,
		state.NewValueKey(state.OfThrottle, fn, "", ""):                    1795645834167,
		state.NewValueKey(state.OfThrottle, fn, expr, value):               1795645834168,
		state.NewValueKey(state.OfRateLimit, fn, expr, function.Hash("b")): 0,
		state.NewValueKey(state.OfRateLimit, uuid.UUID{15: 9}, "", ""):     0,
	} {
		require.Equal(t, want, past.Charged(key))
	}
}

// live makes a run seem to live.
func live(t *testing.T, client *redis.Client, run ulid.ULID) {
	t.Helper()
	require.NoError(t, client.HSet(t.Context(), format.MetadataKey(run), format.FieldID, "{}").Err())
}

// TestPastWithoutRedis: nothing is forgotten when the Redis cannot be read.
func TestPastWithoutRedis(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	run := ulid.Make()
	live(t, client, run)
	set(t, client, format.SingletonKey(fn.String()), run.String())
	past := drain.NewPast(client, function.AccountID)
	require.NoError(t, past.Load(t.Context()))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, past.Load(gone))
	require.Error(t, past.Refresh(gone))
	require.Error(t, past.LoadSingletons(gone))
	_, held := past.Singleton(fn, "")
	require.True(t, held)
}

// TestLeft: what is left is counted, and it is told when that is nothing.
func TestLeft(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	run := ulid.Make()
	require.NoError(t, client.HSet(t.Context(), format.ItemsKey, "a", "{}", "b", "{}").Err())
	require.NoError(t, client.HSet(t.Context(), format.MetadataKey(run), "a", "b").Err())
	set(t, client, format.EventsKey(run, fn), "[]")
	set(t, client, format.PauseKey(uuid.New()), "{}")
	var empty atomic.Bool
	left := drain.NewLeft(client, empty.Store, slog.New(slog.DiscardHandler))
	_, known := left.Counts()
	require.False(t, known)
	is := counting(t, left)
	is(drain.Counts{Items: 2, Runs: 1, Pauses: 1})
	require.False(t, empty.Load())
	require.True(t, left.Any())
	require.NoError(t, left.Trouble())
	require.NoError(t, client.Del(t.Context(), format.ItemsKey, format.MetadataKey(run)).Err())
	is(drain.Counts{Pauses: 1})
	require.Eventually(t, empty.Load, patience, 10*time.Millisecond)
	require.False(t, left.Any())
}

// counting lets what is left be counted until the test ends; is waits for a count.
func counting(t *testing.T, left *drain.Left) (is func(want drain.Counts)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { left.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return func(want drain.Counts) {
		t.Helper()
		require.Eventually(t, func() bool { c, known := left.Counts(); return known && c == want }, patience, 10*time.Millisecond)
	}
}

// TestLeftOfSchedules: what nobody will do is not left: ticks, which NATS has, and
// timeouts of runs that have ended.
func TestLeftOfSchedules(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	run := ulid.Make()
	live(t, client, run)
	for i, queue := range []string{
		format.QueueCron(function.EnvironmentID), format.QueueCronSync, format.QueueCronHealthCheck, format.QueueCancel,
	} {
		id := fmt.Sprint("item", i)
		require.NoError(t, client.HSet(t.Context(), format.ItemsKey, id, "{}").Err())
		next := float64(time.Now().AddDate(0, 1, 0).UnixMilli())
		require.NoError(t, client.ZAdd(t.Context(), format.ReadyKey(queue), redis.Z{Member: id, Score: next}).Err())
	}
	var empty atomic.Bool
	is := counting(t, drain.NewLeft(client, empty.Store, slog.New(slog.DiscardHandler)))
	is(drain.Counts{Items: 1, Runs: 1})
	require.False(t, empty.Load())
	require.NoError(t, client.Del(t.Context(), format.MetadataKey(run)).Err())
	is(drain.Counts{})
	require.Eventually(t, empty.Load, patience, 10*time.Millisecond)
}

// TestLeftWithoutRedis: a Redis that is away is said to be so, and what is left
// stays unknown.
func TestLeftWithoutRedis(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	left := drain.NewLeft(client, func(bool) { t.Error("it is not known whether it is empty") }, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { left.Run(ctx); close(done) }()
	require.Eventually(t, func() bool { return left.Trouble() != nil }, patience, 10*time.Millisecond)
	_, known := left.Counts()
	require.False(t, known)
	stop()
	<-done
}
