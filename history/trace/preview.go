package trace

import (
	"slices"
	"strconv"
	"time"
)

// finalization is the name of the request in which a function ended.
const finalization = "Finalization"

// Preview is the shape that shows every span, also those of steps that ran
// inside one request (graphql §14).
func (r *Run) Preview() *Node {
	n := preview(r.root)
	n.OutputID = outputID(r.root, true) // always: it has the input too
	if n.StartedAt.IsZero() && len(n.Children) > 0 {
		n.StartedAt = n.Children[0].StartedAt
		n.measure()
	}
	shown := false
	n.Children = slices.DeleteFunc(n.Children, func(child *Node) bool {
		repeated := shown && child.Name == finalization
		shown = shown || child.Name == finalization
		return repeated
	})
	return n
}

// preview converts a span and what is below it.
func preview(s *span) *Node {
	n := newNode(s)
	n.Children = previewChildren(s)
	named := n.Name != ""
	if s.name == NameDiscovery || s.name == NameStep {
		named = becomeGroup(n, s) || named
	}
	if !named {
		n.Name = defaultName(s, len(s.children) > 0)
	}
	return n
}

// newNode is what a span says by itself; Name is empty if it has none.
func newNode(s *span) *Node {
	a := s.attrs
	op := stepOpOf(a.text(attrStepOp))
	n := &Node{
		Name: a.text(attrStepName), Status: statusOf(a.text(attrStatus)), Attempts: s.attempt(),
		QueuedAt: queuedAt(s), ScheduledAt: a.moment(attrScheduledAt), StartedAt: a.moment(attrStartedAt), EndedAt: a.moment(attrEndedAt),
		StepOp: op, StepID: a.text(attrStepID), StepInfo: stepInfoOf(s, op), StepType: stepType(a.text(attrRunType), op),
		IsRoot: s.isRoot(), SpanID: s.id, ParentID: &s.parentID, TraceID: s.traceID, GroupID: a.optional(attrGroup),
		RunID: s.first.RunID, AppID: s.first.AppID, FunctionID: s.first.FunctionID,
		DebugRunID: first(s.first.DebugRunID, a.text(attrDebugRun)), DebugSessionID: first(s.first.DebugSessionID, a.text(attrDebugSession)),
		SkipReason: a.optional(attrSkipReason), SkipExistingRun: a.optional(attrSkipExisting),
		Userland: userlandOf(s), Metadata: s.metadata, Response: responseOf(s),
	}
	if s.outputFrom != "" || s.inputFrom != "" {
		n.OutputID = outputID(s, true)
	}
	if n.Userland != nil {
		n.Name = first(n.Name, n.Userland.SpanName)
	}
	if !n.Status.Ended() {
		n.EndedAt = time.Time{}
	}
	n.measure()
	return n
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func stepType(runType string, op StepOp) string { return first(runType, string(op)) }

// measure sets the duration of what has started and ended.
func (n *Node) measure() {
	n.Duration = nil
	if n.StartedAt.IsZero() || n.EndedAt.IsZero() {
		return
	}
	d := n.EndedAt.Sub(n.StartedAt)
	n.Duration = &d
}

// previewChildren leaves out requests that have nothing to show; what was
// noted about those that succeeded goes to the next step.
func previewChildren(s *span) []*Node {
	var shown []*Node
	var carried []Metadata
	for _, child := range s.children {
		if isHidden(child) {
			carried = append(carried, notes(child)...)
			continue
		}
		n := preview(child)
		if child.name == NameStep && len(carried) > 0 {
			n.Metadata = append(slices.Clone(n.Metadata), carried...)
			sortMetadata(n.Metadata)
			carried = nil
		}
		shown = append(shown, n)
	}
	return shown
}

// notes are the metadata of a request and its attempts, unless they failed.
func notes(discovery *span) []Metadata {
	var all []Metadata
	eachSpan(discovery, func(s *span) {
		if statusOf(s.attrs.text(attrStatus)) != Failed {
			all = append(all, s.metadata...)
		}
	})
	return all
}

func isHidden(s *span) bool { return s.name == NameDiscovery && !hasVisible(s) }

// hasVisible tells whether a request did more than what other spans show.
func hasVisible(discovery *span) bool {
	return slices.ContainsFunc(discovery.children, func(s *span) bool { return !s.attrs.is(attrDrop) })
}

// becomeGroup makes a node the sum of the attempts below it, if there are any,
// and tells whether it has got a name by that.
func becomeGroup(n *Node, s *span) (named bool) {
	attempts := slices.DeleteFunc(slices.Clone(n.Children), func(child *Node) bool { return child.Userland != nil })
	if len(attempts) == 0 {
		return false
	}
	for _, child := range attempts {
		n.Attempts = max(n.Attempts, child.Attempts)
		n.OutputID = first(child.OutputID, n.OutputID)
	}
	last := attempts[len(attempts)-1]
	n.StartedAt, n.EndedAt, n.Status = attempts[0].StartedAt, last.EndedAt, last.Status
	n.StepOp, n.StepID, n.StepInfo, n.StepType = last.StepOp, last.StepID, last.StepInfo, last.StepType
	for _, child := range s.children {
		n.Name = first(n.Name, child.attrs.text(attrStepName))
	}
	if slices.ContainsFunc(s.children, func(child *span) bool { return child.attrs.is(attrFuncOutput) }) {
		n.Name, n.StepID, n.OutputID, n.StepType = finalization, "", "", "FINALIZATION"
	}
	number(attempts, n.QueuedAt)
	if len(attempts) == 1 && last.Status == Completed {
		collapse(n, last)
	}
	return n.Name != ""
}

// number names attempts; each is queued when the one before has ended.
func number(attempts []*Node, queued time.Time) {
	for i, attempt := range attempts {
		attempt.Name = "Attempt " + strconv.Itoa(i)
		attempt.QueuedAt, queued = queued, attempt.EndedAt
		if queued.IsZero() {
			queued = attempt.QueuedAt
		}
	}
}

// collapse shows a node in place of its only attempt.
func collapse(n, only *Node) {
	n.Response = only.Response
	n.Metadata = append(slices.Clone(n.Metadata), only.Metadata...)
	sortMetadata(n.Metadata)
	n.Children = append(slices.DeleteFunc(n.Children, func(child *Node) bool { return child == only }), only.Children...)
}

func defaultName(s *span, parent bool) string {
	if parent {
		switch s.name {
		case NameRun:
			return "Run"
		case NameStep:
			return "Unknown step"
		case NameDiscovery:
			return "Discovery step"
		case NameExecution:
			return "Execution"
		}
	}
	return s.name
}
