package jobs_test

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/redistest"
)

func (s *suite) due(now time.Time) []format.Partition {
	s.Helper()
	due, err := s.Due(s.Context(), now, 300)
	require.NoError(s, err)
	return due
}

// TestVisit: a partition is one visitor's at a time, is visited when its first
// item is due, and goes when it has none.
func TestVisit(t *testing.T) {
	t.Parallel()
	s := open(t)
	hour := start.Add(time.Hour)
	s.enqueue(start, newItem("a", format.KindSleep, runAt(start), hour))
	require.Empty(t, s.due(start))
	p := s.due(hour)[0]
	require.Equal(t, format.FunctionPartition(fn, account), p)

	_, leased, err := s.Visit(t.Context(), &p, hour, 1)
	require.NoError(t, err)
	require.True(t, leased)
	_, leased, err = s.Visit(t.Context(), &p, hour.Add(jobs.PartitionLease-time.Second), 1)
	require.NoError(t, err)
	require.False(t, leased, "another has it")
	require.Empty(t, s.due(hour.Add(time.Second)))

	require.NoError(t, s.RequeuePartition(t.Context(), &p, hour.Add(time.Minute), false))
	got, err := s.Partition(t.Context(), p.ID)
	require.NoError(t, err)
	require.Nil(t, got.LeaseID)
	require.Equal(t, hour.UnixMilli(), got.Last)
	require.Equal(t, hour.Unix(), got.At, "when its item is due")
	require.Equal(t, decimal(hour.Unix()), s.consistent()[format.PointersKey].Things[p.ID])

	require.NoError(t, s.RequeuePartition(t.Context(), &p, hour.Add(time.Minute), true))
	s.enqueue(hour, newItem("b", format.KindEdge, runAt(start), hour))
	require.Equal(t, decimal(hour.Unix()+60), s.consistent()[format.PointersKey].Things[p.ID], "forced")
	s.drop(hour, s.lease(hour))
	require.Less(t, s.consistent()[format.PointersKey].Things[p.ID], decimal(hour.Unix()+60), "but what is dequeued pulls it forward")
	got, err = s.Partition(t.Context(), p.ID)
	require.NoError(t, err)
	require.Zero(t, got.ForceAt)

	last := s.lease(hour)
	require.NoError(t, s.RequeuePartition(t.Context(), &p, hour.Add(time.Minute), false))
	require.Len(t, s.consistent()[format.PartitionsKey].Things, 1, "one that executes something stays")
	require.NoError(t, s.Dequeue(t.Context(), last))
	require.NoError(t, s.RequeuePartition(t.Context(), &p, hour.Add(time.Minute), false))
	left := s.consistent()
	for _, key := range []string{format.PartitionsKey, format.PointersKey, format.AccountsKey, format.AccountPointersKey(account)} {
		require.NotContains(t, left, key)
	}
	_, err = s.Partition(t.Context(), p.ID)
	require.ErrorIs(t, err, jobs.ErrGone)
	_, _, err = s.Visit(t.Context(), &p, hour, 1)
	require.ErrorIs(t, err, jobs.ErrGone)
	require.NoError(t, s.RequeuePartition(t.Context(), &p, hour, false), "once more is no harm")
}

// TestLeasedAsCaptured: leases that were captured count: of an item (d02) and of
// a partition, whether text or script wrote them.
func TestLeasedAsCaptured(t *testing.T) {
	t.Parallel()
	s := open(t)
	redistest.Load(t, s.client, redistest.Captured(t, "redis-queue/d03-concurrency-limited"))
	const captured = 1795645594817
	now := time.UnixMilli(captured)
	function := "fb10791f-bcf5-5313-ad26-d314aded75ef"
	page, err := s.Peek(t.Context(), function, now, 0, 10)
	require.NoError(t, err)
	require.NoError(t, page.Damaged)
	require.Len(t, page.Entries, 1)
	require.EqualValues(t, 1, page.InLine)
	require.Empty(t, s.due(now), "the partition is forced into the future")
	s.consistent()

	run := ulid.MustParse("01M8AD2HNE0CPJ0NEKQ3ENJTZW") // the first of the two that are executed
	items, damaged, err := s.OfRun(t.Context(), run)
	require.NoError(t, err)
	require.NoError(t, damaged)
	require.Len(t, items, 1)
	s.drop(now, items[0])
	dump := s.consistent()
	require.Equal(t, "1795645589", dump[format.PointersKey].Things[function], "pulled to its first item: 1795645589.416")
	p, err := s.Partition(t.Context(), function)
	require.NoError(t, err)
	require.Zero(t, p.ForceAt)
}

