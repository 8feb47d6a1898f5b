package state

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Flow is what flow control evaluated when a run was scheduled, with its first
// event, and what the run holds until it ends (flow-control §8).
type Flow struct {
	// Priority moves the run's jobs forward in line, in seconds; a negative one
	// moves them back (flow-control §13).
	Priority int
	// Keys are the values of the function's key expressions.
	Keys []FlowKey
	// Singleton is the key that no other run may hold meanwhile; nil for none.
	Singleton *GateKey
	// Admitted tells that the run may start: its throttle is charged, and it
	// has its place among the function's runs.
	Admitted bool
	// BatchID is of the batch that the events were collected in, zero for none.
	BatchID ulid.ULID
}

// FlowKey is the value of a key expression for one run. Both are hashes of
// texts (function.Hash).
type FlowKey struct {
	Expr  string
	Value string
}

// GateKey identifies what a start gate keeps state for: a function and the
// value of a key, hashed together.
type GateKey [16]byte

// NewGateKey is the key of what a kind of gate keeps for a function and the
// texts of a key.
func NewGateKey(kind string, fn uuid.UUID, texts ...string) (key GateKey) {
	room := make([]byte, 0, 128)
	room = append(append(room, kind...), fn[:]...)
	for _, text := range texts {
		hash := sha256.Sum256([]byte(text)) // so that no two lists run together
		room = append(room, hash[:]...)
	}
	sum := sha256.Sum256(room)
	copy(key[:], sum[:])
	return key
}

func (f *Flow) code(c *coder) {
	c.int(&f.Priority)
	list(c, &f.Keys, func(c *coder, k *FlowKey) { c.string(&k.Expr); c.string(&k.Value) })
	optional(c, &f.Singleton, func(c *coder, k *GateKey) { c.fixed(k[:]) })
	c.bool(&f.Admitted)
	c.ulid(&f.BatchID)
}

// Debounce is a start that waits until its events pause (flow-control §11).
type Debounce struct {
	Key GateKey
	ID  ulid.ULID
	Due int64 // milliseconds
	// Until is when it is due at the latest, 0 for no limit, in milliseconds.
	Until int64
	// TS is the "ts" of the last event, in milliseconds: an older one does not
	// replace it.
	TS    int64
	Start Start // by the last event
}

func (d *Debounce) code(c *coder) {
	c.fixed(d.Key[:])
	c.ulid(&d.ID)
	c.int64(&d.Due)
	c.int64(&d.Until)
	c.int64(&d.TS)
	c.block(d.Start.code)
}

// Batch collects events for one run (flow-control §12).
type Batch struct {
	Key GateKey
	ID  ulid.ULID
	Due int64 // milliseconds; when it starts its run at the latest
	// Start asks for the run. Its Events, EventIDs and Correlations grow in
	// parallel; Correlations is nil while no event is of an invoke.
	Start Start
	Size  int // bytes of the events
}

func (b *Batch) code(c *coder) {
	c.fixed(b.Key[:])
	c.ulid(&b.ID)
	c.int64(&b.Due)
	c.block(b.Start.code)
	c.int(&b.Size)
}

// SkipReason says why a run was not made (flow-control §26).
type SkipReason uint8

// The reasons that occur.
const (
	SkipPaused    SkipReason = 1
	SkipSingleton SkipReason = 2
	SkipDrained   SkipReason = 3 // its app no longer has the function
)

// String is the reason's name in APIs.
func (r SkipReason) String() string {
	switch r {
	case SkipPaused:
		return "FunctionPaused"
	case SkipSingleton:
		return "Singleton"
	case SkipDrained:
		return "FunctionDrained"
	}
	return "None"
}

// RunAdmitted says that a run may start: it has passed its throttle, and has
// its place among the function's runs until it ends.
type RunAdmitted struct{ RunID ulid.ULID }

func (o *RunAdmitted) tag() uint8    { return tagRunAdmitted }
func (o *RunAdmitted) code(c *coder) { c.ulid(&o.RunID) }

func (o *RunAdmitted) apply(x *Index, _ int64) {
	r, ok := x.Run(o.RunID)
	if !ok {
		return
	}
	flow := &Flow{}
	if r.Flow != nil {
		*flow = *r.Flow // views share the old one
	}
	flow.Admitted = true
	r.Flow = flow
}

// RunSkipped says that a start made no run, and why. It is for the history:
// nothing follows from it.
type RunSkipped struct {
	RunID           ulid.ULID
	FunctionID      uuid.UUID
	FunctionVersion int
	Slug            string
	EventIDs        []ulid.ULID
	Trigger         string
	Cron            string
	Reason          SkipReason
	Existing        ulid.ULID // the run that holds the singleton, zero for other reasons
	BatchID         ulid.ULID // zero for none
	Original        ulid.ULID // the run that was to be made again, zero for none
}

