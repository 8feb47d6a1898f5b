package jobs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

var (
	account     = uuid.MustParse("00000000-0000-4000-a000-000000000000")
	environment = uuid.MustParse("00000000-0000-4000-b000-000000000000")
	fn          = uuid.MustParse("62755c39-95cf-5e64-a26b-73152f904cd8")
	start       = time.UnixMilli(1_795_645_339_216)
)

// suite is a queue and its database.
type suite struct {
	*testing.T
	*jobs.Queue
	client *redis.Client
}

func open(t *testing.T) *suite {
	client := redistest.Open(t)
	return &suite{t, jobs.NewQueue(client), client}
}

// newItem is an item of a run of the function.
func newItem(id, kind string, run ulid.ULID, at time.Time) *format.Item {
	attempts := 5
	return &format.Item{
		ID: id, At: at.UnixMilli(), FunctionID: fn, Environment: environment,
		Data: format.ItemData{
			Environment: environment, Kind: kind, MaxAttempts: &attempts,
			Identifier: format.Identifier{
				RunID: run, FunctionID: fn, EventIDs: []ulid.ULID{ulid.Make()}, AccountID: account, EnvironmentID: environment,
			},
			Payload: json.RawMessage(`{"edge":{"incoming":"step","outgoing":""}}`),
		},
	}
}

func runAt(at time.Time) ulid.ULID { return ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()) }

func (s *suite) enqueue(now time.Time, items ...*format.Item) {
	s.Helper()
	results, err := s.Enqueue(s.Context(), now, items...)
	require.NoError(s, err)
	for i, result := range results {
		require.Equal(s, jobs.EnqueuedNow, result, items[i].ID)
	}
	s.consistent()
}

func (s *suite) peek(now time.Time) []*jobs.Entry {
	s.Helper()
	page, err := s.Peek(s.Context(), fn.String(), now, 0, 100)
	require.NoError(s, err)
	require.NoError(s, page.Damaged)
	return page.Entries
}

// drop takes an item away, in whatever state.
func (s *suite) drop(now time.Time, e *jobs.Entry) {
	s.Helper()
	batch := s.Batch(now)
	batch.Drop(e)
	codes, err := batch.Exec(s.Context())
	require.NoError(s, err)
	require.Equal(s, []int{int(jobs.ConcludedNow)}, codes)
}

func (s *suite) lease(now time.Time) *jobs.Entry {
	s.Helper()
	entries := s.peek(now)
	require.NotEmpty(s, entries)
	leased, err := s.Lease(s.Context(), entries[0], now)
	require.NoError(s, err)
	s.consistent()
	return leased
}

// consistent holds the database against what must always be so (redis-queue §26.11).
func (s *suite) consistent() map[string]redistest.Key {
	s.Helper()
	dump := redistest.Dump(s.T, s.client)
	items := dump[format.ItemsKey].Things
	ready, leased := map[string]bool{}, map[string]bool{}
	for key, held := range dump {
		if partition, ok := strings.CutPrefix(key, "{queue}:queue:sorted:"); ok {
			require.Contains(s, dump[format.PartitionsKey].Things, partition, "data of a partition with items")
			require.Contains(s, dump[format.PointersKey].Things, partition, "pointer to a partition with items")
			for id := range held.Things {
				require.Contains(s, items, id)
				ready[id] = true
			}
		}
		if strings.HasPrefix(key, "{queue}:scavenger:") {
			partition := strings.TrimSuffix(strings.TrimPrefix(key, "{queue}:scavenger:"), ":sorted")
			first := int64(1 << 60)
			for id, score := range held.Things {
				require.Contains(s, items, id)
				leased[id] = true
				end, err := strconv.ParseInt(score, 10, 64)
				require.NoError(s, err)
				first = min(first, end)
			}
			require.Equal(s, fmt.Sprint(first), dump[format.LeasedKey].Things[partition])
		}
	}
	for id, text := range items {
		require.NotEqual(s, ready[id], leased[id], "item %s is ready or leased", id)
		item, err := format.Decode[format.Item](format.Place{Member: id}, text)
		require.NoError(s, err)
		require.Equal(s, leased[id], item.LeaseID != nil)
		if leased[id] {
			require.Equal(s, fmt.Sprint(format.LeaseExpiry(*item.LeaseID)), dump[format.ScavengerKey(item.Partition())].Things[id])
		}
		for _, index := range format.IndexKeys(&item) {
			require.Contains(s, dump[index].Things, id, index)
		}
	}
	for key, held := range dump {
		if strings.HasPrefix(key, "{queue}:idx:") || strings.HasPrefix(key, "{queue}:queue:status:") {
			for id := range held.Things {
				require.Contains(s, items, id, key)
			}
		}
	}
	if len(leased) == 0 {
		require.NotContains(s, dump, format.LeasedKey)
	}
	return dump
}