// TestScavengeAsCaptured: the item of a killed server comes back (d17): next
// generation, same attempt (redis-queue §26.7).
func TestScavengeAsCaptured(t *testing.T) {
	t.Parallel()
	s := open(t)
	redistest.Load(t, s.client, redistest.Captured(t, "redis-queue/d17-crashed-worker"))
	const captured = 1795645889750
	recovered, err := s.Scavenge(t.Context(), time.UnixMilli(captured))
	require.NoError(t, err)
	require.Zero(t, recovered, "its lease lasts")
	now := time.UnixMilli(captured).Add(time.Minute)
	recovered, err = s.Scavenge(t.Context(), now)
	require.NoError(t, err)
	require.Equal(t, 1, recovered)
	s.consistent()
	p := s.due(now)[0]
	page, leased, err := s.Visit(t.Context(), &p, now, 10)
	require.NoError(t, err)
	require.True(t, leased)
	require.Len(t, page.Entries, 1)
	item := page.Entries[0].Item
	require.Equal(t, 2, item.Generation)
	require.Equal(t, 1, item.Scavenged)
	require.Zero(t, item.Data.Attempt)
	require.Nil(t, item.LeaseID)
	require.Equal(t, now.UnixMilli(), item.At)
	recovered, err = s.Scavenge(t.Context(), now)
	require.NoError(t, err)
	require.Zero(t, recovered)
}

// TestDamaged: an item that cannot be read is set aside with the reason, ready or
// leased, and the others go on.
func TestDamaged(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.enqueue(start, newItem("a", format.KindEdge, runAt(start), start), newItem("b", format.KindEdge, runAt(start), start),
		newItem("c", format.KindEdge, runAt(start), start))
	first := s.lease(start)
	damaged := `{"id":"x","data":{"identifier":{"runID":"short"}}}`
	require.NoError(t, s.client.HSet(t.Context(), format.ItemsKey, first.Item.ID, damaged, "b", damaged).Err())
	require.NoError(t, s.client.ZAdd(t.Context(), format.ReadyKey(fn.String()), redis.Z{Member: "orphan", Score: 1}).Err())

	run := first.Item.Data.Identifier.RunID
	there, bad, err := s.OfRun(t.Context(), run)
	require.NoError(t, err)
	require.Empty(t, there)
	require.ErrorContains(t, bad, "[a]: data.identifier.runID")
	page, err := s.Peek(t.Context(), fn.String(), start, 0, 100)
	require.NoError(t, err)
	require.ErrorContains(t, page.Damaged, "value of {queue}:queue:item [b]: data.identifier.runID: ")
	require.EqualValues(t, 3, page.InLine)
	require.Len(t, page.Entries, 1)
	require.Equal(t, "c", page.Entries[0].Item.ID)
	recovered, err := s.Scavenge(t.Context(), start.Add(time.Hour))
	require.ErrorContains(t, err, "[a]: data.identifier.runID")
	require.Zero(t, recovered)
	aside := s.client.HGetAll(t.Context(), format.SetAsideKey).Val()
	require.Len(t, aside, 2)
	require.Contains(t, aside["b"], `is no ULID`)
	require.Contains(t, aside["b"], `short`)
	require.Len(t, s.peek(start), 1)
	again, err := s.Scavenge(t.Context(), start.Add(time.Hour))
	require.NoError(t, err, "it is not looked at again")
	require.Zero(t, again)

	// What is left of a partition without items, or unreadable.
	require.NoError(t, s.client.ZAdd(t.Context(), format.PointersKey, redis.Z{Member: "nothing", Score: 1}).Err())
	require.NoError(t, s.client.HSet(t.Context(), format.PartitionsKey, fn.String(), "{", "cancel", "[").Err())
	require.NoError(t, s.client.ZAdd(t.Context(), format.PointersKey, redis.Z{Member: "cancel", Score: 1}).Err())
	due := s.due(start)
	require.Len(t, due, 2)
	for i := range due {
		_, leased, err := s.Visit(t.Context(), &due[i], start, 1)
		require.NoError(t, err)
		require.True(t, leased, due[i].ID)
		require.NoError(t, s.RequeuePartition(t.Context(), &due[i], start, false))
	}
	require.NotContains(t, redistest.Dump(t, s.client)[format.PointersKey].Things, "nothing")
	require.NoError(t, s.client.ZAdd(t.Context(), format.LeasedKey, redis.Z{Member: "stale", Score: 1}).Err())
	_, err = s.Scavenge(t.Context(), start)
	require.NoError(t, err)
	require.NotContains(t, redistest.Dump(t, s.client), format.LeasedKey)
}

