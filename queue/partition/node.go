package partition

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// Recorder is told what happened, after it is durable. Calls must be quick.
// After a restart it is told again what the log still holds.
type Recorder interface {
	// EventReceived says how many runs the event started, resumed or ended.
	EventReceived(event *bus.Delivery, matched int)
	RunScheduled(run *state.Run)
	RunStarted(run ulid.ULID, at time.Time)
	RunFinished(run ulid.ULID, status state.Status, output json.RawMessage, at time.Time)
	// RunSkipped is told instead of RunScheduled when a start made no run.
	RunSkipped(skipped *state.RunSkipped, at time.Time)
	// StartDecided says what became of a start of the function: one of the
	// outcomes below. Unlike the others it is told at once, since most outcomes
	// leave nothing to record, and not again after a restart.
	StartDecided(function uuid.UUID, outcome string)
}

// The outcomes of a start (flow-control §8).
const (
	StartSuccess     = "success"
	StartRateLimited = "rate_limited"
	StartDebounced   = "debounced"
	StartSkipped     = "skipped"
	StartIdempotency = "idempotency" // its key has a run already
	StartBatched     = "batched"
	StartError       = "error"
)

// StartOutcomes are all of them.
var StartOutcomes = []string{
	StartSuccess, StartRateLimited, StartDebounced, StartSkipped, StartIdempotency, StartBatched, StartError,
}

// Config of a Node.
type Config struct {
	Bus     *bus.Bus
	Name    string   // of this process, in leases
	History Recorder // nil: nobody is told
	Logger  *slog.Logger
	// CompactBytes is how much a log grows before it is compacted, at least.
	CompactBytes int
	// Projected, if set, is the sequence of a partition's log up to which the
	// history has it: no more of the log is removed. It must be quick.
	Projected func(partition int) uint64
	Observer  Observer
	// Foreign, if set, is another queue whose runs end beside those of this one:
	// limits count both.
	Foreign Foreign
	// AtRest makes owners that let nothing happen: no event is matched, nothing
	// becomes due, no job is handed out. What they have can be read (Walk, Find), and
	// added to (TakeOver).
	AtRest bool
}

// Node runs the owners of this process. It is a queue.Queue and a state.Store.
type Node struct {
	bus          *bus.Bus
	name         string
	history      Recorder
	log          *slog.Logger
	compactBytes int
	projected    func(partition int) uint64 // nil: all
	observer     Observer
	foreign      Foreign
	atRest       bool
	eventLimit   int // bytes of data that an event may have to be publishable

	lanes  [2]*queue.Ready[readyJob] // by queue.Lane; LaneFirst shares one
	owners []atomic.Pointer[Owner]
	homes  homes
	// loading are the partitions that this process has the lease of and does
	// not serve yet.
	loading []atomic.Bool
	// cluster is who shared the partitions at the last look; nil where nobody can.
	cluster atomic.Pointer[bus.Cluster]

	cancel  context.CancelFunc
	keepers sync.WaitGroup
	opened  chan struct{} // closed when every partition was opened once
	pending atomic.Int64
	clock   func() time.Time // time.Now, except in tests
	leases  atomic.Uint64    // handed out
	// neverSeen is a revision of the registry that was waited for in vain.
	neverSeen atomic.Uint64
}

// readyJob is a due job with the owner it belongs to.
type readyJob struct {
	owner    *Owner
	ref      jobRef
	function uuid.UUID
}

var (
	_ queue.Queue = (*Node)(nil)
	_ state.Store = (*Node)(nil)
)

// NewNode makes a node that owns nothing yet.
func NewNode(cfg Config) *Node {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.History == nil {
		cfg.History = nobody{}
	}
	if cfg.CompactBytes == 0 {
		cfg.CompactBytes = compactBytes
	}
	n := &Node{
		bus: cfg.Bus, name: cfg.Name, history: cfg.History, log: cfg.Logger, compactBytes: cfg.CompactBytes,
		projected:  cfg.Projected,
		observer:   cfg.Observer,
		atRest:     cfg.AtRest,
		foreign:    cfg.Foreign,
		eventLimit: cfg.Bus.MaxEventData(),
		lanes:      [2]*queue.Ready[readyJob]{queue.NewReady[readyJob](), queue.NewReady[readyJob]()},
		owners:     make([]atomic.Pointer[Owner], cfg.Bus.Partitions()),
		loading:    make([]atomic.Bool, cfg.Bus.Partitions()),
		opened:     make(chan struct{}),
		clock:      time.Now,
	}
	n.pending.Store(int64(cfg.Bus.Partitions()))
	return n
}

// Start takes partitions over, each as soon as it is free, and keeps them.
func (n *Node) Start(ctx context.Context) {
	ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, n.bus.Registry().Watch(n.changed))
	for p := range n.owners {
		n.keepers.Go(func() { n.keep(ctx, p) })
	}
	if n.bus.Shared() && !n.atRest {
		n.keepers.Go(func() { n.balance(ctx) })
	}
}

// changed makes owners look at new limits, schedules and cancellations at once.
func (n *Node) changed(*bus.Catalog) {
	for p := range n.owners {
		if o := n.owner(p); o != nil {
			o.poke()
		}
	}
}

// Opened is closed once every partition has been loaded here.
func (n *Node) Opened() <-chan struct{} { return n.opened }

// StopLeasing makes Lease return ErrClosed; commits still work.
func (n *Node) StopLeasing() {
	for _, lane := range n.lanes {
		lane.Close()
	}
}

