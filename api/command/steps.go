package command

import (
	"encoding/json"
	"fmt"

	"jetstep/function"
	"jetstep/history/trace"
	"jetstep/jcs"
	"jetstep/state"
)

// stepsOf are the steps of a run, the finished ones first and in order. Of a
// live run the engine knows them; only their names are in the trace.
func stepsOf(live *state.Run, rows []trace.Row) []trace.Step {
	told := trace.Steps(rows)
	if live == nil {
		return told
	}
	names := make(map[string]trace.Step, len(told))
	for _, step := range told {
		names[step.ID] = step
	}
	var steps []trace.Step
	for _, s := range live.Steps {
		step := names[s.ID]
		step.ID, step.Finished, step.Memo = s.ID, true, s.Memo
		if step.Memo == nil {
			step.Memo = json.RawMessage("null")
		}
		steps = append(steps, step)
		delete(names, s.ID)
	}
	for _, step := range told {
		if _, unfinished := names[step.ID]; unfinished {
			steps = append(steps, trace.Step{ID: step.ID, Name: step.Name, UserID: step.UserID})
		}
	}
	return steps
}

// findStep is the index of the step that a person means by its hashed id or by
// its name (graphql §16), which may be that of several.
func findStep(steps []trace.Step, wanted string) (int, error) {
	hashed := function.StepID(wanted, 0)
	found := -1
	for i, step := range steps {
		switch {
		case step.ID == wanted:
			return i, nil
		case step.ID != hashed && step.UserID != wanted && step.Name != wanted:
		case found >= 0:
			return 0, fmt.Errorf("%w: %s", ErrAmbiguousStep, wanted)
		default:
			found = i
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("%w: %s", ErrNoSuchStep, wanted)
	}
	return found, nil
}

// memosBefore are what a run remembers that begins at a step: the steps which
// finished before it.
func memosBefore(steps []trace.Step, from int) ([]state.Step, error) {
	var memos []state.Step
	for _, step := range steps[:from] {
		if !step.Finished {
			break
		}
		memo, err := jcs.Canonicalize(step.Memo)
		if err != nil {
			return nil, fmt.Errorf("memo of step %s: %w", step.ID, err)
		}
		memos = append(memos, state.Step{ID: step.ID, Memo: memo})
	}
	return memos, nil
}

// inputOf is the memo of a step that is to be given new arguments
// (sdk-protocol §13).
func inputOf(arguments json.RawMessage) (json.RawMessage, error) {
	memo, err := jcs.Encode(struct {
		Input json.RawMessage `json:"input"`
	}{arguments})
	if err != nil {
		return nil, err
	}
	return jcs.Canonicalize(memo)
}
