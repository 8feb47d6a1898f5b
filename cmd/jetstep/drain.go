package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/compat/redis/dial"
	"jetstep/compat/redis/drain"
	"jetstep/queue"
	"jetstep/queue/partition"
	"jetstep/state"
)

// drainPath is both paths at once: new runs are made on NATS, those that a Redis
// has go on there to their end.
type drainPath struct {
	nativePath
	joint *drain.Joint
	there atomic.Pointer[drainedRedis] // nil until the Redis is in reach

	engine *engine
	opts   config.Options
	name   string
	log    *slog.Logger

	stopEvents func()
	running    context.Context
	stop       context.CancelFunc
	working    sync.WaitGroup
	closing    sync.Mutex // held while the Redis is attached
}

var _ path = (*drainPath)(nil)

// openDrainPath makes both paths. The Redis need not be in reach.
func openDrainPath(e *engine, opts config.Options, log *slog.Logger) *drainPath {
	p := &drainPath{engine: e, opts: opts, name: nodeName(), log: log.With("caller", "drain"), stopEvents: func() {}}
	p.running, p.stop = context.WithCancel(context.Background())
	p.nativePath = e.openNative(p.name, drainForeign{p}, log)
	p.joint = drain.Join(p.nativePath)
	return p
}

// attachWithin is how long the start waits for the Redis. What runs on NATS does
// not wait for one that is away longer: until it is there, runs are made
// regardless of those that it has.
const attachWithin = 10 * time.Second

