package partition

import (
	"encoding/json"

	"jetstep/state"
)

// finish ends a run: its state goes, its waits and watches are taken back,
// its internal events are published, and whoever invoked it gets the result.
func (t *tx) finish(run *state.Run, f *state.Finish) {
	for _, e := range state.FinishEvents(run, f) {
		t.publish(t.event(e))
	}
	for _, w := range run.Waits {
		t.disarm(run, w)
	}
	for i, event := range run.Cancels {
		t.send(t.o.node.partitionOf(event), state.Message{Kind: state.MessageUnwatch, Name: state.CancelWatchID(run.ID, i)})
	}
	for i := range run.Jobs {
		t.o.dropTimer(&run.Jobs[i], t.now)
	}
	delete(t.o.checkpoints, run.ID)
	t.o.endTimeouts(run, t.now)
	correlations := run.Correlations
	t.do(&state.RunFinished{RunID: run.ID, Status: f.Status, Output: f.Output})
	for _, correlation := range correlations {
		t.answerInvoke(correlation, state.InvokeMemo(f))
	}
}

// event gives an outgoing event its ids and its time.
func (t *tx) event(e state.Outgoing) state.SentEvent {
	sent := t.newEvent(e.Name, e.Data)
	sent.User, sent.V, sent.Meta = e.User, e.V, e.Meta
	if e.ID != "" {
		sent.ID = e.ID
	}
	return sent
}

func (t *tx) newEvent(name string, data json.RawMessage) state.SentEvent {
	id := t.o.node.newID()
	return state.SentEvent{InternalID: id, ID: id.String(), Name: name, Data: data, TS: t.now}
}
