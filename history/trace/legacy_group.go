package trace

import (
	"slices"
	"strconv"
	"time"
)

// group is the node for attempts at one thing; the last decides what it is.
func (l *legacy) group(g legacyGroup) *Node {
	last := g.rows[len(g.rows)-1]
	if last.name == NameStep {
		return l.stepGroup(g, last)
	}
	n := l.row(last)
	if len(g.rows) == 1 && n.Status == Completed {
		return n
	}
	return l.attempts(g, n.StepOp == OpRun)
}

// row is the node of one request.
func (l *legacy) row(s *span) *Node {
	n := newNode(s)
	name := n.Name
	bare(n)
	n.TraceID, n.ParentID = l.root.TraceID, &l.root.SpanID
	if n.Status != Completed && n.Status != Failed {
		n.Status = Running
	}
	if s.name == NameExecution {
		n.Name = requestName(name, s, n.Status)
	}
	if info, ok := n.StepInfo.(RunInfo); ok && info.Type == nil {
		n.StepInfo = nil
	}
	n.Children = l.userland(s)
	return n
}

func requestName(step string, s *span, status Status) string {
	switch {
	case step != "":
		return step
	case status == Completed:
		return "function success"
	case status == Failed && !s.attrs.is(attrRetryable):
		return "function error"
	default:
		return "execute"
	}
}

// attempts is the group of requests that failed or are not over.
func (l *legacy) attempts(g legacyGroup, step bool) *Node {
	children := make([]*Node, len(g.rows))
	for i, s := range g.rows {
		children[i] = l.row(s)
	}
	last := children[len(children)-1]
	n := *children[0]
	n.SpanID, n.Name = "exec-"+g.id, last.Name
	if step {
		n.SpanID = "steprun-" + g.id
	}
	if len(children) > 1 && last.Name == "function error" {
		n.Name = "execute"
	}
	n.Status, n.Attempts, n.EndedAt, n.OutputID = last.Status, last.Attempts, last.EndedAt, last.OutputID
	n.StepOp, n.StepID, n.StepInfo = last.StepOp, last.StepID, last.StepInfo
	n.Children = children
	for i, child := range children {
		child.Name = "Attempt " + strconv.Itoa(i)
	}
	if last.Status == Failed {
		l.fail(&n, last, g.rows[len(g.rows)-1])
	}
	n.measure()
	return &n
}

// fail ends a group whose last attempt failed, or says that it goes on.
func (l *legacy) fail(n, last *Node, s *span) {
	if l.isFinal(s) {
		n.Attempts = last.Attempts + 1
		return
	}
	n.Status, n.Attempts, n.EndedAt, n.OutputID = Running, 0, time.Time{}, ""
	retry := l.queued("Attempt "+strconv.Itoa(last.Attempts+1), last, last.SpanID)
	retry.Attempts, retry.StepOp = last.Attempts+1, last.StepOp
	n.Children = append(n.Children, retry)
}

// isFinal tells whether a failed request will not be made again.
func (l *legacy) isFinal(s *span) bool {
	if l.root.Status.Ended() || s.attrs.text(attrStepOp) == "StepFailed" {
		return true
	}
	if s.attrs.is(attrFuncOutput) {
		return !s.attrs.is(attrRetryable)
	}
	allowed, ok := s.attrs.number(attrMaxAttempts)
	return ok && int64(s.attempt()+1) >= allowed
}

// stepGroup is a step that happens outside of requests, together with the
// attempts that failed before it was asked for.
func (l *legacy) stepGroup(g legacyGroup, s *span) *Node {
	step := l.step(s)
	if len(g.rows) == 1 {
		return step
	}
	children := make([]*Node, len(g.rows))
	for i, attempt := range g.rows[:len(g.rows)-1] {
		children[i] = l.row(attempt)
	}
	n := *step
	n.Attempts, n.SpanID = 0, children[0].SpanID
	n.QueuedAt, n.StartedAt = children[0].QueuedAt, children[0].StartedAt
	n.measure()
	child := *step
	child.Children = nil
	children[len(children)-1] = &child
	for i, attempt := range children {
		attempt.Name = "Attempt " + strconv.Itoa(i)
	}
	n.Children = children
	return &n
}

// step is the node of a sleep, wait, invocation or gateway call.
func (l *legacy) step(s *span) *Node {
	n := l.row(s)
	switch info := n.StepInfo.(type) {
	case SleepInfo:
		l.sleep(n, s, info)
	case WaitInfo:
		waiting(n)
		if info.FoundEventID == nil {
			n.OutputID = ""
		}
	case SignalInfo:
		waiting(n)
	case InvokeInfo:
		if info.TimedOut != nil && *info.TimedOut {
			info.RunID, info.ReturnEventID, n.Status = nil, nil, Failed
			n.StepInfo = info
		}
	}
	return n
}

// waiting is how a wait is called that has not ended.
func waiting(n *Node) {
	if n.Status == Running {
		n.Status, n.OutputID = Waiting, ""
	}
}

// sleep is over by the clock, even when its run was cancelled.
func (l *legacy) sleep(n *Node, s *span, info SleepInfo) {
	length := sleepOf(s)
	n.OutputID, n.Duration = "", &length
	if !l.now.Before(info.Until) {
		n.Status, n.EndedAt = Completed, info.Until
		return
	}
	n.Status, n.EndedAt = Running, time.Time{}
	child := *n
	child.Name = "Attempt 0"
	n.Children = append(slices.Clone(n.Children), &child)
}

// userland are the spans of user code of a request, or of its step. The SDK's
// own span around them is left out.
func (l *legacy) userland(s *span) []*Node {
	sources := s.children
	mirror := l.mirrors[stepKey{s.attrs.text(attrStepID), s.attempt()}]
	if s.name == NameExecution && mirror != nil {
		sources = append(slices.Clone(sources), mirror.children...)
	}
	var nodes []*Node
	for _, child := range sources {
		switch {
		case !child.isUserland():
		case child.attrs.text("userland.span.name") == "inngest.execution":
			nodes = append(nodes, l.userland(child)...)
		default:
			n := newNode(child)
			bare(n)
			n.Status, n.TraceID, n.ParentID = Completed, l.root.TraceID, &s.id
			n.Children = l.userland(child)
			nodes = append(nodes, n)
		}
	}
	return nodes
}