func (o *RunSkipped) tag() uint8 { return tagRunSkipped }
func (o *RunSkipped) code(c *coder) {
	c.ulid(&o.RunID)
	c.uuid(&o.FunctionID)
	c.int(&o.FunctionVersion)
	c.string(&o.Slug)
	list(c, &o.EventIDs, codeULID)
	c.string(&o.Trigger)
	c.string(&o.Cron)
	c.uint8((*uint8)(&o.Reason))
	c.ulid(&o.Existing)
	c.ulid(&o.BatchID)
	c.rareULID(&o.Original)
}
func (o *RunSkipped) apply(*Index, int64) {}

// RateCharged sets the theoretical arrival time of a rate limit or throttle
// (package gcra). It is in the unit that its limit counts in; Expires is
// when it no longer matters, in milliseconds.
type RateCharged struct {
	Key     GateKey
	TAT     float64
	Expires int64
}

func (o *RateCharged) tag() uint8 { return tagRateCharged }
func (o *RateCharged) code(c *coder) {
	c.fixed(o.Key[:])
	c.float64(&o.TAT)
	c.int64(&o.Expires)
}

func (o *RateCharged) apply(x *Index, at int64) {
	x.rates.put(o.Key, o.TAT, o.Expires, at)
}

// DebouncePut begins a debounce or replaces its event.
type DebouncePut struct{ Debounce Debounce }

func (o *DebouncePut) tag() uint8    { return tagDebouncePut }
func (o *DebouncePut) code(c *coder) { o.Debounce.code(c) }

func (o *DebouncePut) apply(x *Index, _ int64) {
	d := o.Debounce
	x.debounces[d.Key] = &d
}

// DebounceRemoved ends a debounce: its run was started, or cannot be.
type DebounceRemoved struct{ Key GateKey }

func (o *DebounceRemoved) tag() uint8              { return tagDebounceRemoved }
func (o *DebounceRemoved) code(c *coder)           { c.fixed(o.Key[:]) }
func (o *DebounceRemoved) apply(x *Index, _ int64) { delete(x.debounces, o.Key) }

// BatchPut sets a whole batch: a new one, or one carried forward.
type BatchPut struct{ Batch Batch }

func (o *BatchPut) tag() uint8    { return tagBatchPut }
func (o *BatchPut) code(c *coder) { o.Batch.code(c) }

func (o *BatchPut) apply(x *Index, _ int64) {
	b := o.Batch
	b.Start.Events = b.Start.Events[:len(b.Start.Events):len(b.Start.Events)]
	b.Start.EventIDs = b.Start.EventIDs[:len(b.Start.EventIDs):len(b.Start.EventIDs)]
	b.Start.Correlations = b.Start.Correlations[:len(b.Start.Correlations):len(b.Start.Correlations)]
	x.batches[b.Key] = &b
}

// BatchAppended adds an event to a batch that is there.
type BatchAppended struct {
	Key         GateKey
	ID          ulid.ULID // of the batch
	After       int       // how many events are before it
	Event       json.RawMessage
	EventID     ulid.ULID
	Correlation string // of an invoke, else ""
}

func (o *BatchAppended) tag() uint8 { return tagBatchAppended }
func (o *BatchAppended) code(c *coder) {
	c.fixed(o.Key[:])
	c.ulid(&o.ID)
	c.int(&o.After)
	codeRaw(c, &o.Event)
	c.ulid(&o.EventID)
	c.string(&o.Correlation)
}

func (o *BatchAppended) apply(x *Index, _ int64) {
	b, ok := x.batches[o.Key]
	if !ok || b.ID != o.ID || len(b.Start.Events) != o.After {
		return
	}
	s := &b.Start
	if o.Correlation != "" || len(s.Correlations) > 0 {
		for len(s.Correlations) < len(s.Events) {
			s.Correlations = append(s.Correlations, "")
		}
		s.Correlations = append(s.Correlations, o.Correlation)
	}
	s.Events = append(s.Events, o.Event)
	s.EventIDs = append(s.EventIDs, o.EventID)
	b.Size += len(o.Event)
}

// BatchRemoved ends a batch: its run was started, or cannot be.
type BatchRemoved struct{ Key GateKey }

func (o *BatchRemoved) tag() uint8              { return tagBatchRemoved }
func (o *BatchRemoved) code(c *coder)           { c.fixed(o.Key[:]) }
func (o *BatchRemoved) apply(x *Index, _ int64) { delete(x.batches, o.Key) }
