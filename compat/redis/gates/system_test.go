package gates_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/state"
)

// numbers are the data.n of a run's events.
func numbers(t *testing.T, run *state.Run) (all []int) {
	t.Helper()
	for _, e := range run.Events {
		var event struct{ Data struct{ N int } }
		require.NoError(t, json.Unmarshal(e, &event))
		all = append(all, event.Data.N)
	}
	return all
}

// TestBatch: a full batch starts at once, another when its time is over; what comes
// twice is added once, what does not fit starts by itself.
func TestBatch(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"batchEvents":{"maxSize":3,"timeout":"2s","key":"event.data.k","if":"event.data.n != 99"}}`)
	s := open(t, fn)
	collect := func(k string, n int) *engine.Event {
		e := newEvent(t, "e", map[string]any{"k": k, "n": n})
		require.ErrorIs(t, s.event(fn, e).Refusal(), state.ErrBatched)
		return e
	}
	began := time.Now()
	for n := range 3 {
		e := collect("x", n)
		require.Equal(t, gates.Batched, s.event(fn, e).Outcome)
	}
	full := s.run()
	require.Equal(t, []int{0, 1, 2}, numbers(t, full))
	collect("y", 4)
	rest := s.run()
	require.Equal(t, []int{4}, numbers(t, rest))
	require.GreaterOrEqual(t, time.Since(began), 2*time.Second)
	require.Equal(t, gates.Success, s.event(fn, newEvent(t, "e", map[string]any{"n": 99})).Outcome)
	s.eventually(func() bool {
		keys, err := s.client.Keys(t.Context(), "{queue:*").Result()
		require.NoError(t, err)
		for _, key := range keys {
			if s.client.TTL(t.Context(), key).Val() < 0 {
				return false
			}
		}
		return true
	}, "only what keeps events from being added twice is left")
}

// TestBatchOnce: two processes take the job of a batch; it starts once.
func TestBatchOnce(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"batchEvents":{"maxSize":50,"timeout":"1s"}}`)
	a := open(t, fn)
	b := openOn(t, a.client, a.registry)
	var wg sync.WaitGroup
	for n := range 40 {
		s, e := []*site{a, b}[n%2], newEvent(t, "e", map[string]any{"n": n})
		wg.Go(func() {
			if _, err := s.Event(t.Context(), fn.ID, e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[int]int{}
	for len(seen) < 40 {
		for _, n := range numbers(t, a.run()) {
			seen[n]++
		}
	}
	for n, times := range seen {
		require.Equal(t, 1, times, n)
	}
}

// TestSchedule: each tick starts one run, though two processes look after it, and
// its event is accepted; a schedule that was changed has no more ticks.
func TestSchedule(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"triggers":[{"cron":"@every 1s"}]}`)
	a := open(t, fn)
	b := openOn(t, a.client, a.registry)
	for _, s := range []*site{a, b} {
		require.NoError(t, s.Sync(t.Context(), s.registry.all()))
	}
	ticks := map[string]int{}
	var last time.Time
	for range 3 {
		run := a.run()
		var event struct {
			ID   string
			Data struct{ Cron, ScheduledAt, FireAt string }
		}
		require.NoError(t, json.Unmarshal(run.Events[0], &event))
		require.Equal(t, "@every 1s", event.Data.Cron)
		require.Equal(t, "@every 1s", run.Cron)
		require.Equal(t, event.ID, event.Data.ScheduledAt)
		require.Equal(t, function.IdempotencyKey(fn.ID, event.ID), run.Idempotency)
		at, err := time.Parse(time.RFC3339, event.ID)
		require.NoError(t, err)
		if !last.IsZero() {
			require.Equal(t, time.Second, at.Sub(last))
		}
		last = at
		ticks[event.ID]++
	}
	require.Len(t, ticks, 3)

	changed := newFunction(t, `{"triggers":[{"cron":"0 0 1 1 *"}]}`)
	changed.ID, changed.Version = fn.ID, 2
	a.registry.put(gates.Known{Function: changed, App: app})
	require.NoError(t, a.Sync(t.Context(), a.registry.all()))
	a.eventually(func() bool {
		return a.client.ZCard(t.Context(), format.ReadyKey(format.QueueCron(function.EnvironmentID))).Val() == 1
	})
	require.Contains(t, string(a.item(format.KindCron).Data.Payload), `"fnV":2,"expr":"0 0 1 1 *"`)
	a.registry.remove(fn.ID)
	require.NoError(t, a.Do(t.Context(), a.item(format.KindCron)))
}

// TestMissedTicks: ticks of the last minutes are made up for, older ones are not;
// what the original's servers ask for is done.
func TestMissedTicks(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"triggers":[{"cron":"* * * * *","jitter":"30s"}]}`)
	s := open(t, fn)
	missed := func(ago time.Duration, op string) *format.CronPayload {
		at := time.Now().Add(-ago).Truncate(time.Minute)
		return &format.CronPayload{
			ID: ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()), FunctionID: fn.ID, FunctionVersion: 1, Expression: "* * * * *",
			JobID: fmt.Sprint(at), Op: op,
		}
	}
	require.NoError(t, s.Tick(t.Context(), missed(time.Hour, format.CronProcess)))
	require.Empty(t, s.accepted)
	require.NoError(t, s.Tick(t.Context(), missed(5*time.Minute, format.CronProcess)))
	require.NotEmpty(t, s.accepted)
	payload, err := format.Raw(missed(time.Minute, format.CronInit))
	require.NoError(t, err)
	require.NoError(t, s.Do(t.Context(), &format.Item{Data: format.ItemData{Kind: format.KindCronSync, Payload: payload}}))
	s.eventually(func() bool { return s.live() >= 5 }, "all ticks since")
}

