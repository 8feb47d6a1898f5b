package partition

import (
	"encoding/json"

	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// finish ends a run: its state goes, its waits and watches are taken back,
// its internal events are published, and whoever invoked it gets the result.
func (t *tx) finish(run *state.Run, f *state.Finish) { t.end(run, f, ulid.ULID{}) }

// cancel ends a run as cancelled by an event or a bulk cancellation, zero for
// neither.
func (t *tx) cancel(run *state.Run, by ulid.ULID) {
	t.end(run, &state.Finish{Status: state.Cancelled}, by)
}

func (t *tx) end(run *state.Run, f *state.Finish, cancelledBy ulid.ULID) {
	told := t.publishEnd(run, f)
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
	finished := runFinished(run, f)
	finished.CancelledBy = cancelledBy
	correlations := run.Correlations
	t.do(finished)
	if named := t.o.node.namedBy(run.ID); named != t.o.id {
		t.send(named, state.Message{Kind: state.MessageForget, RunID: run.ID})
	}
	for _, correlation := range correlations {
		t.answerInvoke(correlation, answered{memo: state.InvokeMemo(f), event: told[correlation], child: finished.RunID})
	}
}

// publishEnd publishes the events about a run's end, and returns the internal
// ids of those that answer an invoke, by correlation.
func (t *tx) publishEnd(run *state.Run, f *state.Finish) (answers map[string]ulid.ULID) {
	for _, e := range state.FinishEvents(run, t.o.node.appOf(run), f) {
		sent := t.event(e)
		t.publish(sent)
		if e.Correlation != "" {
			if answers == nil {
				answers = make(map[string]ulid.ULID, len(run.Correlations))
			}
			answers[e.Correlation] = sent.InternalID
		}
	}
	return answers
}

// runFinished is the fact that a run ends, with what the run was.
func runFinished(run *state.Run, f *state.Finish) *state.RunFinished {
	op := &state.RunFinished{
		RunID: run.ID, Status: f.Status, Output: f.Output,
		FunctionID: run.FunctionID, QueuedAt: run.QueuedAt, StartedAt: run.StartedAt, EventIDs: run.EventIDs,
		Cron: run.Cron, HasAI: run.HasAI, Original: run.Original, Idempotency: run.Idempotency,
	}
	if run.Flow != nil {
		op.BatchID = run.Flow.BatchID
	}
	return op
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
