package jobs_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/function"
)

// TestChargeAsRecorded: rate limits allow what the original's allowed, and keep the
// same times (fixture throttle.json).
func TestChargeAsRecorded(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../tests/testdata/fixtures/throttle.json")
	require.NoError(t, err)
	var recorded []struct {
		Kind, Note string
		Limit      int
		Period     float64 `json:"period_s"`
		Start      int64   `json:"start_ms"`
		Steps      []struct {
			At      int64  `json:"at_ms"`
			Key     string `json:"idempotency_key"`
			Allowed bool
			TAT     string `json:"stored_tat"`
			Expired bool   `json:"key_expired_before"`
		}
	}
	require.NoError(t, json.Unmarshal(text, &recorded))
	compared := 0
	for _, c := range recorded {
		if c.Kind != "rate_limit" {
			continue
		}
		compared++
		t.Run(c.Note, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			r := &format.RateConstraint{
				Limit: c.Limit, Burst: c.Limit / 10, Period: int64(c.Period * float64(time.Second)),
				Key: format.RateLimitKey(account, fn, format.Evaluated{}),
			}
			charged := map[string]int64{}
			for i, step := range c.Steps {
				// What expires by the clock of Redis.
				if since, ok := charged[step.Key]; ok && step.At-since >= format.ChargedTTL*1000 {
					require.NoError(t, s.client.Del(t.Context(), format.ChargedKey(account, function.Hash(step.Key))).Err())
				}
				if _, ok := charged[step.Key]; !ok {
					charged[step.Key] = step.At
				}
				if step.Expired {
					require.NoError(t, s.client.Del(t.Context(), r.Key).Err())
				}
				key := step.Key
				if key == "" {
					key = ulid.Make().String()
				}
				ok, err := s.Charge(t.Context(), account, key, r, time.UnixMilli(c.Start+step.At))
				require.NoError(t, err)
				require.Equal(t, step.Allowed, ok, "step %d", i)
				if step.TAT != "" {
					got, err := format.ParseTAT(format.Place{}, s.client.Get(t.Context(), r.Key).Val())
					require.NoError(t, err)
					want, err := format.ParseTAT(format.Place{}, step.TAT)
					require.NoError(t, err)
					require.InDelta(t, want, got, 1000, "step %d", i)
				}
			}
		})
	}
	require.Positive(t, compared)
}

// TestChargeOnce: what was paid for is not paid again.
func TestChargeOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := &format.RateConstraint{Limit: 1, Period: int64(time.Hour), Key: format.RateLimitKey(account, fn, format.Evaluated{})}
	for key, want := range map[string]bool{"a": true} {
		for range 2 {
			ok, err := s.Charge(t.Context(), account, key, r, start)
			require.NoError(t, err)
			require.Equal(t, want, ok)
		}
	}
	ok, err := s.Charge(t.Context(), account, "b", r, start)
	require.NoError(t, err)
	require.False(t, ok)
	require.Zero(t, s.client.Exists(t.Context(), format.ChargedKey(account, function.Hash("b"))).Val())
}

// TestDebounceAtOnce: what a debounce becomes, and its job, are stored together,
// and only if nobody changed either.
func TestDebounceAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, id := t.Context(), ulid.Make()
	next := func(id ulid.ULID, at time.Time) *jobs.Debouncing {
		item := newItem(function.DebounceJob(id.String()), format.KindDebounce, ulid.ULID{}, at)
		return &jobs.Debouncing{
			ID: id, Seconds: 60, Job: item,
			Event: &format.Debounced{FunctionID: fn, EventID: ulid.Make(), Event: json.RawMessage(`{"data":{"a":[]}}`)},
		}
	}
	none, err := s.Debounce(ctx, fn, "k")
	require.NoError(t, err)
	require.True(t, none.ID.IsZero())
	done, err := s.PutDebounce(ctx, none, next(id, start.Add(time.Minute)), start)
	require.NoError(t, err)
	require.True(t, done)
	done, err = s.PutDebounce(ctx, none, next(ulid.Make(), start), start)
	require.NoError(t, err)
	require.False(t, done, "another was first")

	first, err := s.Debounce(ctx, fn, "k")
	require.NoError(t, err)
	require.Equal(t, id, first.ID)
	require.JSONEq(t, `{"data":{"a":[]}}`, string(first.Kept.Event))
	done, err = s.PutDebounce(ctx, first, next(id, start.Add(time.Hour)), start)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, start.Add(time.Hour).UnixMilli(), int64(s.client.ZScore(ctx, format.ReadyKey(fn.String()), first.Job.Item.ID).Val()))
	done, err = s.PutDebounce(ctx, first, next(id, start), start)
	require.NoError(t, err)
	require.False(t, done, "it has changed")

	second, err := s.Debounce(ctx, fn, "k")
	require.NoError(t, err)
	require.Equal(t, 1, second.Job.Item.Generation)
	_, err = s.Lease(ctx, second.Job, start.Add(time.Hour))
	require.NoError(t, err)
	done, err = s.PutDebounce(ctx, second, next(id, start), start)
	require.NoError(t, err)
	require.False(t, done, "it is ending")
	s.consistent()

	require.NoError(t, s.EndDebounce(ctx, fn, "k", id))
	kept, err := s.Debounced(ctx, id)
	require.NoError(t, err)
	require.Nil(t, kept)
	require.Zero(t, s.client.Exists(ctx, format.DebouncePointerKey(fn, "k"), format.DebouncesKey).Val())
}

