package inspect_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/inspect"
	"jetstep/compat/redis/redistest"
	"jetstep/queue"
	"jetstep/state"
)

func TestMain(m *testing.M) { redistest.Main(m) }

var (
	account     = uuid.MustParse("00000000-0000-4000-a000-000000000000")
	environment = uuid.MustParse("00000000-0000-4000-b000-000000000000")
)

// world is a captured database with one run whose first job is due.
type world struct {
	*testing.T
	client redis.UniversalClient
	item   format.Item
	run    ulid.ULID
}

func load(t *testing.T, name string) *world {
	client := redistest.Open(t)
	redistest.Load(t, client, redistest.Captured(t, name))
	w := &world{T: t, client: client}
	for id, text := range client.HGetAll(t.Context(), format.ItemsKey).Val() {
		item, err := format.Decode[format.Item](format.Place{}, text)
		require.NoError(t, err)
		if item.Data.Identifier.RunID != (ulid.ULID{}) {
			item.ID, w.item, w.run = id, item, item.Data.Identifier.RunID
		}
	}
	require.NotZero(t, w.run)
	return w
}

func (w *world) do(c redis.Cmder) { require.NoError(w, c.Err()) }

func (w *world) put(change func(*format.Item)) {
	item := w.item
	change(&item)
	text, err := format.Encode(item)
	require.NoError(w, err)
	w.do(w.client.HSet(w.Context(), format.ItemsKey, item.ID, text))
}

func (w *world) partition() string { return w.item.Partition() }

// inspect gives the kinds that were found, in order.
func (w *world) inspect(c inspect.Config) ([]inspect.Kind, *inspect.Summary) {
	w.Helper()
	var kinds []inspect.Kind
	c.Redis, c.Patience = w.client, time.Millisecond
	c.Report = func(f inspect.Finding) error {
		require.NotEmpty(w, f.Key)
		require.NotEmpty(w, f.Reason)
		require.Equal(w, c.Repair && f.Repaired, f.Repaired)
		kinds = append(kinds, f.Kind)
		return nil
	}
	summary, err := inspect.Run(w.Context(), c)
	require.NoError(w, err)
	return kinds, summary
}

// TestHealthy: nothing is wrong with what the original left, though leases have
// ended and everything is overdue.
func TestHealthy(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"redis-queue/d01-sleep", "redis-queue/d02-in-progress", "redis-queue/d03-concurrency-limited", "redis-queue/d04-throttled",
		"redis-queue/d05-wait-for-event", "redis-queue/d07-parallel", "redis-queue/d08-cron", "redis-queue/d15-singleton-sleeping",
		"redis-queue/e01-start-plain", "redis-queue/e08-debounce", "redis-queue/e10-batch", "redis-queue/k01-sleep-in-backlog",
		"redis-queue/k02-concurrency-backlogs", "redis-state/s02-wait-for-event", "redis-state/s03-invoke",
		"redis-state/s04-wait-for-signal", "redis-state/s10-cancel-on", "redis-state/s13-defers",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := redistest.Open(t)
			redistest.Load(t, client, redistest.Captured(t, name))
			before := lasting(redistest.Dump(t, client))
			w := &world{T: t, client: client}
			for _, repair := range []bool{false, true} {
				kinds, summary := w.inspect(inspect.Config{Repair: repair})
				require.Empty(t, kinds)
				require.Positive(t, summary.Keys)
				require.Zero(t, summary.Left())
			}
			require.Equal(t, before, lasting(redistest.Dump(t, client)))
		})
	}
}

// TestBatchWithoutJob: a batch that nothing starts is told of; a server knows when it
// is due.
func TestBatchWithoutJob(t *testing.T) {
	t.Parallel()
	w := &world{T: t, client: redistest.Open(t)}
	fn, id := uuid.New(), ulid.MustNew(ulid.Timestamp(time.Now().Add(-time.Minute)), ulid.DefaultEntropy())
	w.do(w.client.HSet(t.Context(), format.BatchMetadataKey(fn, id), "status", "Pending"))
	kinds, summary := w.inspect(inspect.Config{Repair: true})
	require.Equal(t, []inspect.Kind{inspect.BatchWithoutJob}, kinds)
	require.EqualValues(t, 1, summary.Left())
	w.do(w.client.Set(t.Context(), format.ItemsKey, "?", 0))
	kinds, _ = w.inspect(inspect.Config{})
	require.NotContains(t, kinds, inspect.BatchWithoutJob)
}