// TestStartTimeout: a run that is not called in time is cancelled; one that is
// being called is not, nor one whose function has more time now.
func TestStartTimeout(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"timeouts":{"start":"1s"}}`)
	s := open(t, fn)
	late := s.event(fn, newEvent(t, "e", nil))
	called := s.event(fn, newEvent(t, "e", nil))
	first := s.lease()
	if first.RunID == called.Run {
		late, called = called, late
	}
	s.eventually(func() bool { return s.finishOf(called.Run) != nil || s.finishOf(late.Run) != nil })
	require.Nil(t, s.finishOf(first.RunID))

	configure := func(options string) {
		changed := newFunction(t, options)
		changed.ID = fn.ID
		s.registry.put(gates.Known{Function: changed, App: app})
	}
	configure(`{"timeouts":{"start":"1h"}}`)
	next := s.event(fn, newEvent(t, "e", nil))
	item := s.timeoutOf(next.Run)
	item.At = time.Now().UnixMilli()
	require.NoError(t, s.Do(t.Context(), item))
	require.True(t, s.client.HExists(t.Context(), format.ItemsKey, function.Hash("start-timeout-extended:"+item.ID)).Val())
	require.Nil(t, s.finishOf(next.Run))

	configure(`{}`)
	require.NoError(t, s.Do(t.Context(), item))
	require.NoError(t, s.Node.Cancel(t.Context(), next.Run, "somebody"))
	configure(`{"timeouts":{"start":"1s"}}`)
	require.NoError(t, s.Do(t.Context(), item), "the run is gone")
}

// timeoutOf is the job that looks whether a run is late.
func (s *site) timeoutOf(run ulid.ULID) *format.Item {
	s.t.Helper()
	for id, text := range s.client.HGetAll(s.t.Context(), format.ItemsKey).Val() {
		item, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey, Member: id}, text)
		require.NoError(s.t, err)
		if item.Data.Kind != format.KindCancel {
			continue
		}
		p, err := format.PayloadOf[format.CancelPayload](format.Place{}, &item)
		require.NoError(s.t, err)
		if p.TargetID == run.String() {
			return &item
		}
	}
	s.t.Fatalf("nothing looks after run %s", run)
	return nil
}

// TestFinishTimeout: a run that takes too long is cancelled.
func TestFinishTimeout(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"timeouts":{"finish":"1s"}}`)
	s := open(t, fn)
	s.event(fn, newEvent(t, "e", nil))
	lease := s.lease()
	run, err := s.Node.Load(t.Context(), lease.RunID)
	require.NoError(t, err)
	require.NoError(t, s.Node.Commit(t.Context(), &state.Transition{
		RunID: run.ID, Job: lease.Job.ID, Kind: lease.Job.Kind, Generation: lease.Job.Generation, StartedAt: time.Now().UnixMilli(),
		Jobs: []state.Job{{
			ID: function.SleepJob(run.Key(), "s"), Kind: state.JobSleep, Due: time.Now().Add(time.Hour).UnixMilli(), Step: "s", MaxAttempts: 5,
		}},
	}))
	require.Contains(t, string(s.timeoutOf(run.ID).Data.Payload), `"kind":"finish_timeout","cause":"Event"`)
	s.eventually(func() bool { return s.finishOf(run.ID) != nil })
	require.Equal(t, state.Cancelled, s.finishOf(run.ID).Status)
	s.eventually(func() bool { return s.live() == 0 })
}

