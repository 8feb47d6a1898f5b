package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/bus"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/compat/redis/dial"
	redisengine "jetstep/compat/redis/engine"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/server"
	"jetstep/jcs"
	"jetstep/queue/gate"
	"jetstep/queue/partition"
	"jetstep/state"
	"jetstep/telemetry/metrics"
)

const (
	// redisConsumer is the name under which all processes of a bus share its
	// events, so that each is matched in Redis once.
	redisConsumer = "jetstep-redis"
	// redisEvents is how many events a process matches at the same time.
	redisEvents = 64
)

// redisPath is a Redis as the original has it. Events come from the bus of the
// process.
type redisPath struct {
	*server.Server
	bus      *bus.Bus
	recorder *recorder
	client   redis.UniversalClient
	teller   *teller
	log      *slog.Logger
	stop     func() // of events
}

// openRedisPath waits until the Redis is there.
func openRedisPath(ctx context.Context, e *engine, opts config.Options, log *slog.Logger) (*redisPath, error) {
	log = log.With("caller", "queue")
	client, err := dial.Await(ctx, opts.Original.RedisURI, log)
	if err != nil {
		return nil, err
	}
	return newRedisPath(e, opts, client, func(*server.Config) {}, log), nil
}

// newRedisPath is the path on a Redis that is there; tune changes how it works.
func newRedisPath(e *engine, opts config.Options, client redis.UniversalClient, tune func(*server.Config), log *slog.Logger) *redisPath {
	p := &redisPath{bus: e.bus, recorder: e.recorder, client: client, log: log, stop: func() {}}
	var projected func() uint64
	if e.bus.Embedded() || !opts.SQLite() { // else other processes have databases of their own
		projected = e.project.ToldProjected
	}
	p.teller = newTeller(e.bus, projected, func(r *state.Record) { partition.Retell(e.recorder, r) }, log)
	cfg := server.Config{
		Redis: client, Registry: redisRegistry{e.bus.Registry()}, World: redisWorld{p}, Teller: p.teller, Log: log,
		Observer: observer(e.redis), Away: e.redis.Away,
	}
	tune(&cfg)
	p.Server = server.Open(cfg)
	return p
}

// observer counts what becomes of data that are not as they should be.
func observer(r *metrics.Redis) jobs.Observer {
	return jobs.Observer{
		SetAside: func(kind string, why jobs.Why) { r.SetAside(kind, string(why)) },
		PutRight: r.PutRight,
	}
}

// Start implements path.
func (p *redisPath) Start(ctx context.Context) error {
	stop, err := p.bus.ShareEvents(ctx, bus.Share{Name: redisConsumer, Parallel: redisEvents, Line: p.line, Handle: p.event})
	if err != nil {
		return err
	}
	p.stop = stop
	return nil
}

// line is the line of an event: where limits count the starts of a function, it
// matters which event is the first, and so does it of those with one id.
func (p *redisPath) line(d *bus.Delivery) string {
	for _, fn := range p.bus.Registry().Catalog().Triggered(d.Name) {
		if _, counted := fn.FlowPartitionKey(); counted {
			return d.Name
		}
	}
	if e, err := d.Event(); err == nil && e.ID != e.InternalID.String() {
		return d.Name + " " + e.ID
	}
	return ""
}

// lastWords is how long storing what happened last may take.
const lastWords = 2 * time.Second

// Close implements path.
func (p *redisPath) Close() {
	p.stop()
	p.Server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	p.teller.Close(ctx)
	_ = p.client.Close() // nothing is written any more
}

// event brings an event from the bus to the Redis.
func (p *redisPath) event(ctx context.Context, d *bus.Delivery) error {
	e, err := redisEvent(d)
	if err != nil {
		p.log.Error("event set aside: it cannot be read", "event", d.Name, "seq", d.Seq, "error", err)
		return nil
	}
	matched, err := p.Event(ctx, e)
	if err != nil {
		return err
	}
	p.recorder.EventReceived(d, matched)
	return nil
}

// redisEvent is an event of the bus as it is matched there.
func redisEvent(d *bus.Delivery) (*redisengine.Event, error) {
	event, err := d.Event()
	if err != nil {
		return nil, err
	}
	whole, err := jcs.Canonicalize(event.AppendJSON(nil, true))
	if err != nil {
		return nil, err
	}
	return &redisengine.Event{ID: event.InternalID, Name: event.Name, JSON: whole}, nil
}

// Signal implements path.
func (p *redisPath) Signal(ctx context.Context, name string, data json.RawMessage) (ulid.ULID, error) {
	id, err := p.Server.Signal(ctx, name, data)
	if errors.Is(err, redisengine.ErrNoWaiter) {
		err = fmt.Errorf("%w: %w", partition.ErrNoSignal, err)
	}
	return id, err
}

// Begin implements path.
func (p *redisPath) Begin(ctx context.Context, b *state.Beginning) error {
	err := p.Server.Begin(ctx, b)
	if errors.Is(err, redisengine.ErrRunExists) {
		err = fmt.Errorf("%w: %w", partition.ErrRunExists, err)
	}
	return err
}

// Loading implements path: Redis has everything at once.
func (p *redisPath) Loading(ulid.ULID) bool { return false }

// Held implements path.
func (p *redisPath) Held(ctx context.Context, run ulid.ULID) (string, bool) {
	for _, limit := range p.HeldJobs(ctx, run) {
		return limit, true
	}
	return "", false
}

// HeldJobs implements path.
func (p *redisPath) HeldJobs(ctx context.Context, run ulid.ULID) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	names := map[string]string{}
	for job, limit := range p.Server.Held(ctx, run) {
		names[job] = gate.Name(limit.Kind, limit.Scope, limit.Key)
	}
	return names
}

// Waiting implements path.
func (p *redisPath) Waiting() []gate.Waiting { return nil }

// Unready implements path: no partition is owned.
func (p *redisPath) Unready() []int { return nil }

// Owns implements path: what a process has told it writes itself.
func (p *redisPath) Owns(int) bool { return true }

// Problems implements path.
func (p *redisPath) Problems() []string {
	if err := p.Problem(); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// askWithin is how long Redis has to answer what metrics and tests ask.
const askWithin = 2 * time.Second

// QueueSize implements path; 0 when Redis does not answer.
func (p *redisPath) QueueSize(fn uuid.UUID) int {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	items, _ := p.ItemsOf(ctx, fn)
	return int(items)
}

// Stats implements path. Runs are not counted, and items of all processes are
// among the timers.
func (p *redisPath) Stats() partition.Stats {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	leased := p.Leased()
	items, _ := p.Items(ctx)
	return partition.Stats{Leased: leased, Timers: max(int(items)-leased, 0)}
}
