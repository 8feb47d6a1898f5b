package state

import "github.com/google/uuid"

// Moved is something that partitions take over from another engine's storage, or
// that is read from them to be taken over elsewhere. It is said by the fact that
// would make it.
type Moved struct {
	// Fact is a RunPut, KeyClaimed, RateCharged, CronTicked, DebouncePut or
	// BatchPut. The key of a debounce or batch may be left out if it follows from
	// the event and the function.
	Fact     Op
	Function uuid.UUID // whose it is; zero if that is not known
	// Watches are what the waits for events and signals, and the cancellations of a
	// run look out for: those with a Step are of that wait, the i-th without one is
	// of the i-th of Run.Cancels. Their ids, and Since, follow from the run. A wait for
	// a signal without one has lost it to another run: it can only time out.
	Watches []Watch
	// Apart is a batch to which no more events are added.
	Apart bool
	// Joins tells that a debounce or batch becomes one with that which is open for the
	// same key here, as if all its events had come here.
	Joins bool
}

// TakeResult says what became of something that was to be taken over.
type TakeResult uint8

// The results of taking over.
const (
	Taken      TakeResult = iota // it is here now
	TakenHad                     // it was here before; it may have gone on
	TakenEnded                   // it was here before, and has ended
	TakenOther                   // something else has its place
	TakenNot                     // it cannot be kept, see the reason
)

// TakeOutcome is a result with the reason for it, if there is one.
type TakeOutcome struct {
	Result TakeResult `json:"result,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// MarshalMoved is the form in which processes hand them to each other.
func MarshalMoved(all []Moved) []byte {
	c := coder{}
	list(&c, &all, codeMoved)
	return c.b
}

// UnmarshalMoved reads what MarshalMoved wrote.
func UnmarshalMoved(b []byte) ([]Moved, error) {
	c := coder{b: b, reading: true}
	var all []Moved
	list(&c, &all, codeMoved)
	return all, c.err
}

func codeMoved(c *coder, m *Moved) {
	c.block(func(c *coder) {
		var tag uint8
		if m.Fact != nil {
			tag = m.Fact.tag()
		}
		c.uint8(&tag)
		if c.reading {
			if m.Fact = newOp(tag); m.Fact == nil && tag != 0 {
				c.fail("unknown op %d", tag)
				return
			}
		}
		if m.Fact != nil {
			c.block(m.Fact.code)
		}
		c.uuid(&m.Function)
		list(c, &m.Watches, func(c *coder, w *Watch) { c.block(w.code) })
		c.bool(&m.Apart)
		c.bool(&m.Joins)
	})
}

// Size is about how many bytes it takes.
func (m *Moved) Size() int {
	size := 300
	switch op := m.Fact.(type) {
	case *RunPut:
		size += 80*(len(op.Run.Steps)+len(op.Run.Jobs)) + op.Run.Payload()
		for i := range op.Run.Defers {
			size += len(op.Run.Defers[i].Input)
		}
	case *DebouncePut:
		size += op.Debounce.Start.size()
	case *BatchPut:
		size += op.Batch.Start.size()
	}
	for i := range m.Watches {
		size += 200 + len(m.Watches[i].If)
	}
	return size
}

// Claim is the claim of an idempotency key, whether it has ended or not.
func (x *Index) Claim(key [16]byte) (KeyClaimed, bool) {
	e, ok := x.claims.entries[key]
	return KeyClaimed{key, e.value, e.expires}, ok
}

// Charge is what was charged of a rate limit or throttle, whether it still matters
// or not.
func (x *Index) Charge(key GateKey) (RateCharged, bool) {
	e, ok := x.rates.entries[key]
	return RateCharged{key, e.value, e.expires}, ok
}

// Kept is how many runs, claims, charges, debounces, batches and schedules there are.
func (x *Index) Kept() int {
	return x.RunCount() + len(x.claims.entries) + len(x.rates.entries) + len(x.debounces) + len(x.batches) + len(x.crons)
}
