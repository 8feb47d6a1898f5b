package partition

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"jetstep/function"
	"jetstep/state"
)

// takeDebounce takes over a start that waits for its events to pause. Of two for
// one key that with the later event stays, as if both events had come here.
func (t *tx) takeDebounce(op *state.DebouncePut) state.TakeOutcome {
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
	if waiting {
		if have.TS > d.TS {
			return state.TakeOutcome{Result: state.TakenOther, Reason: "a later event waits for the same key here"}
		}
		t.refuse(have.Start.Correlations, state.InvokeDebounced)
	}
	t.do(&state.DebouncePut{Debounce: d})
	return state.TakeOutcome{}
}

// takeBatch takes over a batch. If another one collects here, or it does not
// collect any more, it waits beside.
func (t *tx) takeBatch(op *state.BatchPut, apart bool) state.TakeOutcome {
	b := op.Batch
	if problem := t.takenStart(&b.Start); problem != "" {
		return state.TakeOutcome{Result: state.TakenNot, Reason: problem}
	}
	own := apartKey(&b)
	if !apart && b.Key == (state.GateKey{}) {
		fn, _, ok := t.o.node.bus.Registry().Catalog().Executable(b.Start.FunctionID)
		if !ok || fn.EventBatch == nil {
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
	if apart || collects {
		b.Key = own
	}
	b.Start.BatchID, b.Start.ClaimFor = b.ID, 0
	b.Start.Idempotency = function.IdempotencyKey(b.Start.FunctionID, b.Start.FunctionID.String()+"-"+b.ID.String())
	for _, e := range b.Start.Events {
		b.Size += len(e)
	}
	t.do(&state.BatchPut{Batch: b})
	return state.TakeOutcome{}
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
