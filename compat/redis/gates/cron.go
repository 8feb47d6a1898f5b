package gates

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/expr"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

const (
	// catchUp is how far back missed ticks are made up for. Older ones are passed
	// over.
	catchUp = 10 * time.Minute
	// early is how much before its tick a job is due at most, in milliseconds
	// (redis-queue §18).
	early = 20
	// checkAt is the second of each minute at which schedules are looked after.
	checkAt = 40 * time.Second
)

// Sync puts into force what functions are registered: the next tick of each
// schedule, and how many runs of each may be in progress. It is to be called at
// the start and when the registry has changed. What is there stays; jobs of older
// versions go when they are due.
func (g *Gates) Sync(ctx context.Context, functions []Known) error {
	now := time.Now()
	for _, fn := range functions {
		if limit, ok := fn.Concurrency.RunLimit(); ok {
			if err := g.jobs.SetSemaphore(ctx, g.Node.Account, function.RunSemaphore(fn.ID, limit.Key), limit.Effective()); err != nil {
				return err
			}
		}
	}
	batch := g.jobs.Batch(now)
	if g.addTicks(batch, functions, now) > 0 {
		batch.Enqueue(g.checkJob(now))
	}
	if _, err := batch.Exec(ctx); err != nil {
		return fmt.Errorf("schedule ticks: %w", err)
	}
	return nil
}

// addTicks adds the jobs of the ticks that follow now, and tells how many.
func (g *Gates) addTicks(batch *jobs.Batch, functions []Known, now time.Time) (added int) {
	for _, fn := range functions {
		for _, trigger := range fn.Triggers {
			if trigger.Cron == "" {
				continue
			}
			if job := g.tickJob(&fn, trigger.Cron, now); job != nil {
				batch.Enqueue(job)
				added++
			}
		}
	}
	return added
}

// tickJob is the job of the first tick after a moment, nil when there is none.
func (g *Gates) tickJob(fn *Known, cron string, after time.Time) *format.Item {
	schedule, err := expr.ParseStoredCron(cron)
	if err != nil {
		g.complain(fn.Function, cron, err) // registration refuses it
		return nil
	}
	// Names of jobs have the tick in its zone: all servers have to use the same
	// (redis-queue §18).
	tick := schedule.Next(after.UTC())
	if tick.IsZero() {
		return nil
	}
	id := function.CronJob(tick, cron, fn.ID, fn.Version)
	payload, _ := format.Raw(format.CronPayload{ // has no raw JSON, which alone could fail
		ID: ulid.MustNew(ulid.Timestamp(tick), ulid.DefaultEntropy()), AccountID: g.Node.Account, EnvironmentID: g.Node.Environment,
		AppID: fn.App, FunctionID: fn.ID, FunctionVersion: fn.Version, Expression: cron, JobID: id, Op: format.CronProcess,
	})
	item := g.item(format.KindCron, format.QueueCron(g.Node.Environment), fn.ID, fn.App, payload)
	item.ID, item.At = id, tick.UnixMilli()-rand.Int64N(early+1)
	item.Data.Identifier.Version = fn.Version
	return item
}

// Tick starts the run of one scheduled time, publishes its event, and adds the
// next tick (flow-control §7.3). The schedule ends here when the function has a
// newer version, or has it no more.
func (g *Gates) Tick(ctx context.Context, p *format.CronPayload) error {
	fn, ok := g.Functions.Known(p.FunctionID)
	if !ok || fn.Removed || fn.Version > p.FunctionVersion {
		return nil
	}
	trigger, ok := fn.CronTrigger(p.Expression)
	if !ok {
		return nil
	}
	tick, oldest := ulid.Time(p.ID.Time()).UTC(), time.Now().Add(-catchUp)
	if tick.Before(oldest) {
		g.Log.Warn("missed ticks are passed over", "function_id", fn.Slug, "cron", p.Expression, "since", tick)
		tick = oldest
	} else if err := g.fire(ctx, p, tick, trigger); err != nil {
		return err
	}
	return g.enqueueTick(ctx, &fn, p.Expression, tick)
}

