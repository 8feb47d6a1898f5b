package trace

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Step is a step of a run as its trace remembers it, which is what is needed to
// go on from it.
type Step struct {
	ID     string // hashed
	Name   string // as it is shown
	UserID string // as the function calls it, empty if unknown
	// Finished steps have a memo: what the SDK is given in place of their
	// result (sdk-protocol §13).
	Finished bool
	Memo     json.RawMessage
}

// KeptSteps is the attribute, of Jetstep's own, with what a run that was made
// again from a step remembers of the other one.
const KeptSteps = "jetstep.kept_steps"

// keptStep is an entry of KeptSteps.
type keptStep struct {
	ID   string          `json:"id"`
	Memo json.RawMessage `json:"memo"`
}

// MarshalKept is the value of KeptSteps, nil for no steps.
func MarshalKept(steps []Step) json.RawMessage {
	if len(steps) == 0 {
		return nil
	}
	kept := make([]keptStep, len(steps))
	for i, step := range steps {
		kept[i] = keptStep{step.ID, step.Memo}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil // memos are JSON, always
	}
	return text
}

// keptSteps reads the KeptSteps of the rows of a run.
func keptSteps(rows []Row) []keptStep {
	var kept []keptStep
	for _, row := range rows {
		if row.Name == NameRun && strings.Contains(string(row.Attributes), KeptSteps) {
			_ = json.Unmarshal(parseAttributes(row.Attributes).nested(KeptSteps), &kept) // what is no list stays unknown
		}
	}
	return kept
}

// Steps lists the steps in the order in which they finished, what the run was
// begun with first; those that did not finish come last, in the order in which
// they began. Attempts that were tried again are no steps of their own.
func Steps(rows []Row) []Step {
	byID := map[string]*progress{}
	var found []*progress
	for _, kept := range keptSteps(rows) {
		step := &progress{Step: Step{ID: kept.ID, Finished: true, Memo: kept.Memo}}
		if step.Memo == nil {
			step.Memo = json.RawMessage("null")
		}
		byID[kept.ID] = step
		found = append(found, step)
	}
	for _, s := range merge(rows) {
		id := s.attrs.text(attrStepID)
		if s.name != NameStep || id == "" {
			continue
		}
		step := byID[id]
		if step == nil {
			step = &progress{Step: Step{ID: id}}
			byID[id] = step
			found = append(found, step)
		}
		step.add(s)
	}
	slices.SortStableFunc(found, compareProgress)
	steps := make([]Step, len(found))
	for i, step := range found {
		steps[i] = step.Step
	}
	return steps
}

// progress is a step with when it finished.
type progress struct {
	Step
	ended, written time.Time
}

// compareProgress puts steps that ended in the same millisecond in the order in
// which their rows were written.
func compareProgress(a, b *progress) int {
	switch {
	case a.Finished && b.Finished:
		return cmp.Or(a.ended.Compare(b.ended), a.written.Compare(b.written))
	case a.Finished:
		return -1
	case b.Finished:
		return 1
	}
	return 0
}

// add takes over what one span says of the step: its plan, an attempt, or its
// end.
func (p *progress) add(s *span) {
	p.Name = cmp.Or(s.attrs.text(attrStepName), p.Name)
	p.UserID = cmp.Or(s.attrs.text(attrStepUserID), p.UserID)
	switch s.attrs.text(attrStatus) {
	case "Completed", "Failed", "TimedOut":
	default:
		return
	}
	last := s.rows[len(s.rows)-1]
	p.Finished = true
	p.ended, p.written = cmp.Or(s.attrs.moment(attrEndedAt), last.End), last.End
	p.Memo = json.RawMessage("null") // of sleeps, and of waits whose time was over
	for _, row := range s.rows {
		if row.Output != nil {
			p.Memo = unquote(row.Output)
		}
	}
}

// Origin is what a run was made from, as its own span says.
type Origin struct {
	Events   []json.RawMessage // its input; nil when it is not known
	Original string            // the id of the run that it repeats, empty for none
}

// OriginOf reads the origin of a run from its rows.
func OriginOf(rows []Row) Origin {
	var origin Origin
	for _, row := range rows {
		if row.Name != NameRun {
			continue
		}
		origin.Original = parseAttributes(row.Attributes).text(attrOriginal)
		// What is no list of events stays unknown.
		_ = json.Unmarshal(unquote(row.Input), &origin.Events)
	}
	return origin
}
