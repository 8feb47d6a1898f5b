package logdata

import (
	"context"
	stdjson "encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/compat/migrate"
	"jetstep/function"
	"jetstep/queue/partition"
	"jetstep/state"
)

// newSide is a side at rest with some functions, in a directory of its own.
func newSide(t *testing.T, partitions int, register bool) (*Side, *partition.Node, *bus.Bus) {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{StoreDir: t.TempDir(), Partitions: partitions})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	if register {
		app := theApp()
		_, err = b.Registry().Update(t.Context(), app.ID, func(*function.App) (*function.App, error) { return app, nil })
		require.NoError(t, err)
	}
	node := partition.NewNode(partition.Config{Bus: b, Name: "test", AtRest: true})
	node.Start(t.Context())
	t.Cleanup(node.Close)
	select {
	case <-node.Opened():
	case <-time.After(time.Minute):
		t.Fatal("partitions did not open")
	}
	return Open("here", node, func() Catalog { return b.Registry().Catalog() }), node, b
}

const keyed = "event.data.team"

func fn(slug string) function.Function {
	return function.Function{
		ID: function.FunctionID("app", slug), Slug: slug, Name: slug, Version: 3, Steps: []function.Step{{ID: "step", Name: "step", URI: "http://x"}},
		Triggers: []function.Trigger{{Event: slug}},
	}
}

// theApp has a function for each kind of flow control.
func theApp() *function.App {
	free, limited, batched, debounced, rated := fn("free"), fn("limited"), fn("batched"), fn("debounced"), fn("rated")
	limited.Concurrency = &function.Concurrency{
		Steps: []function.StepLimit{{Limit: 2, Scope: function.ScopeAccount, Key: keyed, Hash: function.ExpressionHash(keyed)}},
		Runs:  []function.RunLimit{{Limit: 1, Scope: "fn"}},
	}
	limited.Singleton = &function.Singleton{Key: keyed}
	limited.Throttle = &function.Throttle{Limit: 1, Burst: 2, Period: "60s", Key: keyed}
	limited.Timeouts = &function.Timeouts{Start: "1h", Finish: "2h"}
	batched.EventBatch = &function.EventBatch{MaxSize: 5, Timeout: "60s", Key: keyed}
	debounced.Debounce = &function.Debounce{Period: "60s", Key: keyed}
	rated.RateLimit = &function.RateLimit{Limit: 1, Period: "60s", Key: keyed}
	return &function.App{
		ID: function.AppID("app"), Name: "app", URL: "http://x", Method: function.MethodServe,
		Functions: []function.Function{free, limited, batched, debounced, rated},
	}
}

func idOf(slug string) uuid.UUID { return function.FunctionID("app", slug) }

func eventOf(name string) json {
	return json(`{"data":{"team":"red"},"id":"e","name":"` + name + `","ts":5,"user":{}}`)
}

var soon = time.Now().Add(time.Hour).Truncate(time.Second).UnixMilli()

// runOf is a run as another engine left it: in the middle of something.
func runOf(slug string, change func(*migrate.Run)) migrate.Item {
	id := ulid.Make()
	m := &migrate.Run{AppID: function.AppID("app"), State: state.Run{
		ID: id, FunctionID: idOf(slug), FunctionVersion: 3, Slug: slug, Idempotency: function.IdempotencyKey(idOf(slug), id.String()),
		Events: []json{eventOf(slug)}, EventIDs: []ulid.ULID{id}, Trigger: slug, QueuedAt: int64(id.Time()), StartedAt: int64(id.Time()) + 1,
		Version: 2, Steps: []state.Step{{ID: "a", Memo: json(`{"data":1}`)}, {ID: "b", Memo: json(`{"data":{"x":"<>"}}`)}},
		Flow: &state.Flow{Admitted: true},
	}}
	m.State.Jobs = []state.Job{{ID: function.SleepJob(m.State.Key(), "s"), Kind: state.JobSleep, Due: soon, MaxAttempts: 4, Step: "s", Attempt: 1, Generation: 2}}
	if change != nil {
		change(m)
	}
	return m.Item()
}