// TestEnqueueAsCaptured: enqueuing the captured items again gives the captured
// queue: items, scores, indexes, partitions and pointers.
func TestEnqueueAsCaptured(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"e01-start-plain", "e02-start-concurrency-keys", "e05-start-throttle-key", "e07-start-priority", "e10-batch",
		"e11-singleton", "e12-start-timeout", "e14-start-future", "e17-priority-float-ignored",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original := open(t)
			redistest.Load(t, original.client, redistest.Captured(t, "redis-queue/"+name))
			want := redistest.Dump(t, original.client)
			s := open(t)
			for id, text := range want[format.ItemsKey].Things {
				item, err := format.Decode[format.Item](format.Place{Member: id}, text)
				require.NoError(t, err)
				asked := item
				if item.Data.Priority != nil {
					asked.At += *item.Data.Priority * 1000
				}
				asked.WallTime, asked.EnqueuedAt, asked.Generation = 0, 0, 0
				results, err := s.Enqueue(t.Context(), time.UnixMilli(item.EnqueuedAt), &asked)
				require.NoError(t, err)
				require.Equal(t, []jobs.Enqueued{jobs.EnqueuedNow}, results)
			}
			got := s.consistent()
			maps.DeleteFunc(want, func(key string, held redistest.Key) bool {
				return !strings.HasPrefix(key, "{queue}:") || strings.HasPrefix(key, "{queue}:queue:s") && held.Type == "string" ||
					key == format.RoleInstrumentsKey
			})
			require.Equal(t, want, got)
		})
	}
}

func TestEnqueueOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	run := runAt(start)
	first := newItem("a", format.KindEdge, run, start)
	s.enqueue(start, first, newItem("b", format.KindSleep, run, start.Add(time.Hour)))
	again := newItem("a", format.KindEdge, run, start.Add(time.Minute))
	bad := newItem("c", "", run, start)
	results, err := s.Enqueue(t.Context(), start, again)
	require.NoError(t, err)
	require.Equal(t, []jobs.Enqueued{jobs.EnqueuedBefore}, results)
	leased := s.lease(start)
	require.Equal(t, start.UnixMilli(), leased.Item.At, "the first one stays")
	require.NoError(t, s.Dequeue(t.Context(), leased))
	require.ErrorIs(t, s.Dequeue(t.Context(), leased), jobs.ErrGone)
	results, err = s.Enqueue(t.Context(), start, again)
	require.NoError(t, err)
	require.Equal(t, []jobs.Enqueued{jobs.EnqueuedBefore}, results, "it is remembered for an hour")
	require.InDelta(t, 3600, s.client.TTL(t.Context(), format.SeenKey("a")).Val().Seconds(), 5)
	_, err = s.Enqueue(t.Context(), start, bad)
	require.ErrorContains(t, err, "item c without kind")
	s.consistent()
	b := s.Batch(start)
	b.EnqueueAlone(newItem("d", format.KindEdge, run, start))
	alone := newItem("e", format.KindEdge, runAt(start), start)
	b.EnqueueAlone(alone)
	b.EnqueueAlone(newItem("f", format.KindEdge, alone.Data.Identifier.RunID, start))
	codes, err := b.Exec(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{int(jobs.EnqueuedNot), int(jobs.EnqueuedNow), int(jobs.EnqueuedNot)}, codes, "the first run has b")
	none, err := s.Enqueue(t.Context(), start)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestLeaseOfItems(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.enqueue(start, newItem("a", format.KindEdge, runAt(start), start))
	read := s.peek(start)[0]
	leased, err := s.Lease(t.Context(), read, start)
	require.NoError(t, err)
	require.Equal(t, start.UnixMilli(), leased.Item.EarliestPeek)
	require.Equal(t, start.Add(jobs.ItemLease).UnixMilli(), format.LeaseExpiry(*leased.Item.LeaseID))
	_, err = s.Lease(t.Context(), read, start)
	require.ErrorIs(t, err, jobs.ErrChanged)
	_, err = s.Lease(t.Context(), leased, start)
	require.ErrorIs(t, err, jobs.ErrChanged)
	require.Empty(t, s.peek(start))

	later := start.Add(15 * time.Second)
	extended, err := s.Extend(t.Context(), leased, later)
	require.NoError(t, err)
	require.Equal(t, later.Add(jobs.ItemLease).UnixMilli(), format.LeaseExpiry(*extended.Item.LeaseID))
	s.consistent()
	_, err = s.Extend(t.Context(), leased, later)
	require.ErrorIs(t, err, jobs.ErrChanged, "that lease was given up for the other")

	// Somebody changes the item and leaves the lease.
	var raw map[string]any
	text := s.client.HGet(t.Context(), format.ItemsKey, "a").Val()
	require.NoError(t, json.Unmarshal([]byte(text), &raw))
	raw["other"] = true
	changed, err := json.Marshal(raw)
	require.NoError(t, err)
	require.NoError(t, s.client.HSet(t.Context(), format.ItemsKey, "a", changed).Err())
	require.ErrorIs(t, s.Dequeue(t.Context(), extended), jobs.ErrChanged)
	extended, err = s.Extend(t.Context(), extended, later)
	require.NoError(t, err)
	require.Contains(t, extended.Item.Rest, "other")

	released, err := s.Release(t.Context(), extended, later)
	require.NoError(t, err)
	require.Nil(t, released.Item.LeaseID)
	require.Equal(t, 1, released.Item.Generation)
	s.consistent()
	_, err = s.Release(t.Context(), extended, later)
	require.NoError(t, err, "the same once more: perhaps the first answer was lost")
	_, err = s.Release(t.Context(), extended, later.Add(time.Second))
	require.NoError(t, err)
	_, err = s.Extend(t.Context(), extended, later)
	require.ErrorIs(t, err, jobs.ErrChanged)
	s.drop(later, extended)
	_, err = s.Extend(t.Context(), extended, later)
	require.ErrorIs(t, err, jobs.ErrGone)
	_, err = s.Get(t.Context(), "a")
	require.ErrorIs(t, err, jobs.ErrGone)
	s.consistent()
}