// lasting is what does not go by itself.
func lasting(dump map[string]redistest.Key) map[string]redistest.Key {
	for name, key := range dump {
		if key.TTL > 0 || key.Type == "none" { // gone while it was read
			delete(dump, name)
		}
	}
	return dump
}

const fresh = "redis-queue/e01-start-plain"

// wrongs are what can be wrong, with what is found. Those that leave the run without
// a job are found as stuck, too.
func wrongs() map[string]struct {
	name  string // of the captured database, fresh unless given
	spoil func(w *world)
	want  []inspect.Kind
	// goesOn tells whether the run is executed once it was repaired.
	goesOn bool
} {
	type wrong = struct {
		name   string
		spoil  func(w *world)
		want   []inspect.Kind
		goesOn bool
	}
	far := ulid.MustNew(uint64(time.Now().AddDate(1000, 0, 0).UnixMilli()), ulid.DefaultEntropy())
	return map[string]wrong{
		"an item that is cut off": {spoil: func(w *world) {
			w.do(w.client.HSet(w.Context(), format.ItemsKey, w.item.ID, `{"data":{`))
		}, want: []inspect.Kind{inspect.ItemUnreadable}},
		"an item without environment": {spoil: func(w *world) { w.put(func(i *format.Item) { i.Environment = uuid.Nil }) },
			want: []inspect.Kind{inspect.ItemUnreadable}},
		"an item whose run is gone": {spoil: func(w *world) { w.do(w.client.Del(w.Context(), format.MetadataKey(w.run))) },
			want: []inspect.Kind{inspect.ItemWithoutRun}},
		"an item in no line": {spoil: func(w *world) { w.do(w.client.Del(w.Context(), format.ReadyKey(w.partition()))) },
			want: []inspect.Kind{inspect.ItemLost}, goesOn: true},
		"an item in both lines": {spoil: func(w *world) {
			w.do(w.client.ZAdd(w.Context(), format.ScavengerKey(w.partition()), redis.Z{Member: w.item.ID, Score: 1}))
		}, want: []inspect.Kind{inspect.ItemTwice}, goesOn: true},
		"an item that no index has": {spoil: func(w *world) { w.do(w.client.Del(w.Context(), format.RunIndexKey(w.run))) },
			want: []inspect.Kind{inspect.RunStuck, inspect.ItemUnindexed}, goesOn: true},
		"an item due after all time": {spoil: func(w *world) {
			w.do(w.client.ZAdd(w.Context(), format.ReadyKey(w.partition()), redis.Z{Member: w.item.ID, Score: math.Inf(1)}))
		}, want: []inspect.Kind{inspect.ItemScore}, goesOn: true},
		"a lease of the far future": {spoil: func(w *world) {
			w.put(func(i *format.Item) { i.LeaseID = &far })
			w.do(w.client.ZRem(w.Context(), format.ReadyKey(w.partition()), w.item.ID))
			w.do(w.client.ZAdd(w.Context(), format.ScavengerKey(w.partition()), redis.Z{Member: w.item.ID, Score: float64(far.Time())}))
		}, want: []inspect.Kind{inspect.LeaseFarFuture}, goesOn: true},
		"a partition leased until the far future": {spoil: func(w *world) {
			w.do(w.client.HSet(w.Context(), format.PartitionsKey, w.partition(),
				`{"id":"`+w.partition()+`","wid":"`+w.partition()+`","aID":"`+account.String()+`","leaseID":"`+far.String()+`"}`))
		}, want: []inspect.Kind{inspect.LeaseFarFuture}, goesOn: true},
		"capacity until the far future": {spoil: func(w *world) {
			w.do(w.client.ZAdd(w.Context(), format.ConstraintAccountsKey, redis.Z{Member: account.String(), Score: 1}))
			w.do(w.client.ZAdd(w.Context(), format.CapacityLeasesKey(account), redis.Z{Member: far.String(), Score: float64(far.Time())}))
		}, want: []inspect.Kind{inspect.LeaseFarFuture}, goesOn: true},
		"a partition that cannot be read": {spoil: func(w *world) {
			w.do(w.client.HSet(w.Context(), format.PartitionsKey, w.partition(), `[`))
		}, want: []inspect.Kind{inspect.PartitionUnreadable}, goesOn: true},
		"a partition without its data": {spoil: func(w *world) {
			w.do(w.client.Del(w.Context(), format.PartitionsKey, format.PointersKey))
		}, want: []inspect.Kind{inspect.PartitionMissing}, goesOn: true},
		"a partition without pointer": {spoil: func(w *world) { w.do(w.client.Del(w.Context(), format.PointersKey)) },
			want: []inspect.Kind{inspect.PointerMissing}, goesOn: true},
		"a pointer to nothing": {spoil: func(w *world) {
			w.do(w.client.ZAdd(w.Context(), format.PointersKey, redis.Z{Member: "nothing", Score: 1}))
			w.do(w.client.ZAdd(w.Context(), format.AccountPointersKey(account), redis.Z{Member: "nothing", Score: 1}))
		}, want: []inspect.Kind{inspect.PointerToNothing, inspect.PointerToNothing}, goesOn: true},
		"a run without a job": {spoil: func(w *world) {
			w.do(w.client.HDel(w.Context(), format.ItemsKey, w.item.ID))
			w.do(w.client.ZRem(w.Context(), format.ReadyKey(w.partition()), w.item.ID))
		}, want: []inspect.Kind{inspect.RunStuck}, goesOn: true},
		"a wait without timeout": {name: "redis-state/s02-wait-for-event", spoil: func(w *world) {
			w.do(w.client.Del(w.Context(), format.ItemsKey, format.ReadyKey(w.partition())))
		}, want: []inspect.Kind{inspect.RunStuck}, goesOn: true},
		"a pause without its run": {name: "redis-state/s02-wait-for-event", spoil: func(w *world) {
			w.do(w.client.Del(w.Context(), format.MetadataKey(w.run)))
		}, want: []inspect.Kind{inspect.PauseWithoutRun, inspect.ItemWithoutRun}},
		"a pause that cannot be read": {spoil: func(w *world) {
			w.do(w.client.HSet(w.Context(), format.PauseEventsKey(environment, "some/event"), uuid.NewString(), `{"id":`))
		}, want: []inspect.Kind{inspect.PauseUnreadable}, goesOn: true},
		"a key of a wrong type": {spoil: func(w *world) {
			w.do(w.client.Set(w.Context(), format.PauseEventsKey(environment, "some/event"), "x", 0))
		}, want: []inspect.Kind{inspect.KeyOfWrongType}, goesOn: true},
	}
}