// fire starts the run of a tick.
func (g *Gates) fire(ctx context.Context, p *format.CronPayload, tick time.Time, trigger function.Trigger) error {
	limit, _ := trigger.MaxJitter() // registration refuses what cannot be read
	fireAt := tick.Add(function.CronJitter(p.JobID, limit))
	text := tick.Format(time.RFC3339)
	whole, err := jcs.Encode(map[string]any{
		"id": text, "name": state.EventScheduled, "ts": fireAt.UnixMilli(), "user": struct{}{},
		"data": map[string]string{"cron": p.Expression, "fireAt": fireAt.Format(time.RFC3339), "scheduledAt": text},
	})
	if err == nil {
		whole, err = jcs.Canonicalize(whole)
	}
	if err != nil {
		return fmt.Errorf("event of tick %s: %w", text, err)
	}
	e := &engine.Event{ID: function.DeterministicULID(fireAt, "tick:"+p.JobID), Name: state.EventScheduled, JSON: whole}
	if err := g.World.Accept(ctx, e); err != nil {
		return err
	}
	_, err = g.Start(ctx, &state.Start{
		FunctionID: p.FunctionID, Idempotency: function.IdempotencyKey(p.FunctionID, text),
		Events: []json.RawMessage{whole}, EventIDs: []ulid.ULID{e.ID}, Trigger: state.EventScheduled,
		Cron: p.Expression, NotBefore: fireAt.UnixMilli(),
	})
	return err
}

func (g *Gates) enqueueTick(ctx context.Context, fn *Known, cron string, after time.Time) error {
	job := g.tickJob(fn, cron, after)
	if job == nil {
		return nil
	}
	if _, err := g.jobs.Enqueue(ctx, time.Now(), job); err != nil {
		return err
	}
	g.Node.Expect(job.Partition(), time.UnixMilli(job.At))
	return nil
}

// schedule does what the original's servers ask for when they start, and when a
// function is registered: it adds the next tick.
func (g *Gates) schedule(ctx context.Context, p *format.CronPayload) error {
	fn, ok := g.Functions.Known(p.FunctionID)
	if !ok || fn.Removed || fn.Version > p.FunctionVersion {
		return nil
	}
	if _, ok := fn.CronTrigger(p.Expression); !ok {
		return nil
	}
	after, oldest := ulid.Time(p.ID.Time()), time.Now().Add(-catchUp)
	if after.Before(oldest) {
		after = oldest
	}
	return g.enqueueTick(ctx, &fn, p.Expression, after)
}

// checkJob is the job that looks after the schedules, at the first such second
// after a moment (redis-queue §18).
func (g *Gates) checkJob(after time.Time) *format.Item {
	at := after.UTC().Truncate(time.Minute).Add(checkAt)
	if !at.After(after) {
		at = at.Add(time.Minute)
	}
	payload, _ := format.Raw(format.CronPayload{ID: ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()), Op: format.CronHealthCheck})
	item := g.item(format.KindCronHealthCheck, format.QueueCronHealthCheck, uuid.Nil, uuid.Nil, payload)
	item.Environment, item.Data.Environment = uuid.Nil, uuid.Nil
	item.Data.Identifier.AccountID, item.Data.Identifier.EnvironmentID = uuid.Nil, uuid.Nil
	item.ID, item.At = function.Hash("{"+at.String()+"}:cron:health-check"), at.UnixMilli()
	return item
}

// checkCrons adds ticks that are missing, as after a crash between a tick and the
// next, and the next check.
func (g *Gates) checkCrons(ctx context.Context, at int64) error {
	now := time.Now()
	after := now
	if then := time.UnixMilli(at); then.After(now) {
		after = then
	}
	batch := g.jobs.Batch(now)
	g.addTicks(batch, g.Functions.Crons(), now)
	batch.Enqueue(g.checkJob(after))
	_, err := batch.Exec(ctx)
	return err
}
