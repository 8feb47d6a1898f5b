package partition

import (
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/state"
)

// maxBatchBytes of events make a batch full (flow-control §12).
const maxBatchBytes = 10 << 20

// batches tells whether the start's event is to be collected with others. One
// that does not fit the condition is no part of any batch.
func (t *tx) batches(s *starting) bool {
	cfg := s.fn.EventBatch
	if cfg == nil || cfg.MaxSize <= 1 || s.Cron != "" {
		return false
	}
	fits, err := s.in.Holds(cfg.If)
	t.complain(s.fn, cfg.If, err)
	return fits
}

// collect puts the event into the batch of its key, and starts the run when
// the batch is full.
func (t *tx) collect(s *starting) {
	if t.collectedBefore(s) {
		return
	}
	cfg := s.fn.EventBatch
	key := t.gateKey(state.OfBatch, s.fn, &s.in, cfg.Key)
	if batch, ok := t.o.index.Batch(key); ok && batch.Due <= t.now {
		t.endBatch(batch) // its time was over when the event came
	}
	wait, err := cfg.Wait()
	t.complain(s.fn, cfg.Timeout, err) // registration refuses it
	t.gather(key, s.Start, cfg.MaxSize, t.now+wait.Milliseconds())
}

// gather puts an event into the batch of that key, or into a new one that is due
// then, in milliseconds, and starts the run when the batch is full.
func (t *tx) gather(key state.GateKey, s *state.Start, maxSize int, due int64) {
	if batch, ok := t.o.index.Batch(key); ok {
		t.do(appendTo(batch, s))
	} else {
		t.do(&state.BatchPut{Batch: newBatch(key, t.o.node.newID(), s, due)})
	}
	if batch, _ := t.o.index.Batch(key); full(batch, maxSize) {
		t.endBatch(batch)
	}
}

// collectedBefore tells whether the very same event was added already, which
// only happens when a request is repeated, and remembers it.
func (t *tx) collectedBefore(s *starting) bool {
	if s.ClaimFor == 0 {
		return false
	}
	key := state.CollectedKey(s.FunctionID, s.EventIDs[0])
	if _, taken := t.o.index.Claimed(key, t.now); taken {
		t.o.log.Debug("event is in a batch already", "function_id", s.fn.Slug, "event_id", s.EventIDs[0])
		return true
	}
	t.do(&state.KeyClaimed{Key: key, RunID: s.EventIDs[0], Expires: t.now + claimSeeded.Milliseconds()})
	return false
}

// newBatch is a batch of one event.
func newBatch(key state.GateKey, id ulid.ULID, s *state.Start, due int64) state.Batch {
	b := state.Batch{Key: key, ID: id, Due: due, Start: *s}
	b.Start.BatchID = id
	b.Start.Idempotency = function.IdempotencyKey(s.FunctionID, s.FunctionID.String()+"-"+id.String())
	b.Start.ClaimFor = 0 // no other batch has that id
	for _, event := range s.Events {
		b.Size += len(event)
	}
	return b
}

// appendTo says that a start's event comes after those of the batch.
func appendTo(b *state.Batch, s *state.Start) *state.BatchAppended {
	op := &state.BatchAppended{Key: b.Key, ID: b.ID, After: len(b.Start.Events), Event: s.Events[0], EventID: s.EventIDs[0]}
	if len(s.Correlations) > 0 {
		op.Correlation = s.Correlations[0]
	}
	return op
}

// full tells whether a batch waits for no more events.
func full(b *state.Batch, maxSize int) bool {
	return len(b.Start.Events) >= maxSize || b.Size >= maxBatchBytes
}

// endBatch starts one run with all events of a batch.
func (t *tx) endBatch(b *state.Batch) {
	t.do(&state.BatchRemoved{Key: b.Key})
	s := b.Start
	s.RunID = runID(t.o.id, time.UnixMilli(t.now), s.FunctionID, b.ID.String())
	t.goOn(&s)
}
