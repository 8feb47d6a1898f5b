package projector

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"jetstep/bus"
	"jetstep/history/database"
)

// Config is what a Projector works with.
type Config struct {
	Bus   *bus.Bus
	Store *database.Store // may be one that cannot be opened yet
	// Functions says whose the functions are.
	Functions Functions
	// Owns tells whether this process projects a partition's log; nil for all.
	// EVENTS, TRACES and TOLD go with partition 0.
	Owns func(partition int) bool
	// Instance tells the streams of this NATS from those of others that are
	// projected into the same database, "" when there are none. With others, any
	// row may be there already: it is looked for before it is written.
	Instance string
	// Retention says what is deleted after a while; nothing by default.
	Retention Retention
	Logger    *slog.Logger
	Metrics   prometheus.Registerer // nil for none
}

// Projector writes what the logs say into the database. Its methods may be
// called at the same time, and before Run.
type Projector struct {
	config  Config
	log     *slog.Logger
	metrics *metrics
	pace    *pacer
	sources []*source // the partitions' logs in their order, then the others

	mu        sync.Mutex
	callbacks []func(runs []ulid.ULID)
}

// New prepares a projector; Run makes it work. It fails when its metrics are
// registered already.
func New(c Config) (*Projector, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Owns == nil {
		c.Owns = func(int) bool { return true }
	}
	p := &Projector{config: c, log: c.Logger, pace: newPacer(writers())}
	var err error
	if p.metrics, err = newMetrics(c.Metrics, p); err != nil {
		return nil, fmt.Errorf("projector: %w", err)
	}
	for _, s := range streamsOf(c.Bus, c.Instance) {
		p.sources = append(p.sources, &source{projector: p, stream: s})
	}
	return p, nil
}

// EventSource is the name of EVENTS among the database's positions.
const EventSource = "EVENTS"

// LogSource is the name of a partition's log among the database's positions.
func LogSource(partition int) string { return fmt.Sprintf("LOG_%d", partition) }

// Run projects until ctx ends. What was read but not written by then is read
// again by the next one.
func (p *Projector) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range p.sources {
		all.Go(func() { p.whileOwned(ctx, s.partition, s.run) })
	}
	all.Go(func() { p.whileOwned(ctx, 0, p.retain) })
	all.Go(func() { p.hold(ctx) })
	all.Wait()
}

// ownedEvery is how soon a partition that came or went is noticed.
const ownedEvery = 250 * time.Millisecond

// whileOwned runs work whenever the partition is this process's, until ctx ends.
func (p *Projector) whileOwned(ctx context.Context, partition int, work func(context.Context)) {
	tick := time.NewTicker(ownedEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if p.config.Owns(partition) {
			p.untilLost(ctx, partition, work)
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// untilLost runs work and ends it when the partition is another's.
func (p *Projector) untilLost(ctx context.Context, partition int, work func(context.Context)) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(ctx)
	}()
	tick := time.NewTicker(ownedEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if !p.config.Owns(partition) {
				stop()
			}
		}
	}
}

// Projected is the sequence of a partition's log up to which everything is
// durably in the database; 0 while that is not known here.
func (p *Projector) Projected(partition int) uint64 {
	if partition < 0 || partition >= p.config.Bus.Partitions() {
		return 0
	}
	return p.sources[partition].position.Load()
}

// OnCommit calls fn after each transaction with the runs of which there are new
// rows. fn must be quick; what it is given is its to keep.
func (p *Projector) OnCommit(fn func(runs []ulid.ULID)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.callbacks = append(p.callbacks, fn)
}

func (p *Projector) committed(runs []ulid.ULID) {
	if len(runs) == 0 {
		return
	}
	p.mu.Lock()
	callbacks := slices.Clone(p.callbacks)
	p.mu.Unlock()
	for _, fn := range callbacks {
		fn(slices.Clone(runs))
	}
}

// Lag is how far the database is behind.
type Lag struct {
	Messages uint64        // of logs and EVENTS that it has not got
	Age      time.Duration // of the oldest of them, 0 for none
	// Err is why it gets nothing at the moment; nil when it does.
	Err error
}

// Lag is the lag of all that is projected here.
func (p *Projector) Lag() Lag {
	var total Lag
	for _, s := range p.sources {
		lag := s.lag(time.Now())
		total.Messages += lag.Messages
		total.Age = max(total.Age, lag.Age)
		if total.Err == nil {
			total.Err = lag.Err
		}
	}
	return total
}