// TestCancelJob: a job that cancels a run does.
func TestCancelJob(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{}`)
	s := open(t, fn)
	r := s.event(fn, newEvent(t, "e", nil))
	for kind, want := range map[string]error{"bulk_run": engine.ErrUnfit, "backlog": engine.ErrUnfit, format.CancelRun: nil} {
		payload, err := format.Raw(format.CancelPayload{Kind: kind, TargetID: r.Run.String(), Cause: "API"})
		require.NoError(t, err)
		item := &format.Item{FunctionID: fn.ID, Data: format.ItemData{Kind: format.KindCancel, Payload: payload}}
		require.ErrorIs(t, s.Do(t.Context(), item), want, kind)
	}
	require.Equal(t, state.Cancelled, s.finishOf(r.Run).Status)
}

// TestUnfit: what nobody can do is set aside with the reason; what failed is tried
// again.
func TestUnfit(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{}`)
	s := open(t, fn)
	q, now := jobs.NewQueue(s.client), time.Now()
	item := func(kind, queue, payload string) *format.Item {
		return &format.Item{
			ID: function.Hash(kind + queue + payload), At: now.UnixMilli(), FunctionID: fn.ID, Environment: function.EnvironmentID, Queue: queue,
			Data: format.ItemData{
				Kind: kind, Queue: queue, Environment: function.EnvironmentID, Payload: json.RawMessage(payload),
				Identifier: format.Identifier{FunctionID: fn.ID, AccountID: function.AccountID, EnvironmentID: function.EnvironmentID},
			},
		}
	}
	hints := []*format.Item{item(format.KindPromote, "job-promote:"+fn.ID.String(), `{"sjid":"a","su":1}`)}
	bad := []*format.Item{
		item(format.KindFlush, format.QueueFlush, `{"e":"x"}`), item(format.KindBatch, format.QueueBatch, `{"batchID":"?"}`),
		item(format.KindCancel, format.QueueCancel, `{"kind":"start_timeout","target_id":"?"}`),
	}
	_, err := q.Enqueue(t.Context(), now, append(hints, bad...)...)
	require.NoError(t, err)
	s.eventually(func() bool { return s.client.HLen(t.Context(), format.ItemsKey).Val() == 0 })
	aside := s.client.HGetAll(t.Context(), format.SetAsideKey).Val()
	require.Len(t, aside, len(bad))
	require.Contains(t, aside[bad[0].ID], "pbf")
}

// TestTriedAgain: a job that fails is done later, in whichever process; until then
// it is there.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	fn := newFunction(t, `{"triggers":[{"cron":"@every 1s"}]}`)
	s := open(t, fn)
	s.fail(errors.New("away"))
	require.NoError(t, s.Sync(t.Context(), s.registry.all()))
	s.eventually(func() bool { return s.item(format.KindCron).Data.Attempt == 1 })
	require.Equal(t, 2, s.item(format.KindCron).Generation)
	s.fail(nil)
	run := s.run()
	require.Equal(t, "@every 1s", run.Cron)
}

// TestUnregistered: jobs of functions that are not registered wait until they are,
// but for ticks: who registers a schedule adds the next.
func TestUnregistered(t *testing.T) {
	t.Parallel()
	for kind, config := range map[string]string{
		format.KindDebounce: `{"debounce":{"period":"1h"}}`, format.KindBatch: `{"batchEvents":{"maxSize":2,"timeout":"1s"}}`,
		format.KindCancel: `{"timeouts":{"start":"1s"}}`,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			fn := newFunction(t, config)
			s := open(t, fn)
			s.event(fn, newEvent(t, "e", map[string]any{"n": 1}))
			known, _ := s.registry.Known(fn.ID)
			s.registry.remove(fn.ID)
			item := s.item(kind)
			require.ErrorIs(t, s.Do(t.Context(), item), engine.ErrLater)
			if item.Queue != "" {
				s.eventually(func() bool { return s.item(kind).Generation > 1 })
				require.Zero(t, s.item(kind).Data.Attempt)
			}
			s.registry.put(known)
			require.NoError(t, s.Do(t.Context(), item))
			require.Equal(t, kind != format.KindCancel, s.live() == 1)
		})
	}
	s := open(t)
	payload, err := format.Raw(format.CronPayload{FunctionID: app, Op: format.CronProcess})
	require.NoError(t, err)
	for _, kind := range []string{format.KindCron, format.KindCronSync} {
		require.NoError(t, s.Do(t.Context(), &format.Item{Data: format.ItemData{Kind: kind, Payload: payload}}))
	}
}

// TestContinueCaptured: jobs of the system that the original left, all of them
// overdue, are done: debounces and batches start their runs.
func TestContinueCaptured(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][][]int{
		"redis-queue/e08-debounce":         {{1}},
		"redis-queue/e09-debounce-updated": {{2}},
		"redis-queue/e10-batch":            {{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := readIndex(t)
			slug := x.meta[name[len("redis-queue/"):]].Functions[0]
			client := redistest.Open(t)
			redistest.Load(t, client, redistest.Captured(t, name))
			s := openOn(t, client, newRegistry(x.function(t, slug)))
			for _, events := range want {
				require.Equal(t, events, numbers(t, s.run()))
			}
			s.eventually(func() bool {
				for _, text := range client.HGetAll(t.Context(), format.ItemsKey).Val() {
					item, err := format.Decode[format.Item](format.Place{}, text)
					if err != nil || item.Data.Kind != format.KindStart {
						return false
					}
				}
				return true
			})
		})
	}
}