func TestRoles(t *testing.T) {
	t.Parallel()
	s := open(t)
	take := func(own ulid.ULID, now time.Time) ulid.ULID {
		lease, err := s.TakeRole(t.Context(), format.RoleScavengerKey, own, now)
		require.NoError(t, err)
		return lease
	}
	first := take(ulid.ULID{}, start)
	require.Equal(t, start.Add(jobs.RoleLease).UnixMilli(), format.LeaseExpiry(first))
	require.Zero(t, take(ulid.ULID{}, start))
	first = take(first, start.Add(time.Second))
	require.NotZero(t, first)
	second := take(ulid.ULID{}, start.Add(time.Minute))
	require.NotZero(t, second, "the first one's lease has ended")
	require.Zero(t, take(first, start.Add(time.Minute)))
}

// TestWithoutRedis: every operation fails and says at what.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{})
	require.NoError(t, client.Close())
	q, ctx := jobs.NewQueue(client), t.Context()
	p := format.FunctionPartition(fn, account)
	e := &jobs.Entry{Item: *newItem("a", format.KindEdge, runAt(start), start)}
	for what, do := range map[string]func() error{
		"enqueue":         func() error { _, err := q.Enqueue(ctx, start, &e.Item); return err },
		"dequeue":         func() error { return q.Dequeue(ctx, e) },
		"requeue item":    func() error { _, err := q.Requeue(ctx, e, start, func(*format.Item) {}); return err },
		"lease item":      func() error { _, err := q.Lease(ctx, e, start); return err },
		"extend":          func() error { _, err := q.Extend(ctx, e, start); return err },
		"read items":      func() error { _, err := q.Get(ctx, "a"); return err },
		"list items":      func() error { _, _, err := q.OfRun(ctx, runAt(start)); return err },
		"peek partition":  func() error { _, err := q.Peek(ctx, p.ID, start, 0, 1); return err },
		"list partitions": func() error { _, err := q.Due(ctx, start, 1); return err },
		"read partition":  func() error { _, err := q.Partition(ctx, p.ID); return err },
		"visit partition": func() error { _, _, err := q.Visit(ctx, &p, start, 1); return err },
		"requeue part":    func() error { return q.RequeuePartition(ctx, &p, start, false) },
		"scavenge":        func() error { _, err := q.Scavenge(ctx, start); return err },
		"acquire capacity": func() error {
			_, _, err := q.Acquire(ctx, jobs.Ask(&e.Item, []format.Constraint{ofFunction(1)}), start)
			return err
		},
		"read a request":    func() error { _, err := q.ExtendCapacity(ctx, new(jobs.Capacity), start); return err },
		"a request":         func() error { return q.ReleaseCapacity(ctx, new(jobs.Capacity), false) },
		"scavenge capacity": func() error { _, err := q.ScavengeCapacity(ctx, start); return err },
		"set semaphore":     func() error { return q.SetSemaphore(ctx, account, "s", 1) },
		"release semaphore": func() error { return q.ReleaseSemaphore(ctx, account, format.Semaphore{}, runAt(start)) },
		"release item":      func() error { _, err := q.Release(ctx, e, start); return err },
		"change item":       func() error { _, err := q.Change(ctx, e, func(*format.Item) {}); return err },
		"drain":             func() error { _, err := q.Drain(ctx); return err },
		"take role":         func() error { _, err := q.TakeRole(ctx, format.RoleScavengerKey, ulid.ULID{}, start); return err },
	} {
		require.ErrorContains(t, do(), what)
	}
}

func z(member string, score float64) redis.Z { return redis.Z{Member: member, Score: score} }

// TestDrainAsCaptured: what rests in captured backlogs is ready, and nothing of
// the backlogs is left.
func TestDrainAsCaptured(t *testing.T) {
	t.Parallel()
	for name, resting := range map[string]int{
		"k01-sleep-in-backlog": 1, "k02-concurrency-backlogs": 2, "k03-throttle-backlogs": 2, "e01-start-plain": 0,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			redistest.Load(t, s.client, redistest.Captured(t, "redis-queue/"+name))
			moved, err := s.Drain(t.Context())
			require.NoError(t, err)
			require.Equal(t, resting, moved)
			for key := range s.consistent() {
				require.NotContains(t, key, "backlog")
				require.NotContains(t, key, "shadow")
			}
			moved, err = s.Drain(t.Context())
			require.NoError(t, err)
			require.Zero(t, moved)
		})
	}
}

// TestMigrateLock: a function that is being moved is not visited meanwhile.
func TestMigrateLock(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.enqueue(start, newItem("a", format.KindEdge, runAt(start), start))
	lock := ulid.MustNew(ulid.Timestamp(start.Add(time.Minute)), ulid.DefaultEntropy())
	require.NoError(t, s.client.Set(t.Context(), format.MigrateLockKey(fn), lock.String(), 0).Err())
	require.Empty(t, s.due(start))
	require.Len(t, s.due(start.Add(2*time.Minute)), 1)
}
