package trace

import (
	"cmp"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// queuedID is the span id of a node for what has not begun.
const queuedID = "queued"

// legacy builds the older shape of a run.
type legacy struct {
	root    *Node
	now     time.Time
	mirrors map[stepKey]*span // the spans of steps that ran in a request
}

type stepKey struct {
	id      string
	attempt int
}

// Legacy is the older shape (graphql §13): one node for each request and for
// each step that takes time by itself. Steps that were reported within a
// request are not shown. The original builds it from the table traces; this is
// the same view of the table spans, with trace as its trace id. A sleep is over
// when now says so.
func (r *Run) Legacy(trace string, now time.Time) *Node {
	l := &legacy{root: legacyRoot(r.root, trace), now: now, mirrors: map[stepKey]*span{}}
	for _, s := range r.root.children {
		if s.name == NameStep {
			l.mirrors[stepKey{s.attrs.text(attrStepID), s.attempt()}] = s
		}
	}
	for _, group := range legacyGroups(r.root) {
		l.root.Children = append(l.root.Children, l.group(group))
	}
	l.close()
	return l.root
}

func legacyRoot(s *span, trace string) *Node {
	n := newNode(s)
	n.Name, n.TraceID = s.attrs.text(attrSlug), trace
	if id, err := ulid.Parse(n.RunID); err == nil {
		n.QueuedAt = id.Timestamp().UTC()
	}
	if !n.Status.Ended() {
		n.Status = Running
	}
	bare(n)
	n.ParentID, n.OutputID, n.StepOp, n.StepID, n.StepInfo, n.Attempts = nil, "", "", "", nil, 0
	return n
}

// bare takes away what the older shape never shows.
func bare(n *Node) {
	n.StepType, n.ScheduledAt, n.GroupID, n.Metadata, n.Response = "", time.Time{}, nil, nil, nil
	n.SkipReason, n.SkipExistingRun, n.DebugRunID, n.DebugSessionID = nil, nil, "", ""
}

// close gives the root what follows from its children.
func (l *legacy) close() {
	children := l.root.Children
	if len(children) == 0 {
		return
	}
	last := children[len(children)-1]
	switch {
	case l.root.Status.Ended():
		l.root.OutputID = last.OutputID
	case last.Status.Ended():
		l.root.Children = append(children, l.queued("Queued step", last, l.root.SpanID))
	}
}

// queued is a node for what comes after another one has ended.
func (l *legacy) queued(name string, after *Node, parent string) *Node {
	return &Node{
		Name: name, Status: Queued, Duration: new(time.Duration), QueuedAt: after.EndedAt, SpanID: queuedID, ParentID: &parent,
		TraceID: l.root.TraceID, RunID: after.RunID, AppID: after.AppID, FunctionID: after.FunctionID,
	}
}

// legacyGroup are the requests with one group id, which are attempts at the
// same thing, and the step that the last of them asked for.
type legacyGroup struct {
	id   string
	rows []*span
}

// legacyGroups finds the spans that the older shape shows, earliest first.
func legacyGroups(root *span) []legacyGroup {
	rows, shared := legacyRows(root)
	var groups []legacyGroup
	place := map[string]int{}
	for _, s := range rows {
		key := groupOf(s)
		if s.name == NameStep && shared[key] > 1 {
			key = s.id // reported together, but not attempts of each other
		}
		at, known := place[key]
		if !known {
			at = len(groups)
			place[key] = at
			groups = append(groups, legacyGroup{id: key})
		}
		groups[at].rows = append(groups[at].rows, s)
	}
	return groups
}

// legacyRows also counts how many steps have each group id.
func legacyRows(root *span) (rows []*span, steps map[string]int) {
	steps = map[string]int{}
	for _, s := range root.children {
		switch {
		case s.name == NameDiscovery:
			for _, request := range s.children {
				if request.name == NameExecution && showsRequest(request) {
					rows = append(rows, request)
				}
			}
		case s.name == NameStep && takesTime(stepOpOf(s.attrs.text(attrStepOp))):
			rows = append(rows, s)
			steps[groupOf(s)]++
		}
	}
	slices.SortStableFunc(rows, func(a, b *span) int {
		return cmp.Compare(a.start.UnixMilli(), b.start.UnixMilli())
	})
	return rows, steps
}

// groupOf is the group id that a span began with; its end may have been noted by
// a request of another group.
func groupOf(s *span) string {
	for _, row := range s.rows {
		if group := parseAttributes(row.Attributes).text(attrGroup); group != "" {
			return group
		}
	}
	return s.id
}

// showsRequest tells whether a request is more than the announcement of steps.
func showsRequest(s *span) bool {
	return !s.attrs.is(attrDrop) || s.attrs.is(attrFuncOutput) || s.attrs.text(attrStepOp) == "StepFailed"
}

// takesTime tells whether steps of that kind happen outside of requests.
func takesTime(op StepOp) bool { return op != "" && op != OpRun }