// push puts a due job into its lane, where the least score comes first.
func (n *Node) push(o *Owner, lane queue.Lane, function uuid.UUID, score int64, ref jobRef) {
	n.lanes[lane].Push(function, score, readyJob{o, ref, function})
}

// Close gives all partitions up, after what was decided is durable.
func (n *Node) Close() {
	n.StopLeasing()
	n.cancel()
	n.keepers.Wait()
}

// The pause after a partition could not be opened. It doubles up to the
// longest: reading a log that cannot be read is work, and each try is told.
const (
	retryOpen    = 250 * time.Millisecond
	maxRetryOpen = 2 * time.Second
)

// keep owns a partition whenever it can, until ctx ends.
func (n *Node) keep(ctx context.Context, p int) {
	first, pause := true, retryOpen
	for ctx.Err() == nil {
		lease, err := n.bus.AcquireLease(ctx, p, n.name, n.hesitate)
		if err == nil {
			n.loading[p].Store(true)
			err = n.reign(ctx, p, lease, func() {
				if first && n.pending.Add(-1) == 0 {
					close(n.opened)
				}
				first, pause = false, retryOpen
				n.loading[p].Store(false)
			})
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("partition is not served for now", "partition", p, "error", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, maxRetryOpen)
		}
	}
}

// reign serves a partition as long as the lease and the log allow.
func (n *Node) reign(ctx context.Context, p int, lease *bus.Lease, opened func()) error {
	defer func() {
		release, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := lease.Release(release); err != nil {
			n.log.Debug("lease not released; it will expire", "partition", p, "error", err)
		}
	}()
	owner, err := openOwner(ctx, n, p)
	if err != nil {
		return err
	}
	owner.held = lease.Held
	n.owners[p].Store(owner)
	defer n.resign(p)
	if err = owner.start(ctx); err == nil {
		opened()
		select {
		case <-ctx.Done():
		case <-lease.Lost():
			err = errors.New("lease was lost")
		case err = <-owner.broken:
		case <-owner.leave:
		}
	}
	stop, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	if stopErr := owner.stop(stop); err == nil {
		err = stopErr
	}
	return err
}

func (n *Node) owner(p int) *Owner { return n.owners[p].Load() }

// Loading tells whether this process is about to serve the partition of a run,
// so that it will soon know more of the run than it does now.
func (n *Node) Loading(run ulid.ULID) bool { return n.loading[n.partitionOfRun(run)].Load() }

// durable lets others know what a record said: the history, and the receivers
// of its messages. No owner's lock is held.
func (n *Node) durable(o *Owner, r *state.Record) {
	n.replayed(r)
	for _, op := range r.Ops {
		sent, ok := op.(*state.Sent)
		if !ok {
			continue
		}
		if !state.IsEvents(sent.To) {
			// What is too early has to go the way of what is before it.
			if to := n.owner(sent.To); to != nil && !o.handOver(to, sent) {
				continue
			}
		}
		o.courier.give(*sent)
	}
}

// replayed tells the history what a record said.
func (n *Node) replayed(r *state.Record) { Retell(n.history, r) }

// Retell tells a recorder what a record said of runs.
func Retell(to Recorder, r *state.Record) {
	for _, op := range r.Ops {
		switch op := op.(type) {
		case *state.RunPut:
			to.RunScheduled(&op.Run)
		case *state.RunChanged:
			if op.StartedAt != 0 {
				to.RunStarted(op.RunID, time.UnixMilli(op.StartedAt))
			}
		case *state.RunFinished:
			to.RunFinished(op.RunID, op.Status, op.Output, time.UnixMilli(r.At))
		case *state.RunSkipped:
			to.RunSkipped(op, time.UnixMilli(r.At))
		}
	}
}

// confirm tells a sender that a receiver has its messages up to n.
func (n *Node) confirm(from, to int, upTo uint64) {
	if sender := n.owner(from); sender != nil {
		sender.confirm(to, upTo)
	}
}

func (n *Node) now() int64 { return n.clock().UnixMilli() }

// newID is a fresh ULID of now.
func (n *Node) newID() ulid.ULID {
	var id ulid.ULID
	_ = id.SetTime(uint64(n.now())) // fails only after the year 10889
	a, b := rand.Uint64(), rand.Uint32()
	for i := range 8 {
		id[6+i] = byte(a >> (8 * i))
	}
	id[14], id[15] = byte(b), byte(b>>8)
	return id
}

func (n *Node) partitionOf(key string) int { return bus.PartitionOf(key, len(n.owners)) }

// partitionOfRun is the partition of a run, or, if this process does not know it,
// the one that does: that which the run's id names.
func (n *Node) partitionOfRun(id ulid.ULID) int {
	if p, ok := n.homes.of(id); ok {
		return p
	}
	return n.namedBy(id)
}

// namedBy reads the partition that a run id carries.
func (n *Node) namedBy(id ulid.ULID) int { return int(id[6]) % len(n.owners) }

// resign ends the service of a partition.
func (n *Node) resign(p int) {
	n.owners[p].Store(nil)
	n.homes.keep(func(id ulid.ULID, home int) bool { return n.owner(home) != nil || n.owner(n.namedBy(id)) != nil })
}

// attempts is how often a step of the run may be tried.
func (n *Node) attempts(run *state.Run) int {
	if run.Endpoint != nil {
		return run.Endpoint.Attempts // its function need not be registered
	}
	if found, ok := n.bus.Registry().Catalog().Function(run.FunctionID); ok {
		return found.Retries() + 1
	}
	return function.DefaultRetries + 1
}
