package engine_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/redistest"
	"jetstep/queue"
	"jetstep/state"
)

// noted is what an observer was told.
type noted struct {
	mu   sync.Mutex
	told []string // "kind why", in order; what was put right as "+kind"
}

func (n *noted) observer() jobs.Observer {
	return jobs.Observer{
		SetAside: func(kind string, why jobs.Why) { n.add(kind + " " + string(why)) },
		PutRight: func(kind string) { n.add("+" + kind) },
	}
}

func (n *noted) add(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, what)
}

func (n *noted) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.told...)
}

// poisoned is a captured database with a bad thing in it, and a good run that the
// bad thing must not keep from its end. Its job is due.
type poisoned struct {
	*site
	run  ulid.ULID // of the captured item
	item format.Item
}

const capturedStart = "redis-queue/e01-start-plain"

func newPoisoned(t *testing.T) *poisoned {
	client := redistest.Open(t)
	redistest.Load(t, client, redistest.Captured(t, capturedStart))
	p := &poisoned{site: &site{t: t, client: client, ended: map[ulid.ULID]*state.Finish{}}}
	for id, text := range client.HGetAll(t.Context(), format.ItemsKey).Val() {
		item, err := format.Decode[format.Item](format.Place{}, text)
		require.NoError(t, err)
		item.ID = id
		p.item, p.run = item, item.Data.Identifier.RunID
	}
	require.NotZero(t, p.run)
	return p
}

// change writes the captured item as it is changed.
func (p *poisoned) change(f func(*format.Item)) {
	f(&p.item)
	text, err := format.Encode(p.item)
	require.NoError(p.t, err)
	p.setItem(text)
}

func (p *poisoned) setItem(text string) {
	require.NoError(p.t, p.client.HSet(p.t.Context(), format.ItemsKey, p.item.ID, text).Err())
}

func (p *poisoned) must(c redis.Cmder) { require.NoError(p.t, c.Err()) }

func (p *poisoned) partition() string { return p.item.Partition() }

