package migrate

import (
	"encoding/json"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// Kind is what an item is.
type Kind string

// The kinds of items, in the order in which summaries have them.
const (
	KindRun       Kind = "run"                // a live run with all that belongs to it
	KindClaim     Kind = "idempotency key"    // which run a key started
	KindBatch     Kind = "batch"              // a batch that collects, or that is due
	KindBatched   Kind = "batched event"      // an event that was added to a batch already
	KindDebounce  Kind = "debounce"           // a start that waits for its events to pause
	KindRate      Kind = "rate"               // state of a rate limit or throttle
	KindSemaphore Kind = "semaphore"          // what runs hold of a limit on runs
	KindCron      Kind = "schedule"           // the next tick of a schedule
	KindBad       Kind = "cannot be read"     // reported; never written
	KindTransient Kind = "ends by itself"     // leases, answers that are kept for seconds: counted only
	KindDerived   Kind = "derived"            // indexes of what is in other items: counted only
	KindForeign   Kind = "of another program" // keys that are none of the original's: counted only
)

// Kinds are all kinds in order.
var Kinds = []Kind{
	KindRun, KindClaim, KindBatch, KindBatched, KindDebounce, KindRate, KindSemaphore, KindCron,
	KindBad, KindTransient, KindDerived, KindForeign,
}

// Moves tells whether items of the kind are copied.
func (k Kind) Moves() bool {
	switch k {
	case KindBad, KindTransient, KindDerived, KindForeign:
		return false
	}
	return true
}

// ID names an item: the same on both sides.
type ID struct {
	Kind Kind
	// Key is made by the methods Item of what items hold; of a kind that does not
	// move it is the name of the key or record.
	Key string
}

// Item is one thing to be moved. The field of its kind is set.
type Item struct {
	ID
	Run       *Run
	Claim     *Claim
	Batch     *Batch
	Batched   *Batched
	Debounce  *Debounce
	Rate      *Rate
	Semaphore *Semaphore
	Cron      *Cron
	Bad       *Bad
	// Count is how many things the item stands for when it is only counted; 0 is 1.
	Count int
}

// Run is a live run. What state.Run has is authoritative where both say it.
type Run struct {
	// State is the run as an executor loads it. Of Flow it has the priority,
	// the hashes of those keys that it is known under, Admitted and BatchID; the
	// singleton is below. Waits, Cancels and Defers are in the order of their
	// step, event and id; Jobs in the order of their ids. A job that was being
	// executed is due when it was. Size may be 0.
	State state.Run
	AppID uuid.UUID
	// Waits and Cancels say more about State.Waits and State.Cancels, in parallel.
	Waits   []Wait
	Cancels []Wait
	// Limits are what jobs wait for, besides what the function's configuration
	// says: those of the moment at which the run was scheduled.
	Keys       []Key
	Throttle   *Throttle
	Semaphores []Held
	// Singleton is the run's singleton key: its function's id, with "-" and the
	// hash of the key's value if it has one (function.FunctionValueKey); "" for none.
	Singleton string
	// Timeouts are when the run is cancelled, if its function's configuration
	// still says so then.
	Timeouts []Timeout
	// Raw is what the side that read the run keeps besides. A target of the same
	// form writes it back; others, and comparisons, ignore it.
	Raw any
}

// Wait is what ends a wait, or cancels a run.
type Wait struct {
	// If is the interpolated expression over async; "" is any event. Only of
	// waits for events, and of cancels.
	If      string
	Expires int64 // milliseconds; of a wait: when its timeout is due
	// Ignored is the internal id of an event that does not count: the one that
	// started the run, or that an invoke sent. Zero for none.
	Ignored ulid.ULID
	// CreatedAt is since when events count, in milliseconds; 0 is not known.
	CreatedAt int64
	// Displaced tells that the signal is another run's by now: the wait can only
	// time out.
	Displaced bool
}

// Key is the value of the key of a step limit.
type Key struct {
	Scope  string // "f", "e" or "a": function, environment, account
	Scoped uuid.UUID
	Expr   string // hash of the expression (function.ExpressionHash)
	Value  string // hash of the value's text (function.Hash)
	Limit  int
}

// Throttle is what a run's start is throttled by.
type Throttle struct {
	Expr   string // hash of the expression, "" for none
	Value  string // hash of the value's text, "" without an expression
	Limit  int
	Burst  int
	Period int // seconds
}

// Held is what a run takes of a limit on runs.
type Held struct {
	ID     string // function.RunSemaphore
	Value  string // hash of the value's text, "" without an expression
	Weight int
	Manual bool // until the run ends; otherwise for a call
}

// Timeout is when a run must have started, or ended.
type Timeout struct {
	Finish bool // otherwise: started
	At     int64
}

// Claim says which run an idempotency key has started.
type Claim struct {
	Key   string    // function.IdempotencyKey
	RunID ulid.ULID // zero for an ended run that is not known
	Ended bool
	Until int64 // milliseconds; when it counts no more
}

// Batch is events that one run will get.
type Batch struct {
	ID         ulid.ULID
	FunctionID uuid.UUID
	Version    int // of the function
	AppID      uuid.UUID
	// KeyHash is of the value of the batch's key (function.BatchKeyHash), "" for none.
	KeyHash string
	// Collects tells whether further events are added to it.
	Collects bool
	// Events are canonical with "user", as in state.Run, with their internal ids.
	Events   []json.RawMessage
	EventIDs []ulid.ULID
	Due      int64 // milliseconds
}

// Batched keeps an event from being added to a batch again.
type Batched struct {
	FunctionID uuid.UUID
	EventID    ulid.ULID
	Until      int64 // milliseconds
}

// Debounce is a start that waits until its events pause.
type Debounce struct {
	ID         ulid.ULID
	FunctionID uuid.UUID
	Version    int // of the function
	AppID      uuid.UUID
	// Text is the value of the debounce's key; nil when it is not known any more.
	// Without an expression it is "".
	Text    *string
	Event   json.RawMessage // canonical with "user", as in state.Run
	EventID ulid.ULID
	Due     int64 // milliseconds
	// Latest is when it starts at the latest, in milliseconds; 0 is not limited.
	Latest int64
	// Until is until when events are added to it, in milliseconds; Due if 0.
	Until int64
}

// Rate is what was charged of a rate limit or of a throttle.
type Rate struct {
	Throttle   bool // otherwise a rate limit
	FunctionID uuid.UUID
	Expr       string // hash of the expression, "" for none
	Value      string // hash of the value's text, "" without an expression
	// TAT is the theoretical arrival time: in milliseconds of a throttle, in
	// nanoseconds of a rate limit (package gcra).
	TAT   float64
	Until int64 // milliseconds; when it counts no more
}

// Semaphore is how much of a limit on runs is taken. Where that follows from the
// runs it is not kept by itself.
type Semaphore struct {
	ID       string // function.RunSemaphore
	Value    string // hash of the value's text, "" without an expression
	Used     int
	Capacity int // -1 when it is not known
}

// Cron is a schedule of a function.
type Cron struct {
	FunctionID uuid.UUID
	Version    int // of the function
	AppID      uuid.UUID
	Expr       string
	Next       int64 // milliseconds; the next tick
}

// Bad is something that cannot be read.
type Bad struct {
	Key    string // where it stands
	Member string // in it, "" for the whole
	Reason string
	Value  string // as it is
}