// TestBadDebounces: a pointer to nothing is replaced; an event that cannot be read
// is kept, and counts for nothing; a job that cannot be read is lost.
func TestBadDebounces(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, id := t.Context(), ulid.Make()
	pointer := format.DebouncePointerKey(fn, "k")
	require.NoError(t, s.client.Set(ctx, pointer, "nothing", 0).Err())
	d, err := s.Debounce(ctx, fn, "k")
	require.NoError(t, err)
	require.True(t, d.ID.IsZero())
	require.NoError(t, s.client.Set(ctx, pointer, id.String(), 0).Err())
	require.NoError(t, s.client.HSet(ctx, format.ItemsKey, function.DebounceJob(id.String()), "{").Err())
	d, err = s.Debounce(ctx, fn, "k")
	require.NoError(t, err)
	require.Nil(t, d.Job)
	require.NoError(t, s.client.HSet(ctx, format.DebouncesKey, id.String(), "{").Err())
	d, err = s.Debounce(ctx, fn, "k")
	require.NoError(t, err)
	require.Nil(t, d.Kept)
	require.Contains(t, s.client.HGet(ctx, format.SetAsideKey, id.String()).Val(), `"item":"{"`)
	_, err = s.Debounced(ctx, id)
	var damaged *format.ValueError
	require.ErrorAs(t, err, &damaged, "who ends it sets its job aside")
}

// TestSingletonOfARunThatGoesOn: a run whose next item comes in the moment in which
// its last one goes keeps its singleton.
func TestSingletonOfARunThatGoesOn(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, run := t.Context(), runAt(start)
	first, next := newItem("a", format.KindStart, run, start), newItem("b", format.KindEdge, run, start)
	first.Data.Singleton = &format.Singleton{Key: "k", Mode: function.SingletonSkip}
	s.enqueue(start, first)
	goOn := func(from string, to *format.Item) {
		e, err := s.Get(ctx, from)
		require.NoError(t, err)
		batch := s.Batch(start)
		batch.Dequeue(e)
		if to != nil {
			batch.Enqueue(to)
		}
		_, err = batch.Exec(ctx)
		require.NoError(t, err)
	}
	goOn(first.ID, next)
	holder, held, err := s.Singleton(ctx, "k")
	require.NoError(t, err)
	require.True(t, held)
	require.Equal(t, run, holder)
	goOn(next.ID, nil)
	_, held, err = s.Singleton(ctx, "k")
	require.NoError(t, err)
	require.False(t, held, "it had its last item")
}

// TestSingletonHolder: who holds a key is known, and one without jobs loses it.
func TestSingletonHolder(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, run := t.Context(), runAt(start)
	_, held, err := s.Singleton(ctx, "k")
	require.NoError(t, err)
	require.False(t, held)
	item := newItem("a", format.KindStart, run, start)
	item.Data.Singleton = &format.Singleton{Key: "k", Mode: function.SingletonSkip}
	s.enqueue(start, item)
	holder, held, err := s.Singleton(ctx, "k")
	require.NoError(t, err)
	require.True(t, held)
	require.Equal(t, run, holder)
	for _, who := range []ulid.ULID{run, ulid.Make()} {
		freed, err := s.FreeSingleton(ctx, "k", who)
		require.NoError(t, err)
		require.False(t, freed)
	}
	require.NoError(t, s.client.Del(ctx, format.RunIndexKey(run)).Err())
	freed, err := s.FreeSingleton(ctx, "k", run)
	require.NoError(t, err)
	require.True(t, freed)
	require.NoError(t, s.client.Set(ctx, format.SingletonKey("k"), "nobody", 0).Err())
	_, held, err = s.Singleton(ctx, "k")
	require.NoError(t, err)
	require.False(t, held, "by what is no run")
	require.Equal(t, []string{"nobody"}, s.texts("{queue}:jetstep:aside:*:singleton:k"), "it is kept")
}

// texts are the values of strings whose names match a pattern.
func (s *suite) texts(pattern string) (all []string) {
	s.Helper()
	for _, name := range s.client.Keys(s.Context(), pattern).Val() {
		all = append(all, s.client.Get(s.Context(), name).Val())
	}
	return all
}

// TestMove: an item is due at another time, as it was otherwise.
func TestMove(t *testing.T) {
	t.Parallel()
	s := open(t)
	item := newItem("a", format.KindBatch, ulid.ULID{}, start.Add(time.Hour))
	item.Queue, item.Data.Queue = format.QueueBatch, format.QueueBatch
	s.enqueue(start, item)
	e, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.NoError(t, s.Move(t.Context(), e, start, start.Add(-time.Hour).UnixMilli()))
	require.ErrorIs(t, s.Move(t.Context(), e, start, start.Add(time.Minute).UnixMilli()), jobs.ErrChanged)
	moved, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, start.UnixMilli(), moved.Item.At, "not before now")
	require.Equal(t, 1, moved.Item.Generation)
	require.InDelta(t, float64(start.UnixMilli())/1000, s.client.ZScore(t.Context(), format.PointersKey, format.QueueBatch).Val(), 1)
}
