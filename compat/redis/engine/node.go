package engine

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/compat/redis/script"
	"jetstep/state"
)

// Functions is what the engine must know about functions.
type Functions interface {
	// Attempts is how often a step of the function may be tried.
	Attempts(function uuid.UUID) int
	// App is the app that the function belongs to.
	App(function uuid.UUID) uuid.UUID
	// Limits are those of the function at present.
	Limits(function uuid.UUID) Limits
}

// World is what runs have to do with besides Redis.
type World interface {
	// Publish accepts events that runs send. It must be safe to repeat.
	Publish(ctx context.Context, events []state.Outgoing) error
	// Ended is told how a run ended; it may be told twice.
	Ended(run *state.Run, finish *state.Finish)
}

// Config says whose Redis it is.
type Config struct {
	Redis       redis.UniversalClient
	Functions   Functions
	World       World
	Account     uuid.UUID
	Environment uuid.UUID
	Teller      Teller  // nil when there is no history
	Arbiter     Arbiter // nil when all that counts is in Redis
	Log         *slog.Logger
	// Observer is told what is set aside; Away, when Redis stops doing what it is
	// asked, and when it does so again. Both may be empty.
	Observer jobs.Observer
	Away     func(away bool)
}

// Node is one process's part in executing what is in a Redis. It is safe for
// concurrent use.
type Node struct {
	Config
	runs     *runs.Store
	jobs     *jobs.Queue
	across   *script.Across
	told     told
	refusals refusals

	mu      sync.Mutex
	closed  bool
	waiting [3][]*waiter      // by lane
	kept    [3]int            // how many of those are kept for jobs on their way
	coming  map[uuid.UUID]int // calls on their way, by function
	held    map[string]*held
	calls   map[uuid.UUID]int    // leased calls, by function
	due     map[string]time.Time // partitions to be visited, beside those that pointers name
	left    map[string]bool      // partitions where looks have left jobs that nobody waited for
	depths  map[string]int64     // how far deep looks have read, by partition
	reports map[ulid.ULID]uint64 // when runs last reported steps, as positions in recent
	recent  recent
	tokens  uint64

	suspicions []suspicion
	troubled   map[string]bool // partitions that cannot be visited, and were said to be so
	outage     outage

	system    System
	attending chan struct{} // as many as jobs of the system are being done

	kick    chan struct{}
	stop    context.CancelFunc
	working sync.WaitGroup
}

// Open begins to hand out what is due.
func Open(c Config) *Node {
	ctx, stop := context.WithCancel(context.Background())
	n := &Node{
		Config: c, runs: runs.NewStore(c.Redis), jobs: jobs.NewQueue(c.Redis), across: newAcross(c.Redis),
		held: map[string]*held{}, calls: map[uuid.UUID]int{}, due: map[string]time.Time{}, reports: map[ulid.ULID]uint64{},
		left: map[string]bool{}, depths: map[string]int64{}, coming: map[uuid.UUID]int{},
		attending: make(chan struct{}, attended), kick: make(chan struct{}, 1), stop: stop,
	}
	n.jobs.Observer = c.Observer
	n.outage.log, n.outage.changed = c.Log, c.Away
	n.working.Go(func() { n.scan(ctx) })
	n.working.Go(func() { n.renew(ctx) })
	n.working.Go(func() { n.scavenge(ctx) })
	return n
}

// StopLeasing ends Lease for all: no more work is handed out. What was is
// concluded still, and leases are kept.
func (n *Node) StopLeasing() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for lane := range n.waiting {
		for _, w := range n.waiting[lane] {
			close(w.lease)
		}
		n.waiting[lane] = nil
	}
}

// Close ends the node. Leases that are held run out.
func (n *Node) Close() {
	n.StopLeasing()
	n.stop()
	n.working.Wait()
}

// wake makes the scanner look at once.
func (n *Node) wake() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// visitAt makes the scanner visit a partition then, whatever its pointer says:
// pointers have whole seconds.
func (n *Node) visitAt(partition string, at time.Time) {
	n.mu.Lock()
	if have, ok := n.due[partition]; !ok || at.Before(have) {
		n.due[partition] = at
	}
	n.mu.Unlock()
	if time.Until(at) < tick { // else it looks before, and sees when to look then
		n.wake()
	}
}

// null is JSON's.
var null = json.RawMessage("null")