// TestWrong: each kind of what is wrong is found; finding changes nothing; repairing
// does it once, and then the run goes on, if it can.
func TestWrong(t *testing.T) {
	t.Parallel()
	for name, c := range wrongs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := c.name
			if database == "" {
				database = fresh
			}
			w := load(t, database)
			c.spoil(w)
			before := lasting(redistest.Dump(t, w.client))
			kinds, summary := w.inspect(inspect.Config{})
			require.ElementsMatch(t, c.want, kinds)
			require.EqualValues(t, len(c.want), summary.Left())
			require.Equal(t, before, lasting(redistest.Dump(t, w.client)))

			_, summary = w.inspect(inspect.Config{Repair: true})
			for kind, n := range summary.Found {
				if kind != inspect.RunUnreadable {
					require.Positive(t, summary.Repaired[kind], "%s of %d", kind, n)
				}
			}
			kinds, _ = w.inspect(inspect.Config{Repair: true})
			for _, kind := range kinds {
				require.Contains(t, []inspect.Kind{inspect.SetAside, inspect.RunStuck}, kind, "it was repaired")
			}
			kinds, summary = w.inspect(inspect.Config{Repair: true, Discard: true})
			for _, kind := range kinds {
				require.Equal(t, inspect.SetAside, kind)
			}
			require.Zero(t, summary.Left())
			kinds, _ = w.inspect(inspect.Config{})
			require.Empty(t, kinds)
			if c.goesOn {
				w.ends()
			}
		})
	}
}