func TestRequeue(t *testing.T) {
	t.Parallel()
	s := open(t)
	run := runAt(start)
	s.enqueue(start, newItem("a", format.KindSleep, run, start))
	leased := s.lease(start)
	due := start.Add(time.Minute)
	again, err := s.Requeue(t.Context(), leased, start, func(i *format.Item) {
		i.At = due.UnixMilli()
		i.Data.Attempt++
	})
	require.NoError(t, err)
	require.Equal(t, 2, again.Item.Generation)
	require.Equal(t, 1, again.Item.Data.Attempt)
	require.Zero(t, again.Item.EarliestPeek)
	dump := s.consistent()
	require.Equal(t, decimal(due.UnixMilli()), dump[format.ReadyKey(fn.String())].Things["a"])
	require.Equal(t, decimal(due.UnixMilli()), dump[format.RunIndexKey(run)].Things["a"])
	require.Equal(t, decimal(due.Unix()), dump[format.PointersKey].Things[fn.String()])
	_, err = s.Requeue(t.Context(), leased, start, func(*format.Item) {})
	require.ErrorIs(t, err, jobs.ErrChanged)

	next := newItem("a", format.KindEdge, run, start)
	batch := s.Batch(start)
	batch.Replace(again, next)
	codes, err := batch.Exec(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{int(jobs.ConcludedNow)}, codes)
	replaced, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, format.KindEdge, replaced.Item.Data.Kind)
	require.Equal(t, 1, replaced.Item.Generation)
	dump = s.consistent()
	require.NotContains(t, dump, format.StatusKey(fn, format.StatusSleep))
	require.Contains(t, dump, format.StatusKey(fn, format.StatusInProgress))
	batch = s.Batch(start)
	batch.Replace(replaced, newItem("a", "", run, start))
	_, err = batch.Exec(t.Context())
	require.ErrorContains(t, err, "without kind")
	entries, damaged, err := s.OfRun(t.Context(), run)
	require.NoError(t, err)
	require.NoError(t, damaged)
	require.Len(t, entries, 1)
	require.NoError(t, s.Dequeue(t.Context(), entries[0]))
	_, err = s.Requeue(t.Context(), replaced, start, func(*format.Item) {})
	require.ErrorIs(t, err, jobs.ErrGone)
}

func TestSingletons(t *testing.T) {
	t.Parallel()
	s := open(t)
	singleton := func(id string, run ulid.ULID) *format.Item {
		item := newItem(id, format.KindStart, run, start)
		item.Data.Singleton = &format.Singleton{Key: fn.String(), Mode: "skip"}
		return item
	}
	first, second := runAt(start), runAt(start)
	s.enqueue(start, singleton("a", first))
	results, err := s.Enqueue(t.Context(), start, singleton("b", second))
	require.NoError(t, err)
	require.Equal(t, []jobs.Enqueued{jobs.EnqueuedSingleton}, results)
	s.consistent() // and no orphan
	s.enqueue(start, newItem("a2", format.KindEdge, first, start))
	require.NoError(t, s.Dequeue(t.Context(), s.lease(start)))
	require.Equal(t, first.String(), s.client.Get(t.Context(), format.SingletonKey(fn.String())).Val(), "the run has another item")
	require.NoError(t, s.Dequeue(t.Context(), s.lease(start)))
	s.enqueue(start, singleton("b", second))
	// A lock that was taken over is not the run's to give back.
	require.NoError(t, s.client.Set(t.Context(), format.SingletonKey(fn.String()), first.String(), 0).Err())
	require.NoError(t, s.Dequeue(t.Context(), s.lease(start)))
	require.Equal(t, first.String(), s.client.Get(t.Context(), format.SingletonKey(fn.String())).Val())
	require.Zero(t, s.client.Exists(t.Context(), format.SingletonRunKey(second)).Val())
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