// TestPoison: whatever is wrong with an item, it is set aside once, with its
// reason, or put right; others go on, and it is never looked at again.
func TestPoison(t *testing.T) {
	t.Parallel()
	far := ulid.MustNew(uint64(time.Now().AddDate(1000, 0, 0).UnixMilli()), ulid.DefaultEntropy())
	for name, c := range map[string]struct {
		poison func(*poisoned)
		told   []string // in any order; what was put right is executed
		reason string
	}{
		"an item without environment": {
			func(p *poisoned) { p.change(func(i *format.Item) { i.Environment = uuid.Nil }) },
			[]string{"item no_environment"}, "names no environment",
		},
		"an item of an unknown kind": {
			func(p *poisoned) { p.change(func(i *format.Item) { i.Data.Kind = "teleport" }) },
			[]string{"item unknown_kind"}, "teleport",
		},
		"an item that is cut off": {
			func(p *poisoned) { p.setItem(`{"id":"x","data":{"identifier":{"runID":"` + p.run.String() + `"},"ki`) },
			[]string{"item unreadable"}, "not JSON",
		},
		"an item with a bad id": {
			func(p *poisoned) { p.setItem(`{"data":{"kind":"edge","identifier":{"runID":"short"}}}`) },
			[]string{"item unreadable"}, "is no ULID",
		},
		"an item whose payload is none": {
			func(p *poisoned) { p.change(func(i *format.Item) { i.Data.Payload = json.RawMessage(`[7]`) }) },
			[]string{"item unreadable"}, "payload",
		},
		"an item that names no run": {
			func(p *poisoned) { p.change(func(i *format.Item) { i.Data.Identifier.RunID = ulid.ULID{} }) },
			[]string{"item no_run"}, "names no run",
		},
		"an item whose run is gone": {
			func(p *poisoned) { p.must(p.client.Del(t.Context(), format.MetadataKey(p.run))) },
			[]string{"item no_run"}, "is gone",
		},
		"a run whose metadata cannot be read": {
			func(p *poisoned) { p.must(p.client.HSet(t.Context(), format.MetadataKey(p.run), "id", `{"runID":7}`)) },
			[]string{"item run_unreadable"}, "runID",
		},
		"a run whose events cannot be read": {
			func(p *poisoned) {
				p.must(p.client.Set(t.Context(), format.EventsKey(p.run, p.item.FunctionID), `[{"name":`, 0))
			},
			[]string{"item run_unreadable"}, "not JSON",
		},
		"a run with a key of a wrong type": {
			func(p *poisoned) { p.must(p.client.Set(t.Context(), format.StackKey(p.run), "x", 0)) },
			[]string{"item run_unreadable"}, "WRONGTYPE",
		},
		"a line of a wrong type": {
			func(p *poisoned) {
				p.must(p.client.Del(t.Context(), format.ReadyKey(p.partition())))
				p.must(p.client.Set(t.Context(), format.ReadyKey(p.partition()), "x", 0))
			},
			[]string{"key wrong_type"}, "",
		},
		"a lease of the far future": {
			func(p *poisoned) { p.change(func(i *format.Item) { i.LeaseID = &far }) },
			nil, "",
		},
		"a partition leased until the far future": {
			func(p *poisoned) {
				p.must(p.client.HSet(t.Context(), format.PartitionsKey, p.partition(),
					`{"id":"`+p.partition()+`","wid":"`+p.partition()+`","aID":"`+account.String()+`","leaseID":"`+far.String()+`"}`))
			},
			nil, "",
		},
		"a partition that cannot be read": {
			func(p *poisoned) { p.must(p.client.HSet(t.Context(), format.PartitionsKey, p.partition(), `{"id":`)) },
			nil, "",
		},
		"a partition without its data": {
			func(p *poisoned) { p.must(p.client.HDel(t.Context(), format.PartitionsKey, p.partition())) },
			[]string{"+partition"}, "",
		},
		"a pointer to nothing": {
			func(p *poisoned) {
				p.must(p.client.ZAdd(t.Context(), format.PointersKey, redis.Z{Member: uuid.NewString(), Score: 1}))
			},
			nil, "",
		},
		"scores below all": {
			func(p *poisoned) {
				p.must(p.client.ZAdd(t.Context(), format.ReadyKey(p.partition()), redis.Z{Member: p.item.ID, Score: math.Inf(-1)}))
				p.must(p.client.ZAdd(t.Context(), format.PointersKey, redis.Z{Member: p.partition(), Score: math.Inf(-1)}))
			},
			nil, "",
		},
		"an item that is ready twice": {
			func(p *poisoned) {
				other := uuid.NewString()
				p.must(p.client.ZAdd(t.Context(), format.ReadyKey(other), redis.Z{Member: p.item.ID, Score: 1}))
				p.must(p.client.ZAdd(t.Context(), format.PointersKey, redis.Z{Member: other, Score: 1}))
				p.must(p.client.HSet(t.Context(), format.PartitionsKey, other, `{"id":"`+other+`","wid":"`+other+`"}`))
			},
			nil, "",
		},
		"a line with what is no item": {
			func(p *poisoned) {
				p.must(p.client.ZAdd(t.Context(), format.ReadyKey(p.partition()), redis.Z{Member: "ghost", Score: 1}))
			},
			nil, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPoisoned(t)
			c.poison(p)
			told := &noted{}
			p.attach(told)
			executed := strings.Join(c.told, "") == "" || strings.HasPrefix(c.told[0], "+")
			good := p.begin()
			var mine, ofPoison int
			wanted := 1
			if executed {
				wanted = 2
			}
			for began := time.Now(); mine+ofPoison < wanted || len(told.all()) < len(c.told); {
				require.Less(t, time.Since(began), patience, "%d, %d, %v", mine, ofPoison, told.all())
				lease := p.leaseSoon()
				if lease == nil {
					continue
				}
				if _, err := p.Load(t.Context(), lease.RunID); err != nil {
					p.Release(*lease) // as the executor does
					continue
				}
				if lease.RunID == good {
					mine++
				} else {
					ofPoison++
				}
				p.finish(*lease)
			}
			require.Equal(t, 1, mine)
			require.ElementsMatch(t, c.told, told.all())
			if !executed && !strings.HasPrefix(c.told[0], "key") {
				text := p.client.HGet(t.Context(), format.SetAsideKey, p.item.ID).Val()
				aside, err := format.Decode[format.Aside](format.Place{}, text)
				require.NoError(t, err)
				require.Contains(t, aside.Reason, c.reason)
				require.Equal(t, c.told[0], "item "+aside.Why)
				require.NotEmpty(t, aside.Item)
				require.NotZero(t, aside.At)
				if strings.Contains(aside.Item, p.run.String()) {
					require.Zero(t, p.client.Exists(t.Context(), format.RunIndexKey(p.run)).Val(), "nothing is left in the index")
				}
			}
			p.nothing(queue.LaneCall)
			require.ElementsMatch(t, c.told, told.all(), "and not again")
			require.NoError(t, p.Trouble())
		})
	}
}

// node opens a node of the site that tells an observer.
func (s *site) node(o jobs.Observer) *engine.Node {
	return engine.Open(engine.Config{
		Redis: s.client, Functions: s, World: s, Account: account, Environment: environment,
		Log: slog.New(slog.DiscardHandler), Observer: o,
	})
}

// leaseSoon is nil when no job comes for a while.
func (p *poisoned) leaseSoon() *queue.Lease {
	ctx, cancel := context.WithTimeout(p.t.Context(), 100*time.Millisecond)
	defer cancel()
	lease, err := p.Lease(ctx, queue.LaneCall)
	if err != nil {
		require.ErrorIs(p.t, err, context.DeadlineExceeded)
		return nil
	}
	return &lease
}

// attach opens the node once the database is poisoned.
func (p *poisoned) attach(told *noted) {
	p.Node = p.node(told.observer())
	p.t.Cleanup(p.Close)
}

