package partition

import (
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/state"
)

// starting is a start on its way through the gates of its function.
type starting struct {
	*state.Start
	fn *function.Function
	in function.Inputs // of the first event
}

// eventID is the internal id of the first event.
func (s *starting) eventID() (id ulid.ULID) {
	if len(s.EventIDs) > 0 {
		id = s.EventIDs[0]
	}
	return id
}

// handleStart takes a start through the gates (flow-control §8) and tells what
// became of it.
func (t *tx) handleStart(s *state.Start) (outcome string) { return t.pass(s, t.enter) }

// goOn takes a start on that comes out of a debounce or batch: it has passed
// the gates that events pass one by one.
func (t *tx) goOn(s *state.Start) { t.pass(s, t.createOnce) }

func (t *tx) pass(s *state.Start, through func(*starting) string) (outcome string) {
	if t.o.index.Live(s.RunID) {
		// The same start again, or one with the same key in the same millisecond.
		t.o.node.history.StartDecided(s.FunctionID, StartIdempotency)
		return StartIdempotency
	}
	catalog := t.o.node.bus.Registry().Catalog()
	outcome = StartError
	if fn, ok := catalog.Function(s.FunctionID); ok {
		outcome = through(&starting{Start: s, fn: fn.Function, in: function.Inputs{Event: s.Events[0]}})
	} else if fn, _, ok := catalog.Executable(s.FunctionID); ok {
		t.skip(s, fn, state.SkipDrained, ulid.ULID{})
		outcome = StartSkipped
	} else {
		t.o.log.Warn("function was removed before its run started",
			"function_id", s.FunctionID, "run_id", s.RunID, "event_ids", s.EventIDs)
		t.refuse(s.Correlations, state.InvokeUnknown(s.FunctionID.String()))
	}
	t.o.node.history.StartDecided(s.FunctionID, outcome)
	return outcome
}

// enter is the way of a start that an event, an invoke or a schedule asked for,
// or a person who wants a run made again.
func (t *tx) enter(s *starting) string {
	switch {
	case !s.Original.IsZero(): // made again by hand, not by an event
		return t.createOnce(s)
	case t.batches(s):
		t.collect(s)
		return StartBatched
	case t.repeated(s):
		return StartIdempotency
	case t.limited(s):
		return StartRateLimited
	case s.fn.Debounce != nil:
		t.debounce(s)
		return StartDebounced
	}
	return t.create(s)
}

// createOnce is create for a start whose key has no run yet.
func (t *tx) createOnce(s *starting) string {
	if t.repeated(s) {
		return StartIdempotency
	}
	return t.create(s)
}

// create makes the run, or records why it is skipped.
func (t *tx) create(s *starting) string {
	flow := t.flow(s)
	key, holder := t.singleton(s)
	reason := t.reasonToSkip(s, holder)
	t.claim(s.Start)
	if reason != 0 {
		t.skip(s.Start, s.fn, reason, holder)
		return StartSkipped
	}
	run := newRun(s.fn, s.Start, t.now)
	run.Flow = flow
	if cancellation, covered := t.cancelledInBulk(s); covered {
		t.createCancelled(&run, cancellation) // the singleton stays with the run that has it
		return StartSuccess
	}
	if key != nil {
		run.Flow = withSingleton(flow, key)
	}
	if old, live := t.o.index.Run(holder); live {
		t.cancel(old, s.eventID())
	} else {
		t.o.node.cancelForeign(holder, s.eventID())
	}
	t.createRun(s, run)
	return StartSuccess
}

// createRun records the run with what looks out for its end.
func (t *tx) createRun(s *starting, run state.Run) {
	var cancels []*state.Watch
	if s.BatchID == (ulid.ULID{}) {
		cancels = t.armCancels(s, &run)
	}
	t.do(&state.RunPut{Run: run})
	for _, w := range cancels {
		t.send(t.o.node.partitionOf(w.Event), state.Message{Kind: state.MessageWatch, Watch: w})
	}
	if s.fn.Timeouts != nil {
		t.o.watchTimeouts(&run)
	}
}

// repeated tells whether the start's key has a run already.
func (t *tx) repeated(s *starting) bool {
	earlier, taken := t.claimed(s.Start)
	if taken {
		t.o.log.Debug("event id was used already: no second run", "run_id", earlier, "function_id", s.fn.Slug)
	}
	return taken
}

// gateKey is the key of a function's debounce or batch for the first event's value
// of the key expression.
func (t *tx) gateKey(kind string, fn *function.Function, in *function.Inputs, expression string) state.GateKey {
	text, _, err := in.KeyText(expression)
	t.complain(fn, expression, err)
	return state.NewGateKey(kind, fn.ID, text)
}

// claimed is the run that has a start's key, here or in another queue.
func (t *tx) claimed(s *state.Start) (run ulid.ULID, taken bool) {
	if s.ClaimFor == 0 {
		return run, false
	}
	if run, taken = t.o.index.Claimed(claimKey(s.FunctionID, s.Idempotency), t.now); taken {
		return run, true
	}
	return t.o.node.foreignClaim(s)
}

// claim makes the start's key exclude another run.
func (t *tx) claim(s *state.Start) {
	if s.ClaimFor > 0 {
		t.do(&state.KeyClaimed{Key: claimKey(s.FunctionID, s.Idempotency), RunID: s.RunID, Expires: t.now + s.ClaimFor})
	}
}

// flow evaluates what flow control has to know of the run as long as it lives;
// nil when that is nothing.
func (t *tx) flow(s *starting) *state.Flow {
	fn := s.fn
	prioritised := fn.Priority != nil && fn.Priority.Run != ""
	if fn.Concurrency.IsZero() && fn.Throttle == nil && !prioritised && s.BatchID == (ulid.ULID{}) {
		return nil
	}
	flow := &state.Flow{BatchID: s.BatchID}
	if prioritised {
		factor, err := s.in.Priority(fn.Priority.Run)
		t.complain(fn, fn.Priority.Run, err)
		flow.Priority = factor
	}
	for _, key := range keyed(fn) {
		text, _, err := s.in.KeyText(key.text)
		t.complain(fn, key.text, err)
		flow.Keys = append(flow.Keys, state.FlowKey{Expr: key.hash, Value: function.Hash(text)})
	}
	return flow
}

// complain tells that an expression failed: once for as long as the registry
// does not change, since it will fail again with the next event.
func (t *tx) complain(fn *function.Function, expression string, err error) {
	if err == nil {
		return
	}
	about := fn.ID.String() + expression
	if t.o.complaints.first(t.o.node.bus.Registry().Catalog(), about) {
		t.o.log.Warn("flow control expression failed: the event counts as one without a value",
			"function_id", fn.Slug, "expression", expression, "error", err)
	}
}

// complaints remembers what was told of a catalog.
type complaints struct {
	catalog *bus.Catalog
	told    map[string]struct{}
}

func (c *complaints) first(catalog *bus.Catalog, about string) bool {
	if c.catalog != catalog {
		c.catalog, c.told = catalog, map[string]struct{}{}
	}
	_, told := c.told[about]
	c.told[about] = struct{}{}
	return !told
}
