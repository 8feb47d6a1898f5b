package partition

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"jetstep/function"
	"jetstep/state"
)

// takeDebounce takes over a start that waits for its events to pause. Of two for
// one key that with the later event stays, as if both events had come here. If it
// joins the one here it gives way to that one's event, and waits as long.
func (t *tx) takeDebounce(op *state.DebouncePut, joins bool) state.TakeOutcome {
	d := op.Debounce
	if problem := t.takenStart(&d.Start); problem != "" {
		return state.TakeOutcome{Result: state.TakenNot, Reason: problem}
	}
	in := function.Inputs{Event: d.Start.Events[0]}
	if d.Key == (state.GateKey{}) {
		fn, _, ok := t.o.node.bus.Registry().Catalog().Executable(d.Start.FunctionID)
		if !ok || fn.Debounce == nil {
			return noGate("debounce", d.Start.FunctionID)
		}
		d.Key = t.gateKey(state.OfDebounce, fn, &in, fn.Debounce.Key)
	}
	have, waiting := t.o.index.Debounce(d.Key)
	if outcome, had := t.had(d.ID, waiting && have.ID == d.ID); had {
		return outcome
	}
	d.TS = in.TS()
	d.Start.ClaimFor = claimSeeded.Milliseconds()
	switch {
	case !waiting:
	case have.TS > d.TS && joins:
		t.refuse(d.Start.Correlations, state.InvokeDebounced)
		return state.TakeOutcome{}
	case have.TS > d.TS:
		return state.TakeOutcome{Result: state.TakenOther, Reason: "a later event waits for the same key here"}
	default:
		t.refuse(have.Start.Correlations, state.InvokeDebounced)
		if joins {
			d.Due = max(d.Due, have.Due)
		}
	}
	t.do(&state.DebouncePut{Debounce: d})
	return state.TakeOutcome{}
}

// takeBatch takes over a batch. If another one collects here, or it does not
// collect any more, it waits beside, unless it joins that one.
func (t *tx) takeBatch(op *state.BatchPut, m *state.Moved) state.TakeOutcome {
	b := op.Batch
	if problem := t.takenStart(&b.Start); problem != "" {
		return state.TakeOutcome{Result: state.TakenNot, Reason: problem}
	}
	own := apartKey(&b)
	fn, _, known := t.o.node.bus.Registry().Catalog().Executable(b.Start.FunctionID)
	if known = known && fn.EventBatch != nil; !m.Apart && b.Key == (state.GateKey{}) {
		if !known {
			return noGate("batch", b.Start.FunctionID)
		}
		in := function.Inputs{Event: b.Start.Events[0]}
		b.Key = t.gateKey(state.OfBatch, fn, &in, fn.EventBatch.Key)
	}
	have, collects := t.o.index.Batch(b.Key)
	_, beside := t.o.index.Batch(own)
	if outcome, had := t.had(b.ID, collects && have.ID == b.ID || beside); had {
		return outcome
	}
	b.Start.BatchID, b.Start.ClaimFor = b.ID, 0
	b.Start.Idempotency = function.IdempotencyKey(b.Start.FunctionID, b.Start.FunctionID.String()+"-"+b.ID.String())
	for _, e := range b.Start.Events {
		b.Size += len(e)
	}
	if collects && m.Joins && known {
		t.joinBatch(have, &b, fn.EventBatch.MaxSize)
		return state.TakeOutcome{}
	}
	if m.Apart || collects {
		b.Key = own
	}
	t.do(&state.BatchPut{Batch: b})
	return state.TakeOutcome{}
}

// joinBatch puts a batch in the place of the one that collects, whose events follow
// its own. What is due first starts both.
func (t *tx) joinBatch(have, first *state.Batch, maxSize int) {
	later, due := have.Start, have.Due
	t.do(&state.BatchRemoved{Key: have.Key})
	first.Due = min(first.Due, due)
	t.do(&state.BatchPut{Batch: *first})
	if full(first, maxSize) {
		t.endBatch(first)
	}
	for i := range later.Events {
		s := later
		s.Events, s.EventIDs = later.Events[i:i+1:i+1], later.EventIDs[i:i+1:i+1]
		if s.Correlations = nil; len(later.Correlations) > i {
			s.Correlations = later.Correlations[i : i+1 : i+1]
		}
		t.gather(first.Key, &s, maxSize, due)
	}
}

// apartKey is the key of a batch that waits beside the one that collects.
func apartKey(b *state.Batch) state.GateKey {
	return state.NewGateKey(state.OfBatch, b.Start.FunctionID, "apart", b.ID.String())
}

func noGate(kind string, fn uuid.UUID) state.TakeOutcome {
	return state.TakeOutcome{Result: state.TakenNot, Reason: fmt.Sprintf("function %s is not registered with a %s", fn, kind)}
}

// takenStart completes a start, or says why no run can be made of it.
func (t *tx) takenStart(s *state.Start) (problem string) {
	if len(s.Events) == 0 || len(s.EventIDs) != len(s.Events) {
		return "a start needs events, and an id of each"
	}
	s.Mark = t.o.node.bus.LastEvent() // events before do not cancel its run
	for i, event := range s.Events {
		var about struct {
			Name string     `json:"name"`
			Data invocation `json:"data"`
		}
		_ = json.Unmarshal(event, &about) // data may be anything
		if i == 0 && s.Trigger == "" {
			s.Trigger = about.Name
		}
		if correlation := about.Data.Inngest.CorrelationID; correlation != "" {
			if s.Correlations == nil {
				s.Correlations = make([]string, len(s.Events))
			}
			s.Correlations[i] = correlation
		}
	}
	return ""
}