// TestLostInTheDark: what no visit would ever come across is put right by the
// sweep.
func TestLostInTheDark(t *testing.T) {
	t.Parallel()
	far := ulid.MustNew(uint64(time.Now().AddDate(1000, 0, 0).UnixMilli()), ulid.DefaultEntropy())
	for name, c := range map[string]struct {
		poison func(*poisoned)
		told   string
	}{
		"no pointer": {func(p *poisoned) {
			p.must(p.client.Del(t.Context(), format.PointersKey, format.AccountPointersKey(account)))
		}, "+pointer"},
		"a pointer in milliseconds": {func(p *poisoned) {
			p.must(p.client.ZAdd(t.Context(), format.PointersKey, redis.Z{Member: p.partition(), Score: float64(time.Now().UnixMilli())}))
		}, "+pointer"},
		"a visit put off for ever": {func(p *poisoned) {
			p.must(p.client.HSet(t.Context(), format.PartitionsKey, p.partition(),
				`{"id":"`+p.partition()+`","wid":"`+p.partition()+`","aID":"`+account.String()+`","forceAtMS":9000000000000}`))
		}, "+pointer"},
		"leased until the far future": {func(p *poisoned) {
			p.change(func(i *format.Item) { i.LeaseID = &far })
			p.must(p.client.ZRem(t.Context(), format.ReadyKey(p.partition()), p.item.ID))
			p.must(p.client.ZAdd(t.Context(), format.ScavengerKey(p.partition()),
				redis.Z{Member: p.item.ID, Score: float64(far.Time())}))
		}, "+lease"},
		"due after all time": {func(p *poisoned) {
			p.must(p.client.ZAdd(t.Context(), format.ReadyKey(p.partition()), redis.Z{Member: p.item.ID, Score: math.Inf(1)}))
		}, "+score"},
		"capacity until the far future": {func(p *poisoned) {
			p.must(p.client.ZAdd(t.Context(), format.ConstraintAccountsKey, redis.Z{Member: account.String(), Score: 1}))
			p.must(p.client.ZAdd(t.Context(), format.CapacityLeasesKey(account), redis.Z{Member: far.String(), Score: float64(far.Time())}))
		}, "+capacity"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPoisoned(t)
			c.poison(p)
			told := &noted{}
			q := jobs.NewQueue(p.client)
			q.Observer = told.observer()
			n, err := q.Sweep(t.Context(), time.Now())
			require.NoError(t, err)
			require.Positive(t, n)
			require.Contains(t, told.all(), c.told)
			n, err = q.Sweep(t.Context(), time.Now())
			require.NoError(t, err)
			require.Zero(t, n, "there is nothing more")
			p.attach(told)
			require.Equal(t, p.run, p.lease(queue.LaneCall).RunID)
		})
	}
}

// TestPoisonedPauses: pauses that lead to nothing are set aside, and keep an event
// from no other.
func TestPoisonedPauses(t *testing.T) {
	t.Parallel()
	s := openOn(t, redistest.Open(t), engine.Limits{})
	told := &noted{}
	s.Close()
	s.Node = s.node(told.observer())
	t.Cleanup(s.Close)
	event := "poisoned"
	key := format.PauseEventsKey(environment, event)
	gone := format.Pause{
		ID: uuid.New(), EnvironmentID: environment, Event: event, Opcode: format.OpWaitForEvent, DataKey: "w",
		Run:     format.PauseRun{RunID: ulid.Make(), FunctionID: functionID(), AccountID: account},
		Expires: time.Now().Add(time.Hour).UnixMilli(), CreatedAt: time.Now().UTC(), Metadata: json.RawMessage("null"),
	}
	text, err := format.Encode(gone)
	require.NoError(t, err)
	require.NoError(t, s.client.HSet(t.Context(), key, gone.ID.String(), text, uuid.NewString(), `{"id":`).Err())
	stops := s.begin()
	stop := gone
	stop.ID, stop.Cancel, stop.Run.RunID, stop.Opcode = uuid.New(), true, stops, ""
	text, err = format.Encode(stop)
	require.NoError(t, err)
	require.NoError(t, s.client.HSet(t.Context(), key, stop.ID.String(), text).Err())

	require.NoError(t, s.Match(t.Context(), newEvent(t, event, nil)))
	require.Equal(t, state.Cancelled, s.ended[stops].Status, "the good one")
	require.Eventually(t, func() bool { return len(told.all()) == 2 }, patience, 20*time.Millisecond)
	require.ElementsMatch(t, []string{"pause unreadable", "pause no_run"}, told.all())
	require.EqualValues(t, 2, s.client.HLen(t.Context(), format.PausesAsideKey).Val())
	require.NoError(t, s.Match(t.Context(), newEvent(t, event, nil)))
	require.Len(t, told.all(), 2)

	// A key of a wrong type in the place of all pauses of an event.
	require.NoError(t, s.client.Del(t.Context(), key).Err())
	require.NoError(t, s.client.Set(t.Context(), key, "x", 0).Err())
	require.NoError(t, s.Match(t.Context(), newEvent(t, event, nil)))
	require.Contains(t, told.all(), "key wrong_type")
	require.Zero(t, s.client.Exists(t.Context(), key).Val())
}
