package partition

import (
	"encoding/json"
	"fmt"
	"time"

	"jetstep/bus"
	"jetstep/expr"
	"jetstep/jcs"
	"jetstep/state"
)

// How long an idempotency key excludes another run. An id given by the user
// counts for a day; a seeded one only has to outlive an SDK's retries of the
// same request.
const (
	claimExplicit = 24 * time.Hour
	claimSeeded   = time.Hour
)

// handleEvent matches one event of the partition: it starts runs, resumes
// waits and cancels runs, as one record with the event's sequence.
func (o *Owner) handleEvent(d *bus.Delivery) {
	if d.Registry > 0 {
		o.node.learn(d.Seq, d.Registry)
	}
	catalog := o.node.bus.Registry().Catalog()
	triggered := catalog.Triggered(d.Name)

	o.mu.Lock()
	defer o.mu.Unlock()
	o.writer.backpressure()
	if o.failed != nil || o.closing || d.Seq <= max(o.index.Events(), o.marks.events) {
		return
	}
	if !o.accept(d) {
		return
	}
	o.recent.add(d)
	if len(triggered) == 0 && !o.watches.any(d.Name) && d.Name != state.EventInvoked {
		o.marks.events = d.Seq
		o.told(d, 0)
		return
	}
	m, err := newMatch(d)
	if err != nil {
		// Not written by us: it is in the stream for all to see, and is no event.
		o.log.Error("event set aside: it cannot be read", "event", d.Name, "seq", d.Seq, "error", err)
		o.marks.events = d.Seq
		return
	}
	t := o.begin()
	o.marks.events = d.Seq
	matched := t.startTriggered(m, triggered)
	matched += t.wakeWatches(m)
	if d.Name == state.EventInvoked {
		matched += t.startInvoked(m, catalog)
	}
	o.told(d, matched)
	if !t.empty() {
		t.commit(nil)
	}
}

// told tells of an event that was matched.
func (o *Owner) told(d *bus.Delivery, matched int) {
	o.node.history.EventReceived(d, matched)
	if hook := o.node.observer.Matched; hook != nil {
		hook(o.node.clock().Sub(d.StoredAt))
	}
}

// accept recognises events that a partition sent twice, or whose predecessor
// has not arrived yet and will be sent again with it.
func (o *Owner) accept(d *bus.Delivery) bool {
	if d.Source == nil {
		return true
	}
	source := state.EventsOf(d.Source.From)
	if !o.inTurn(source, d.Source.N, d.Source.Next, d.Source.After) {
		o.marks.events = d.Seq
		return false
	}
	o.marks.receive(source, d.Source.N)
	return true
}

// match is an event with the forms that matching needs, each made once.
type match struct {
	*bus.Delivery
	event     *bus.Event
	canonical json.RawMessage // as SDKs see it
	fields    map[string]any  // as expressions see it
}

func newMatch(d *bus.Delivery) (*match, error) {
	event, err := d.Event()
	if err != nil {
		return nil, err
	}
	m := &match{Delivery: d, event: event}
	if m.canonical, err = jcs.Canonicalize(event.AppendJSON(nil, true)); err != nil {
		return nil, err
	}
	return m, nil
}

// variables are the event's fields for expressions, parsed on first use.
func (m *match) variables() (map[string]any, error) {
	if m.fields == nil {
		fields := map[string]any{}
		if err := json.Unmarshal(m.canonical, &fields); err != nil {
			return nil, err
		}
		m.fields = fields
	}
	return m.fields, nil
}

// startTriggered starts one run of each function with a trigger that fits.
func (t *tx) startTriggered(m *match, functions []*bus.Registered) int {
	started := 0
	for _, fn := range functions {
		fits, err := fn.TriggeredBy(m.Name, m.variables)
		if err != nil {
			t.o.log.Warn("trigger expression failed: it counts as no match",
				"function_id", fn.Slug, "event", m.Name, "event_id", m.InternalID, "error", err)
		}
		if fits {
			t.start(fn.Function, m, "")
			started++
		}
	}
	return started
}

// wakeWatches resumes the waits and cancels the runs that the event satisfies.
func (t *tx) wakeWatches(m *match) int {
	if !t.o.watches.any(m.Name) {
		return 0
	}
	fields, err := m.variables()
	if err != nil {
		t.o.log.Error("event cannot be matched", "event_id", m.InternalID, "error", err)
		return 0
	}
	watches, errs := t.o.watches.match(m.Name, fields)
	for _, err := range errs {
		t.o.log.Debug("wait expression failed: no match", "event_id", m.InternalID, "error", err)
	}
	woken := 0
	for _, w := range watches {
		if m.Seq <= w.Since {
			continue
		}
		if w.Expires > t.now {
			t.satisfy(w, m)
			woken++
		}
		t.do(&state.WatchRemoved{ID: w.ID, Event: w.Event})
	}
	return woken
}

// satisfy tells the run of a watch that its event is there.
func (t *tx) satisfy(w *state.Watch, m *match) {
	to := t.o.node.partitionOfRun(w.RunID)
	if w.Step == "" {
		t.send(to, state.Message{Kind: state.MessageCancel, RunID: w.RunID, Cause: m.InternalID})
		return
	}
	t.send(to, state.Message{Kind: state.MessageResume, RunID: w.RunID, Step: w.Step, Memo: m.canonical, Cause: m.InternalID})
}

// handleWatch arms a watch, unless an event that counts is there already.
func (t *tx) handleWatch(w *state.Watch) {
	if _, armed := t.o.index.Watch(w.ID); armed || w.Expires <= t.now && w.Step == "" {
		return
	}
	var found *match
	err := t.o.lookBack(w.Event, w.Since, func(d *bus.Delivery) bool {
		m, ok := t.satisfies(w, d)
		if ok {
			found = m
		}
		return ok
	})
	if err != nil {
		t.err = fmt.Errorf("watch of run %s: %w", w.RunID, err)
		return
	}
	if found != nil {
		t.satisfy(w, found)
		return
	}
	t.do(&state.WatchPut{Watch: *w})
}

// satisfies evaluates a watch that is not indexed yet.
func (t *tx) satisfies(w *state.Watch, d *bus.Delivery) (*match, bool) {
	m, err := newMatch(d)
	if err != nil {
		return nil, false
	}
	if w.If == "" {
		return m, true
	}
	fields, err := m.variables()
	if err != nil {
		return nil, false
	}
	ok, err := expr.EvalBool(w.If, map[string]any{"async": fields})
	if err != nil {
		t.o.log.Debug("wait expression failed: no match", "run_id", w.RunID, "error", err)
	}
	return m, ok && err == nil
}
