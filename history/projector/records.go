package projector

import (
	"encoding/json"

	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// payload translates one message of a log: the records that share it.
func (b *batch) payload(seq uint64, data []byte) error {
	b.seq, b.nth = seq, 0
	return state.Decode(data, func(r *state.Record) error {
		b.record(r)
		return nil
	})
}

// record translates one transition. What is not about the history of runs
// leaves no rows.
func (b *batch) record(r *state.Record) {
	b.at = r.At
	if isCarried(r) && !b.again {
		return // it repeats what earlier records said
	}
	for i, op := range r.Ops {
		switch op := op.(type) {
		case *state.RunPut:
			b.runPut(r, &op.Run)
		case *state.RunSkipped:
			b.runSkipped(r, op)
		case *state.Called:
			b.called(&call{Called: op, record: r, rest: r.Ops[i+1:], run: b.touch(op.RunID, op.FunctionID)})
		case *state.Reported:
			b.reported(r, op)
		case *state.StepEnded:
			b.stepEnded(r, op)
		case *state.RunChanged:
			b.runChanged(r, op)
		case *state.RunFinished:
			b.runFinished(r, op)
		case *state.EndpointDetached:
			b.touch(op.RunID, op.FunctionID).detached = r.At
		case *state.MetadataPut:
			b.metadataPut(op)
		}
	}
}

func isCarried(r *state.Record) bool {
	if len(r.Ops) == 0 {
		return false
	}
	_, carried := r.Ops[0].(*state.Carried)
	return carried
}

// memoIn finds what a step returned that finished by this record; ok is false
// when it had finished before, or has not.
func memoIn(ops []state.Op, run ulid.ULID, step string) (memo json.RawMessage, ok bool) {
	for _, op := range ops {
		change, is := op.(*state.RunChanged)
		if !is || change.RunID != run {
			continue
		}
		for i := range change.Steps {
			if change.Steps[i].ID == step {
				return change.Steps[i].Memo, true
			}
		}
	}
	return nil, false
}

// began tells whether a step was begun by this record: it was planned, sleeps
// or waits now. An op of an answer may have been for nothing, as when the run
// ended by the same answer.
func began(ops []state.Op, run ulid.ULID, step string) bool {
	for _, op := range ops {
		change, is := op.(*state.RunChanged)
		if !is || change.RunID != run {
			continue
		}
		for i := range change.JobsPut {
			if change.JobsPut[i].Step == step {
				return true
			}
		}
	}
	return false
}

// finishedIn finds the end of the run in the same record.
func finishedIn(ops []state.Op, run ulid.ULID) *state.RunFinished {
	for _, op := range ops {
		if f, is := op.(*state.RunFinished); is && f.RunID == run {
			return f
		}
	}
	return nil
}
