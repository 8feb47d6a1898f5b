package partition

import (
	"jetstep/state"
)

// tx is one record in the making: decisions read the index, and do applies
// each fact to it at once, so that what follows in the same record sees it.
type tx struct {
	o   *Owner
	now int64 // milliseconds since 1970
	ops []state.Op
	// err is an I/O error met while deciding: the record must not be written,
	// and since it is applied already the owner has to load again.
	err error
	// concluded is the job that an executor is done with.
	concluded jobRef
}

// begin starts a record. mu is held until it is committed.
func (o *Owner) begin() *tx { return &tx{o: o, now: o.node.now()} }

// do adds a fact.
func (t *tx) do(op state.Op) {
	t.leaveGate(op)
	t.o.index.ApplyOp(op, t.now)
	t.ops = append(t.ops, op)
	t.o.followDeadlines(op)
	t.o.followHomes(op)
	switch op := op.(type) {
	case *state.RunChanged:
		if op.StartedAt != 0 {
			t.o.startedTimeouts(op.RunID)
		}
	case *state.WatchPut:
		if err := t.o.watches.add(&op.Watch); err != nil {
			t.o.log.Error("watch holds an unusable expression", "run_id", op.Watch.RunID, "error", err)
		}
	case *state.WatchRemoved:
		t.o.watches.remove(op.Event, op.ID)
	}
}

// send gives a message to a partition: to this one at once, to another one
// through the outbox.
func (t *tx) send(to int, m state.Message) {
	if to == t.o.id {
		t.handle(&m)
		return
	}
	t.do(&state.Sent{To: to, N: t.o.nextSend(to), Message: m})
}

// publish sends an event to EVENTS through the outbox.
func (t *tx) publish(e state.SentEvent) {
	e.Fit(t.o.node.eventLimit)
	to := state.EventsOf(t.o.node.partitionOf(e.Name))
	t.do(&state.Sent{To: to, N: t.o.nextSend(to), Message: state.Message{Kind: state.MessageEvent, Event: &e}})
}

// empty tells whether nothing was decided.
func (t *tx) empty() bool { return len(t.ops) == 0 && t.err == nil }

// commit appends the record, with the marks of what was consumed since the
// last one. done is called once it is durable or the owner failed.
func (t *tx) commit(done func(error)) {
	if t.err != nil {
		go t.o.fail(t.err)
		if done != nil {
			done(t.err)
		}
		return
	}
	if marks := t.o.marks.take(); len(marks) > 0 {
		for _, op := range marks {
			t.o.index.ApplyOp(op, t.now)
		}
		t.ops = append(marks, t.ops...)
	}
	t.o.writer.append(&state.Record{At: t.now, Ops: t.ops}, t.concluded, done)
}

// take turns the pending marks into ops and clears them.
func (m *pendingMarks) take() []state.Op {
	var ops []state.Op
	if m.reset != nil {
		ops = append(ops, m.reset)
	}
	if m.events > 0 || m.commands > 0 || len(m.received) > 0 {
		marks := &state.Marks{Events: m.events, Commands: m.commands}
		for source, n := range m.received {
			marks.Received = append(marks.Received, state.Mark{Source: source, N: n})
		}
		ops = append(ops, marks)
	}
	for to, n := range m.confirmed {
		ops = append(ops, &state.Confirmed{To: to, N: n})
	}
	*m = pendingMarks{}
	return ops
}

// received notes that message n of a source was taken; the next record says so.
func (m *pendingMarks) receive(source int, n uint64) {
	if m.received == nil {
		m.received = map[int]uint64{}
	}
	m.received[source] = max(m.received[source], n)
}

// confirm notes that messages to a destination were delivered up to n.
func (m *pendingMarks) confirm(to int, n uint64) {
	if m.confirmed == nil {
		m.confirmed = map[int]uint64{}
	}
	m.confirmed[to] = max(m.confirmed[to], n)
}
