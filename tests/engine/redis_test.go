package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	redisengine "jetstep/compat/redis/engine"
	"jetstep/compat/redis/redistest"
	"jetstep/executor"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// onRedis is an engine on a Redis, with as much of a server around it as the tests
// need: what is sent is matched, and starts functions by their triggers.
type onRedis struct {
	*redisengine.Node
	t         testing.TB
	bus       *bus.Bus
	exec      *executor.Executor
	functions map[uuid.UUID]*function.Function
	rec       *recorder
}

func startOnRedis(t testing.TB, client *redis.Client, b *bus.Bus, s executor.SDK, functions ...function.Function) *onRedis {
	t.Helper()
	e := &onRedis{t: t, bus: b, functions: map[uuid.UUID]*function.Function{}, rec: newRecorder()}
	for _, fn := range functions {
		fn.ID, fn.Version = function.FunctionID(fn.Slug, fn.Slug), 1
		if len(fn.Steps) == 0 {
			fn.Steps = []function.Step{{ID: "step", Name: "step", URI: fn.Slug}}
		}
		e.functions[fn.ID] = &fn
	}
	e.Node = redisengine.Open(redisengine.Config{
		Redis: client, Functions: e, World: e, Account: function.AccountID, Environment: function.EnvironmentID,
		Teller: e, Log: slog.New(slog.DiscardHandler),
	})
	e.exec = executor.New(executor.Config{Queue: e, Store: e, SDK: s, Functions: e, RetryInterval: 10 * time.Millisecond})
	e.exec.Start(context.Background())
	t.Cleanup(e.stop)
	return e
}

func (e *onRedis) stop() {
	e.StopLeasing()
	require.NoError(e.t, e.exec.Wait(context.Background()))
	e.Close()
}

func (e *onRedis) Attempts(fn uuid.UUID) int           { return e.functions[fn].Retries() + 1 }
func (e *onRedis) App(uuid.UUID) uuid.UUID             { return function.AppID("app") }
func (e *onRedis) Limits(uuid.UUID) redisengine.Limits { return redisengine.Limits{} }
func (e *onRedis) Sync(context.Context) error          { return nil }
func (e *onRedis) Ended(run *state.Run, f *state.Finish) {
	e.rec.RunFinished(run.ID, f.Status, f.Output, time.Now())
}
func (e *onRedis) Executable(fn uuid.UUID) (*function.Function, uuid.UUID, bool) {
	found, ok := e.functions[fn]
	return found, function.AppID("app"), ok
}

// Tell implements redisengine.Teller: each record is stored by itself.
func (e *onRedis) Tell(ctx context.Context, r *state.Record) {
	if e.bus == nil {
		return
	}
	var payload state.Encoder
	payload.Add(r)
	if err := e.bus.PublishTold(context.WithoutCancel(ctx), ulid.Make().String(), payload.Bytes()); err != nil {
		e.t.Error(err)
	}
}

// Publish implements redisengine.World.
func (e *onRedis) Publish(ctx context.Context, events []state.Outgoing) error {
	for _, out := range events {
		if err := e.deliver(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

func (e *onRedis) send(name, data string) {
	e.t.Helper()
	require.NoError(e.t, e.deliver(context.Background(), state.Outgoing{Name: name, Data: json.RawMessage(data)}))
}

// deliver does with an event what a server does.
func (e *onRedis) deliver(ctx context.Context, out state.Outgoing) error {
	id, err := ulid.ParseStrict(out.ID)
	if err != nil || out.Name != "inngest/function.invoked" {
		id = ulid.Make()
	}
	whole, err := jcs.Encode(map[string]any{
		"id": cmp.Or(out.ID, id.String()), "name": out.Name, "data": out.Data, "ts": time.Now().UnixMilli(), "user": struct{}{},
	})
	if err == nil {
		whole, err = jcs.Canonicalize(whole)
	}
	if err != nil {
		return err
	}
	var target struct {
		Inngest struct {
			Function string `json:"fn_id"`
		} `json:"_inngest"`
	}
	_ = json.Unmarshal(out.Data, &target)
	for _, fn := range e.functions {
		triggered := out.Name == fn.Triggers[0].Event || out.Name == "inngest/function.invoked" && target.Inngest.Function == fn.Slug
		if !triggered {
			continue
		}
		_, _, err := e.Start(ctx, &redisengine.Start{
			FunctionID: fn.ID, FunctionVersion: fn.Version, Slug: fn.Slug, AppID: function.AppID("app"), Source: cmp.Or(out.ID, id.String()),
			Events: []json.RawMessage{whole}, EventIDs: []ulid.ULID{id},
		})
		if err != nil {
			return fmt.Errorf("start %s: %w", fn.Slug, err)
		}
	}
	return e.Match(ctx, &redisengine.Event{ID: id, Name: out.Name, JSON: whole})
}

func (e *onRedis) await(n int) {
	e.t.Helper()
	require.Eventually(e.t, func() bool { return e.rec.count() >= n }, time.Minute, 5*time.Millisecond,
		"%d of %d runs finished", e.rec.count(), n)
}

// roundTrips counts what is sent to Redis and waited for.
type roundTrips struct{ n atomic.Int64 }

func (r *roundTrips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.n.Add(1)
		return next(ctx, cmd)
	}
}

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.n.Add(1)
		return next(ctx, cmds)
	}
}
