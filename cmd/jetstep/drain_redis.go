package main

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/bus"
	"jetstep/compat/redis/drain"
	redisengine "jetstep/compat/redis/engine"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/server"
	"jetstep/function"
	"jetstep/state"
)

// drainedRedis is a Redis whose runs go on to their end.
type drainedRedis struct {
	*redisPath
	client  redis.UniversalClient
	past    *drain.Past
	left    *drain.Left
	charges *drain.Charges
	places  *drain.Places
}

func newDrainedRedis(p *drainPath, client redis.UniversalClient) *drainedRedis {
	r := &drainedRedis{client: client, past: drain.NewPast(client, function.AccountID)}
	r.charges = drain.NewCharges(p.nativePath, p.name, func(fn uuid.UUID) { r.Visit(fn) }, p.log)
	r.places = drain.NewPlaces(client, function.AccountID, r.charges)
	r.left = drain.NewLeft(client, p.joint.SetEmpty, p.log)
	return r
}

// open begins to hand out the jobs of the Redis.
func (r *drainedRedis) open(p *drainPath) {
	r.redisPath = newRedisPath(p.engine, p.opts, r.client, func(c *server.Config) {
		c.Arbiter = r.charges
		c.Elsewhere = p.nativePath
		c.Registry = drainRegistry{c.Registry}
		c.Teller = drainTeller{c.Teller, r}
	}, p.log)
}

const (
	// pastRetry is how long is waited when it cannot be read what runs of the
	// Redis exclude, and how often it is asked which of them still do.
	pastRetry = 2 * time.Second
	// pastEvery is how often all that exclude something are looked for, sooner than a
	// process that is silent counts as dead. pastShare bounds what part of the time
	// that takes.
	pastEvery = 10 * time.Second
	pastShare = 20
	// drainedEvery is how often they are looked for when nothing is left.
	drainedEvery = 30 * time.Second
)

// next is how long to wait before everything is looked at again, which took that
// long.
func (r *drainedRedis) next(took time.Duration) time.Duration {
	every := pastEvery
	if counts, known := r.left.Counts(); known && counts.None() {
		every = drainedEvery
	}
	return max(every, pastShare*took)
}

// know reads what runs of the Redis exclude.
func (r *drainedRedis) know(ctx context.Context) error {
	for {
		err := r.past.Load(ctx)
		if err == nil {
			err = r.places.Load(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pastRetry):
		}
	}
}

// followPast keeps up with it until ctx ends. A Redis that is away is told of by
// who counts what is left.
func (r *drainedRedis) followPast(ctx context.Context) {
	ticker := time.NewTicker(pastRetry)
	defer ticker.Stop()
	all := time.Now().Add(pastEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case began := <-ticker.C:
			if began.Before(all) {
				_ = r.past.Refresh(ctx)
				_ = r.places.Refresh(ctx)
				continue
			}
			_ = r.past.LoadSingletons(ctx)
			_ = r.places.Load(ctx)
			all = time.Now().Add(r.next(time.Since(began)))
		}
	}
}

// handOver gives debounces and batches that are open in the Redis to the partitions,
// as soon as their functions are registered, until ctx ends. Those that become due
// before go there, too: what cannot be handed over now is tried again.
func (r *drainedRedis) handOver(ctx context.Context) {
	changed := make(chan struct{}, 1)
	defer r.bus.Registry().Watch(func(*bus.Catalog) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for ctx.Err() == nil {
		began, pause := time.Now(), pastRetry
		if err := r.HandOver(ctx); err != nil {
			r.log.Debug("debounces and batches are handed over later", "error", err)
		} else {
			pause = r.next(time.Since(began))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(pause):
		}
	}
}

// cancel ends a run whose singleton another one took.
func (r *drainedRedis) cancel(ctx context.Context, run, by ulid.ULID) {
	for ctx.Err() == nil {
		err := r.Node.Cancel(ctx, run, "singleton:"+by.String())
		if err == nil || errors.Is(err, state.ErrRunNotFound) {
			return
		}
		r.log.Warn("a run in redis cannot be cancelled: it is tried again", "run_id", run, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pastRetry):
		}
	}
}

// drainRegistry has no schedules: they are kept on NATS.
type drainRegistry struct{ server.Registry }

// Crons implements gates.Functions.
func (r drainRegistry) Crons() []gates.Known { return nil }

// Active implements server.Registry.
func (r drainRegistry) Active() []gates.Known {
	list := r.Registry.Active()
	for i := range list {
		fn := *list[i].Function
		fn.Triggers = nil
		list[i].Function = &fn
	}
	return list
}

// drainTeller tells what counts of runs that end.
type drainTeller struct {
	redisengine.Teller
	redis *drainedRedis
}

// Tell implements redisengine.Teller.
func (t drainTeller) Tell(ctx context.Context, r *state.Record) {
	for _, op := range r.Ops {
		if finished, ok := op.(*state.RunFinished); ok {
			t.redis.past.Ended(finished.RunID)
			t.redis.charges.Ended(finished.RunID)
		}
	}
	t.Teller.Tell(ctx, r)
}