// ends executes the run's next call, which ends it.
func (w *world) ends() {
	w.Helper()
	n := engine.Open(engine.Config{
		Redis: w.client, Functions: anyFunction{}, World: quietWorld{}, Account: account, Environment: environment,
		Log: slog.New(slog.DiscardHandler),
	})
	defer n.Close()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	lease, err := n.Lease(ctx, queue.LaneCall)
	require.NoError(w, err)
	require.Equal(w, w.run, lease.RunID)
	require.NoError(w, n.Commit(ctx, &state.Transition{
		RunID: lease.RunID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, Mark: lease.Mark,
		Finish: &state.Finish{Status: state.Completed, Output: json.RawMessage("1")},
	}))
}

type anyFunction struct{}

func (anyFunction) Attempts(uuid.UUID) int         { return 4 }
func (anyFunction) App(uuid.UUID) uuid.UUID        { return uuid.Nil }
func (anyFunction) Limits(uuid.UUID) engine.Limits { return engine.Limits{} }

type quietWorld struct{}

func (quietWorld) Publish(context.Context, []state.Outgoing) error { return nil }
func (quietWorld) Ended(*state.Run, *state.Finish)                 {}

// TestRestore: what was set aside and can be executed by now is enqueued again.
func TestRestore(t *testing.T) {
	t.Parallel()
	w := load(t, fresh)
	text := w.client.HGet(t.Context(), format.ItemsKey, w.item.ID).Val()
	w.do(w.client.HSet(t.Context(), format.ItemsKey, w.item.ID, `{`))
	kinds, summary := w.inspect(inspect.Config{Repair: true})
	require.Contains(t, kinds, inspect.ItemUnreadable)
	require.Zero(t, summary.Left())
	aside, err := format.Decode[format.Aside](format.Place{}, w.client.HGet(t.Context(), format.SetAsideKey, w.item.ID).Val())
	require.NoError(t, err)
	require.Equal(t, `{`, aside.Item)
	require.Equal(t, "unreadable", aside.Why)
	aside.Item = text // as a newer version reads it
	again, err := format.Encode(aside)
	require.NoError(t, err)
	w.do(w.client.HSet(t.Context(), format.SetAsideKey, w.item.ID, again))
	kinds, summary = w.inspect(inspect.Config{Repair: true})
	require.Equal(t, []inspect.Kind{inspect.SetAside}, kinds)
	require.Zero(t, summary.Left())
	require.Zero(t, w.client.Exists(t.Context(), format.SetAsideKey).Val())
	kinds, _ = w.inspect(inspect.Config{})
	require.Empty(t, kinds)
	w.ends()
}

// TestUnreadableRun: it is told, and nothing is done about it.
func TestUnreadableRun(t *testing.T) {
	t.Parallel()
	w := load(t, fresh)
	w.do(w.client.HSet(t.Context(), format.MetadataKey(w.run), "id", "{"))
	kinds, summary := w.inspect(inspect.Config{Repair: true})
	require.Equal(t, []inspect.Kind{inspect.RunUnreadable}, kinds)
	require.EqualValues(t, 1, summary.Left())
}

// TestMany: what is found among many is as what is found among few.
func TestMany(t *testing.T) {
	t.Parallel()
	w := load(t, fresh)
	const many = 1500
	_, err := w.client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for range many {
			p.HSet(t.Context(), format.PauseEventsKey(environment, "some/event"), uuid.NewString(), `{"id":`)
			p.HSet(t.Context(), format.ItemsKey, uuid.NewString(), `{`)
		}
		return nil
	})
	require.NoError(t, err)
	_, summary := w.inspect(inspect.Config{Repair: true})
	require.EqualValues(t, many, summary.Repaired[inspect.PauseUnreadable])
	require.EqualValues(t, many, summary.Repaired[inspect.ItemUnreadable])
	_, summary = w.inspect(inspect.Config{Repair: true, Discard: true})
	require.EqualValues(t, 2*many, summary.Repaired[inspect.SetAside])
	kinds, _ := w.inspect(inspect.Config{})
	require.Empty(t, kinds)
}