func wait(m *migrate.Run, step string, kind state.WaitKind, name, expression string) {
	s := &m.State
	s.Waits = append(s.Waits, state.Wait{Kind: kind, Step: step, Name: name})
	m.Waits = append(m.Waits, migrate.Wait{If: expression, Expires: soon})
	s.Jobs = append(s.Jobs, state.Job{ID: function.PauseTimeoutJob(s.Key(), step), Kind: state.JobPause, Due: soon, MaxAttempts: 4, Step: step})
	slices.SortFunc(s.Jobs, func(a, b state.Job) int { return compareText(a.ID, b.ID) })
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// everything is an item of each kind, with runs in several states.
func everything() []migrate.Item {
	value := function.Hash("red")
	text := "red"
	claimed := ulid.Make()
	items := []migrate.Item{
		runOf("free", nil),
		runOf("free", func(m *migrate.Run) {
			wait(m, "w1", state.WaitEvent, "go", `async.data.id == 7`)
			wait(m, "w2", state.WaitSignal, "signal", "")
			wait(m, "w3", state.WaitInvoke, "app-other", "")
			m.State.Cancels = []string{"stop", "stop"}
			m.Cancels = []migrate.Wait{{If: "async.data.a == 1", Expires: soon}, {If: "async.data.a == 2", Expires: soon + 5}}
			m.State.Defers = []state.Defer{{ID: "d", Slug: "later", Status: state.DeferAfterRun, Input: json(`{}`)}}
			m.State.Correlations = []string{ulid.Make().String() + ".parent"}
			m.State.Inputs, m.State.Pending = []state.Step{{ID: "i", Memo: json(`[1]`)}}, []string{"p"}
			m.State.Original, m.State.MetadataSize, m.State.HasAI = ulid.Make(), 7, true
		}),
		runOf("limited", func(m *migrate.Run) {
			m.Keys = []migrate.Key{{Scope: "a", Scoped: function.AccountID, Expr: function.ExpressionHash(keyed), Value: value, Limit: 2}}
			m.Semaphores = []migrate.Held{{ID: function.RunSemaphore(idOf("limited"), ""), Weight: 1, Manual: true}}
			m.Singleton = function.FunctionValueKey(idOf("limited"), "red")
			m.State.Flow.Priority = 0
		}),
		runOf("limited", func(m *migrate.Run) {
			s := &m.State
			s.StartedAt, s.Steps, s.Version, s.Flow = 0, nil, state.Undecided, &state.Flow{}
			s.Jobs = []state.Job{{ID: function.StartJob(s.Key()), Kind: state.JobStart, Due: soon}}
			m.Keys = []migrate.Key{{Scope: "a", Scoped: function.AccountID, Expr: function.ExpressionHash(keyed), Value: value, Limit: 2}}
			m.Semaphores = []migrate.Held{{ID: function.RunSemaphore(idOf("limited"), ""), Weight: 1, Manual: true}}
			m.Throttle = &migrate.Throttle{Expr: function.ExpressionHash(keyed), Value: value, Limit: 1, Burst: 2, Period: 60}
		}),
		(&migrate.Claim{Key: function.IdempotencyKey(idOf("free"), "mine"), RunID: claimed, Ended: true, Until: soon}).Item(),
		(&migrate.Batched{FunctionID: idOf("batched"), EventID: ulid.Make(), Until: soon}).Item(),
		(&migrate.Batch{
			ID: ulid.Make(), FunctionID: idOf("batched"), KeyHash: function.BatchKeyHash("red"), Collects: true,
			Events: []json{eventOf("batched"), eventOf("batched")}, EventIDs: []ulid.ULID{ulid.Make(), ulid.Make()}, Due: soon,
		}).Item(),
		(&migrate.Batch{
			ID: ulid.Make(), FunctionID: idOf("batched"), KeyHash: function.BatchKeyHash("red"),
			Events: []json{eventOf("batched")}, EventIDs: []ulid.ULID{ulid.Make()}, Due: soon,
		}).Item(),
		(&migrate.Debounce{
			ID: ulid.Make(), FunctionID: idOf("debounced"), Text: &text, Event: eventOf("debounced"), EventID: ulid.Make(), Due: soon, Latest: soon + 9,
		}).Item(),
		(&migrate.Rate{FunctionID: idOf("rated"), Expr: function.ExpressionHash(keyed), Value: value, TAT: float64(soon) * 1e6, Until: soon}).Item(),
		(&migrate.Rate{Throttle: true, FunctionID: idOf("limited"), Expr: function.ExpressionHash(keyed), Value: value, TAT: float64(soon), Until: soon}).Item(),
		(&migrate.Cron{FunctionID: idOf("free"), Expr: "0 0 1 1 *", Next: time.Date(time.Now().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()}).Item(),
	}
	return items
}

func put(t *testing.T, s *Side, want migrate.Result, items ...migrate.Item) []migrate.Outcome {
	t.Helper()
	outcomes, err := s.Put(t.Context(), items)
	require.NoError(t, err)
	require.Len(t, outcomes, len(items))
	for i, o := range outcomes {
		require.Equal(t, want, o.Result, "%s %s: %s", items[i].Kind, items[i].Key, o.Reason)
	}
	return outcomes
}

func ids(items []migrate.Item) []migrate.ID {
	all := make([]migrate.ID, len(items))
	for i := range items {
		all[i] = items[i].ID
	}
	return all
}

func all(t *testing.T, s *Side) (items []migrate.Item) {
	t.Helper()
	require.NoError(t, s.Each(t.Context(), "", func(p migrate.Page) error {
		items = append(items, p.Items...)
		return nil
	}))
	return items
}

// requireKept requires that a side has just these items, whichever way it is asked.
func requireKept(t *testing.T, s *Side, items []migrate.Item) {
	t.Helper()
	found, err := s.Get(t.Context(), ids(items))
	require.NoError(t, err)
	for i := range items {
		require.NotNil(t, found[i], "%s %s", items[i].Kind, items[i].Key)
		require.Empty(t, migrate.Compare(&items[i], found[i]), "%s %s", items[i].Kind, items[i].Key)
	}
	byID := map[migrate.ID]*migrate.Item{}
	for _, item := range all(t, s) {
		byID[item.ID] = &item
	}
	for i := range items {
		there := byID[items[i].ID]
		require.NotNil(t, there, "%s %s is shown", items[i].Kind, items[i].Key)
		require.Empty(t, migrate.Compare(&items[i], there))
		delete(byID, items[i].ID)
	}
	require.Empty(t, byID, "nothing else is shown")
}

// What is put is there as it was: once, however often, and once more elsewhere.
func TestEverythingIsKept(t *testing.T) {
	t.Parallel()
	items := everything()
	s, _, _ := newSide(t, 3, true)
	busy, err := s.Busy(t.Context())
	require.NoError(t, err)
	require.Empty(t, busy)
	put(t, s, migrate.Written, items...)
	requireKept(t, s, items)
	put(t, s, migrate.There, items...)
	requireKept(t, s, items)
	count, err := s.Estimate(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, count, int64(len(items)))
	require.Equal(t, "here", s.Name())

	other, _, _ := newSide(t, 2, true)
	put(t, other, migrate.Written, all(t, s)...)
	requireKept(t, other, items)
	compared, err := migrate.Verify(t.Context(), migrate.Verifying{A: s, B: other, Differ: func(id migrate.ID, missing string, d []migrate.Difference) error {
		return fmt.Errorf("%v %s %v", id, missing, d)
	}})
	require.NoError(t, err)
	require.Zero(t, compared.Differ)
	require.Equal(t, 2*len(items), compared.Items)
}

// A copy that is interrupted goes on behind the last page, and misses nothing.
func TestCopiesGoOn(t *testing.T) {
	t.Parallel()
	items := everything()
	s, _, _ := newSide(t, 3, true)
	put(t, s, migrate.Written, items...)
	other, _, _ := newSide(t, 4, true)
	position := migrate.Position("")
	for interrupted := true; interrupted; {
		err := s.Each(t.Context(), position, func(p migrate.Page) error {
			_, err := other.Put(t.Context(), p.Items)
			require.NoError(t, err)
			position = p.After
			return context.Canceled
		})
		interrupted = err != nil
	}
	requireKept(t, other, items)
}

// What is not registered is kept as far as it can be, or refused.
func TestUnknownFunctions(t *testing.T) {
	t.Parallel()
	s, _, _ := newSide(t, 2, false)
	for _, item := range everything() {
		switch item.Kind {
		case migrate.KindBatch:
			if item.Batch.Collects {
				require.NotEmpty(t, put(t, s, migrate.Refused, item)[0].Reason)
			}
		default:
			put(t, s, migrate.Written, item)
			found, err := s.Get(t.Context(), []migrate.ID{item.ID})
			require.NoError(t, err)
			require.NotNil(t, found[0], "%s", item.Kind)
		}
	}
	debounce := migrate.Debounce{ID: ulid.Make(), FunctionID: idOf("debounced"), Event: eventOf("e"), EventID: ulid.Make(), Due: soon}
	put(t, s, migrate.Refused, debounce.Item())
}

// What cannot be said is refused with its reason.
func TestRefusedItems(t *testing.T) {
	t.Parallel()
	s, _, _ := newSide(t, 1, true)
	semaphore := migrate.Semaphore{ID: "fn:x", Used: 1}
	require.False(t, s.Keeps(migrate.KindSemaphore))
	require.False(t, s.Keeps(migrate.KindBad))
	require.True(t, s.Keeps(migrate.KindRun))
	for _, item := range []migrate.Item{
		semaphore.Item(),
		(&migrate.Claim{Key: "no key"}).Item(),
		runOf("free", func(m *migrate.Run) { m.State.Cancels = []string{"stop"} }),
		runOf("free", func(m *migrate.Run) { m.Singleton = "x" }),
		runOf("free", func(m *migrate.Run) { m.State.EventIDs = nil }),
	} {
		require.NotEmpty(t, put(t, s, migrate.Refused, item)[0].Reason)
	}
	found, err := s.Get(t.Context(), []migrate.ID{
		{Kind: migrate.KindRun, Key: "x"}, {Kind: migrate.KindClaim, Key: "x"}, {Kind: migrate.KindBatch, Key: "x y"}, {Kind: migrate.KindRate, Key: "x"},
		{Kind: migrate.KindDebounce, Key: ""}, {Kind: migrate.KindCron, Key: ""}, {Kind: migrate.KindBad}, {Kind: migrate.KindRun, Key: ulid.Make().String()},
	})
	require.NoError(t, err)
	for _, item := range found {
		require.Nil(t, item)
	}
}

// What is further on in the target stays as it is, and that is said.
func TestWhatWentOn(t *testing.T) {
	t.Parallel()
	s, _, _ := newSide(t, 2, true)
	late, early := runOf("free", nil), runOf("free", nil)
	*early.Run = *late.Run
	early.Run.State.Steps = early.Run.State.Steps[:1]
	early.ID = late.ID
	put(t, s, migrate.Written, late)
	put(t, s, migrate.WentOn, early)
	other := late
	changed := *late.Run
	changed.State.Steps = append(slices.Clone(changed.State.Steps), state.Step{ID: "c", Memo: json(`3`)})
	other.Run = &changed
	put(t, s, migrate.Conflicts, other)

	rate := migrate.Rate{Throttle: true, FunctionID: idOf("limited"), TAT: float64(soon), Until: soon}
	put(t, s, migrate.Written, rate.Item())
	less := rate
	less.TAT -= 1000
	put(t, s, migrate.WentOn, less.Item())
	claim := migrate.Claim{Key: function.IdempotencyKey(idOf("free"), "k"), RunID: ulid.Make(), Until: soon}
	put(t, s, migrate.Written, claim.Item())
	claim.RunID = ulid.Make()
	put(t, s, migrate.Conflicts, claim.Item())
}

// Schedules that nobody can read are told; runs that their apps began move as others.
func TestWhatCannotBeMoved(t *testing.T) {
	t.Parallel()
	s, node, _ := newSide(t, 2, true)
	begun := &state.Endpoint{AppID: uuid.New(), SDK: "go", Attempts: 2}
	run := runOf("free", func(m *migrate.Run) { m.State.Endpoint = begun }).Run.State
	_, err := node.TakeOver(t.Context(), []state.Moved{
		{Fact: &state.RunPut{Run: run}}, {Fact: &state.CronTicked{FunctionID: idOf("free"), Expr: "no schedule", At: soon}},
	})
	require.NoError(t, err)
	bad, moved := 0, 0
	for _, item := range all(t, s) {
		if item.Run != nil {
			moved++
			require.Equal(t, begun, item.Run.State.Endpoint)
			require.Equal(t, begun.AppID, item.Run.AppID)
			continue
		}
		require.Equal(t, migrate.KindBad, item.Kind)
		require.NotEmpty(t, item.Bad.Reason)
		bad++
	}
	require.Equal(t, []int{1, 1}, []int{bad, moved})
}

// broken are partitions that cannot be asked.
type broken struct{ Partitions }

func (broken) TakeOver(context.Context, []state.Moved) ([]state.TakeOutcome, error) {
	return nil, context.DeadlineExceeded
}
func (broken) Find(context.Context, []state.Moved) ([]state.Moved, error) {
	return nil, context.DeadlineExceeded
}
func (broken) Live(context.Context, []ulid.ULID) ([]bool, error) {
	return nil, context.DeadlineExceeded
}

func TestErrorsAreTold(t *testing.T) {
	t.Parallel()
	s, node, b := newSide(t, 1, true)
	items := everything()
	put(t, s, migrate.Written, items...)
	down := Open("down", broken{node}, func() Catalog { return b.Registry().Catalog() })
	_, err := down.Put(t.Context(), items)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = down.Get(t.Context(), ids(items))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, down.Each(t.Context(), "", func(migrate.Page) error { return nil }), context.DeadlineExceeded)
	_, err = keyText("event.data.x", json(`1`))
	require.Error(t, err)
	_, err = keyText("][", json(`{}`))
	require.Error(t, err)
	require.True(t, stdjson.Valid(eventOf("e")))
}
