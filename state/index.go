package state

import (
	"iter"
	"maps"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Index is the state of one partition: what its log says, applied. It is not
// safe for concurrent use; its owner serialises access.
type Index struct {
	events   uint64 // consumed of EVENTS
	commands uint64 // consumed of IN_<p>
	received map[int]uint64
	outbox   map[int]*Outbox

	// A live run is in one of the two: runs that only wait are kept encoded,
	// which takes half the memory and nearly no work of the garbage collector.
	runs map[ulid.ULID]*Run
	cold map[ulid.ULID]string

	watches map[string]*Watch
	signals map[string]SignalPut
	crons   map[CronKey]int64
	claims  *expiring[ulid.ULID] // runs, by the idempotency keys they hold

	// Of the start gates; see flow.go.
	rates      *expiring[float64]
	debounces  map[GateKey]*Debounce
	batches    map[GateKey]*Batch
	singletons map[GateKey]ulid.ULID

	// placed are runs that live in other partitions than their ids name.
	placed map[ulid.ULID]int32

	size int // bytes of all runs
}

// CronKey identifies one schedule of one function.
type CronKey struct {
	FunctionID uuid.UUID
	Expr       string
}

// NewIndex is the state before the first record.
func NewIndex() *Index {
	return &Index{
		received: map[int]uint64{},
		outbox:   map[int]*Outbox{},
		runs:     map[ulid.ULID]*Run{},
		cold:     map[ulid.ULID]string{},
		watches:  map[string]*Watch{},
		signals:  map[string]SignalPut{},
		crons:    map[CronKey]int64{},
		claims:   newExpiring[ulid.ULID](),

		rates:      newExpiring[float64](),
		debounces:  map[GateKey]*Debounce{},
		batches:    map[GateKey]*Batch{},
		singletons: map[GateKey]ulid.ULID{},

		placed: map[ulid.ULID]int32{},
	}
}

// Apply adds one record's facts.
func (x *Index) Apply(r *Record) {
	for _, op := range r.Ops {
		op.apply(x, r.At)
	}
}

// ApplyOp adds one fact of a record that was decided at that time.
func (x *Index) ApplyOp(op Op, at int64) { op.apply(x, at) }

// Events is the consumed sequence of EVENTS.
func (x *Index) Events() uint64 { return x.events }

// Commands is the consumed sequence of IN_<p>.
func (x *Index) Commands() uint64 { return x.commands }

// Received is the number of the last message taken from a source.
func (x *Index) Received(source int) uint64 { return x.received[source] }

// Run finds a live run. The caller must not change it.
func (x *Index) Run(id ulid.ULID) (*Run, bool) {
	if r, ok := x.runs[id]; ok {
		return r, true
	}
	encoded, ok := x.cold[id]
	if !ok {
		return nil, false
	}
	r := thaw(encoded)
	delete(x.cold, id)
	x.runs[id] = r
	return r, true
}

// Live tells whether the run is live. It decodes nothing.
func (x *Index) Live(id ulid.ULID) bool {
	if _, ok := x.runs[id]; ok {
		return true
	}
	_, ok := x.cold[id]
	return ok
}

// View is a copy of a live run that later records do not change.
func (x *Index) View(id ulid.ULID) (*Run, bool) {
	if r, ok := x.runs[id]; ok {
		return r.view(), true
	}
	if encoded, ok := x.cold[id]; ok {
		return thaw(encoded), true
	}
	return nil, false
}

// Freeze keeps a run encoded until it is asked for. It is for runs that only
// wait; it changes nothing that can be seen.
func (x *Index) Freeze(id ulid.ULID) {
	r, ok := x.runs[id]
	if !ok {
		return
	}
	c := coder{b: make([]byte, 0, 512+r.Size)}
	r.code(&c)
	x.cold[id] = string(c.b)
	delete(x.runs, id)
}

// thaw decodes what Freeze encoded.
func thaw(encoded string) *Run {
	c := coder{b: []byte(encoded), reading: true}
	r := new(Run)
	r.code(&c)
	if c.err != nil {
		panic("state: a run in memory cannot be decoded: " + c.err.Error()) // memory is broken, or code
	}
	return r
}

// Runs are all live runs, in no order. The caller must not change them, nor
// ask the index for single runs meanwhile.
func (x *Index) Runs() iter.Seq[*Run] {
	return func(yield func(*Run) bool) {
		for _, r := range x.runs {
			if !yield(r) {
				return
			}
		}
		for _, encoded := range x.cold {
			if !yield(thaw(encoded)) {
				return
			}
		}
	}
}

// RunIDs are the ids of all live runs, in no order. Nothing is decoded for them.
func (x *Index) RunIDs() iter.Seq[ulid.ULID] {
	return func(yield func(ulid.ULID) bool) {
		for id := range x.runs {
			if !yield(id) {
				return
			}
		}
		for id := range x.cold {
			if !yield(id) {
				return
			}
		}
	}
}

// RunCount is the number of live runs.
func (x *Index) RunCount() int { return len(x.runs) + len(x.cold) }

// Size is the number of bytes of the live runs' events and memos.
func (x *Index) Size() int { return x.size }

// Watch finds a watch.
func (x *Index) Watch(id string) (*Watch, bool) {
	w, ok := x.watches[id]
	return w, ok
}

// WatchCount is the number of watches.
func (x *Index) WatchCount() int { return len(x.watches) }

// Watches are all watches, in no order.
func (x *Index) Watches() iter.Seq[*Watch] {
	return func(yield func(*Watch) bool) {
		for _, w := range x.watches {
			if !yield(w) {
				return
			}
		}
	}
}

// Signal finds the waiter for a signal.
func (x *Index) Signal(name string) (SignalPut, bool) {
	s, ok := x.signals[name]
	return s, ok
}

// Cron is up to when a schedule has fired, in milliseconds.
func (x *Index) Cron(key CronKey) (int64, bool) {
	at, ok := x.crons[key]
	return at, ok
}

// Claimed tells which run holds an idempotency key at that time.
func (x *Index) Claimed(key [16]byte, at int64) (ulid.ULID, bool) {
	return x.claims.get(key, at)
}

// Rate is the theoretical arrival time of a rate limit or throttle (see
// RateCharged); ok is false when nothing was charged that matters at that time.
func (x *Index) Rate(key GateKey, at int64) (tat float64, ok bool) { return x.rates.get(key, at) }

// Singleton is the live run that holds a singleton's key.
func (x *Index) Singleton(key GateKey) (ulid.ULID, bool) {
	run, ok := x.singletons[key]
	return run, ok
}

// Debounce finds a start that waits for its events to pause. The caller must
// not change it.
func (x *Index) Debounce(key GateKey) (*Debounce, bool) {
	d, ok := x.debounces[key]
	return d, ok
}

// Debounces are all debounces, in no order.
func (x *Index) Debounces() iter.Seq[*Debounce] { return maps.Values(x.debounces) }

// Batch finds a batch that collects events. The caller must not change it.
func (x *Index) Batch(key GateKey) (*Batch, bool) {
	b, ok := x.batches[key]
	return b, ok
}

// Batches are all batches, in no order.
func (x *Index) Batches() iter.Seq[*Batch] { return maps.Values(x.batches) }

// Outbox is what is on its way to one destination, in order.
type Outbox struct {
	Confirmed uint64 // delivered up to here
	Next      uint64 // number of the next message
	Waiting   []Sent // Confirmed < N, ascending
}

// Outbox is the outbox to a destination; nil when nothing was ever sent.
func (x *Index) Outbox(to int) *Outbox { return x.outbox[to] }

// Outboxes are all outboxes by destination, in no order.
func (x *Index) Outboxes() iter.Seq2[int, *Outbox] {
	return func(yield func(int, *Outbox) bool) {
		for to, box := range x.outbox {
			if !yield(to, box) {
				return
			}
		}
	}
}

// NextSend is the number that the next message to a destination gets.
func (x *Index) NextSend(to int) uint64 {
	if box := x.outbox[to]; box != nil {
		return box.Next
	}
	return 1
}

// EventsOf is the destination number of the part of EVENTS that belongs to a
// partition; partitions themselves are 0, 1, ….
func EventsOf(partition int) int { return 1<<16 + partition }

// IsEvents tells the destinations in EVENTS from partitions.
func IsEvents(to int) bool { return to >= 1<<16 }