// Start implements path. Events are kept for the Redis from the first start on.
func (p *drainPath) Start(ctx context.Context) error {
	stop, err := p.engine.bus.ShareEvents(ctx, bus.Share{Name: redisConsumer, Parallel: redisEvents, Handle: p.match})
	if err != nil {
		return err
	}
	p.stopEvents = stop
	attached := make(chan error, 1)
	p.working.Go(func() { attached <- p.attach() })
	select {
	case err := <-attached:
		if err != nil {
			return err
		}
	case <-time.After(attachWithin):
		p.log.Warn("redis is not in reach: until it is, runs are made regardless of those that it has")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return p.nativePath.Start(ctx)
}

// attach waits for the Redis, and lets its runs go on.
func (p *drainPath) attach() error {
	client, err := dial.Await(p.running, p.opts.DrainRedis, p.log)
	if err != nil {
		return err
	}
	r := newDrainedRedis(p, client)
	if err := r.know(p.running); err != nil {
		return errors.Join(err, client.Close())
	}
	p.closing.Lock()
	defer p.closing.Unlock()
	if err := p.running.Err(); err != nil {
		return errors.Join(err, client.Close())
	}
	r.open(p)
	p.there.Store(r)
	p.joint.Attach(r.redisPath)
	p.working.Go(func() { r.charges.Run(p.running) })
	p.working.Go(func() { r.left.Run(p.running) })
	p.working.Go(func() { r.followPast(p.running) })
	p.working.Go(func() { r.handOver(p.running) })
	return nil
}

// errRedisAway is an event that the Redis has to see, and cannot now.
var errRedisAway = errors.New("redis is not in reach")

// match brings an event from the bus to the waits of runs in the Redis. It starts
// nothing there.
func (p *drainPath) match(ctx context.Context, d *bus.Delivery) error {
	e, err := redisEvent(d)
	if err != nil {
		p.log.Error("event set aside: it cannot be read", "event", d.Name, "seq", d.Seq, "error", err)
		return nil
	}
	r := p.there.Load()
	if r == nil {
		return errRedisAway
	}
	return r.Match(ctx, e)
}

// Lease implements path.
func (p *drainPath) Lease(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	return p.joint.Lease(ctx, lane)
}

// Release implements path.
func (p *drainPath) Release(lease queue.Lease) { p.joint.Release(lease) }

// Load implements path.
func (p *drainPath) Load(ctx context.Context, run ulid.ULID) (*state.Run, error) {
	return p.joint.Load(ctx, run)
}

// Commit implements path.
func (p *drainPath) Commit(ctx context.Context, t *state.Transition) error {
	return p.joint.Commit(ctx, t)
}

// Cancel implements path. The Redis is asked first: a partition that nobody serves
// takes the wish for a run that it cannot know.
func (p *drainPath) Cancel(ctx context.Context, run ulid.ULID) error {
	away := errRedisAway
	if r := p.there.Load(); r != nil {
		if away = r.Server.Cancel(ctx, run); away == nil {
			return nil
		}
	}
	err := p.nativePath.Cancel(ctx, run)
	if errors.Is(err, state.ErrRunNotFound) && !errors.Is(away, state.ErrRunNotFound) {
		return away // it may be there
	}
	return err
}

// Signal implements path: whichever path has the waiter.
func (p *drainPath) Signal(ctx context.Context, name string, data json.RawMessage) (ulid.ULID, error) {
	id, err := p.nativePath.Signal(ctx, name, data)
	if r := p.there.Load(); r != nil && errors.Is(err, partition.ErrNoSignal) {
		return r.Signal(ctx, name, data)
	}
	return id, err
}

// AddMetadata implements path. It is recorded here also for runs of the Redis,
// which bounds how much they may have.
func (p *drainPath) AddMetadata(ctx context.Context, put *state.MetadataPut) error {
	if r := p.there.Load(); r != nil {
		if _, err := r.Load(ctx, put.RunID); err == nil {
			return r.AddMetadata(ctx, put)
		}
	}
	return p.nativePath.AddMetadata(ctx, put)
}

// HeldJobs implements path. Of a run in the Redis it is what that refused.
func (p *drainPath) HeldJobs(ctx context.Context, run ulid.ULID) map[string]string {
	held := p.nativePath.HeldJobs(ctx, run)
	if r := p.there.Load(); r != nil && len(held) == 0 && r.left.Any() {
		return r.HeldJobs(ctx, run)
	}
	return held
}

// Held implements path.
func (p *drainPath) Held(ctx context.Context, run ulid.ULID) (string, bool) {
	limit, ok := p.nativePath.Held(ctx, run)
	if r := p.there.Load(); r != nil && !ok && r.left.Any() {
		return r.Held(ctx, run)
	}
	return limit, ok
}

// Executing implements path.
func (p *drainPath) Executing(run ulid.ULID) (since time.Time, ok bool) {
	since, ok = p.nativePath.Executing(run)
	if r := p.there.Load(); r != nil && !ok {
		return r.Executing(run)
	}
	return since, ok
}

// Depths implements path.
func (p *drainPath) Depths() map[uuid.UUID]queue.Depth {
	depths := p.nativePath.Depths()
	if r := p.there.Load(); r != nil {
		for fn, d := range r.Depths() {
			have := depths[fn]
			depths[fn] = queue.Depth{Waiting: have.Waiting + d.Waiting, Out: have.Out + d.Out}
		}
	}
	return depths
}

// QueueSize implements path.
func (p *drainPath) QueueSize(fn uuid.UUID) int {
	size := p.nativePath.QueueSize(fn)
	if r := p.there.Load(); r != nil {
		size += r.QueueSize(fn)
	}
	return size
}

// StopLeasing implements path.
func (p *drainPath) StopLeasing() {
	p.nativePath.StopLeasing()
	if r := p.there.Load(); r != nil {
		r.StopLeasing()
	}
}

// Close implements path.
func (p *drainPath) Close() {
	p.closing.Lock()
	p.stop()
	p.closing.Unlock()
	p.StopLeasing()
	p.stopEvents()
	p.joint.Close()
	p.working.Wait()
	if r := p.there.Load(); r != nil {
		r.Close()
	}
	p.nativePath.Close()
}

// drainForeign tells the partitions about the runs of the Redis.
type drainForeign struct{ p *drainPath }

var _ partition.Foreign = drainForeign{}

// Claimed implements partition.Foreign.
func (f drainForeign) Claimed(fn uuid.UUID, key string) (run ulid.ULID, taken bool) {
	if r := f.p.there.Load(); r != nil {
		return r.past.Claimed(fn, key)
	}
	return run, false
}

// Singleton implements partition.Foreign.
func (f drainForeign) Singleton(fn uuid.UUID, text string) (run ulid.ULID, held bool) {
	if r := f.p.there.Load(); r != nil {
		return r.past.Singleton(fn, text)
	}
	return run, false
}

// Charged implements partition.Foreign.
func (f drainForeign) Charged(key state.GateKey) float64 {
	if r := f.p.there.Load(); r != nil {
		return r.past.Charged(key)
	}
	return 0
}

// Granted implements partition.Foreign.
func (f drainForeign) Granted() {
	if r := f.p.there.Load(); r != nil {
		r.charges.Granted()
	}
}

// Cancel implements partition.Foreign. It is tried until the run has ended, or the
// process has: then it goes on beside the other.
func (f drainForeign) Cancel(run, by ulid.ULID) {
	r := f.p.there.Load()
	if r == nil {
		return
	}
	r.past.Ended(run)
	go r.cancel(f.p.running, run, by)
}
