package runstream

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/cespare/xxhash/v2"

	"jetstep/history/trace"
)

// Events of a stream.
const (
	eventSnapshot = "snapshot" // {"run":…,"spans":[…]}: replaces all
	eventRun      = "run"      // the run, as GET /v1/runs/{run} shows it
	eventSpan     = "span"     // a span that is new or has changed
	eventEnd      = "end"      // the run: nothing more will come
)

// change is one event of a stream.
type change struct {
	ID    string          `json:"id,omitempty"` // of the view that is complete with it
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// span is a line of a run's trace, in the shape that shows every span.
type span struct {
	ID        string     `json:"id"`
	ParentID  string     `json:"parent_id,omitempty"`
	Name      string     `json:"name"`
	Status    string     `json:"status"`
	StepID    string     `json:"step_id,omitempty"`
	StepOp    string     `json:"step_op,omitempty"`
	StepType  string     `json:"step_type,omitempty"`
	Attempts  int        `json:"attempts,omitempty"`
	Userland  bool       `json:"userland,omitempty"` // of user code
	QueuedAt  *time.Time `json:"queued_at,omitempty"`
	StartedAt *time.Time `json:"started_at,omitempty"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
}

// shownSpan is a span as it is sent.
type shownSpan struct {
	id   string
	json json.RawMessage
}

// spansOf lists the spans of a trace, parents first, and tells whether the
// trace shows the run's end. A trace without a root has none yet.
func spansOf(rows []trace.Row) (spans []shownSpan, ended bool) {
	assembled, err := trace.Assemble(rows)
	if err != nil {
		return nil, false
	}
	root := assembled.Preview()
	return appendSpans(nil, root, ""), root.Status.Ended()
}

func appendSpans(spans []shownSpan, n *trace.Node, parent string) []shownSpan {
	text, err := json.Marshal(span{
		ID: n.SpanID, ParentID: parent, Name: n.Name, Status: string(n.Status), StepID: n.StepID, StepOp: string(n.StepOp),
		StepType: n.StepType, Attempts: n.Attempts, Userland: n.Userland != nil,
		QueuedAt: moment(n.QueuedAt), StartedAt: moment(n.StartedAt), EndedAt: moment(n.EndedAt),
	})
	if err != nil {
		return spans // a time beyond the year 9999: nothing to show
	}
	spans = append(spans, shownSpan{n.SpanID, text})
	for _, child := range n.Children {
		spans = appendSpans(spans, child, n.SpanID)
	}
	return spans
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// view is all that a stream shows of a run at one moment.
type view struct {
	run    json.RawMessage // nil before the first look
	ended  bool
	spans  []shownSpan
	traced bool // the trace shows the end
}

// changes lead from a view to another one. The whole is sent for the first, and
// when spans have gone, as several attempts of a step become one.
func (v *view) changes(next *view) []change {
	had := make(map[string]json.RawMessage, len(v.spans))
	for _, s := range v.spans {
		had[s.id] = s.json
	}
	var changes []change
	if !bytes.Equal(v.run, next.run) {
		changes = append(changes, change{Event: eventRun, Data: next.run})
	}
	kept := 0
	for _, s := range next.spans {
		before, known := had[s.id]
		if known {
			kept++
		}
		if !bytes.Equal(before, s.json) {
			changes = append(changes, change{Event: eventSpan, Data: s.json})
		}
	}
	if v.run == nil || kept < len(had) {
		return []change{{Event: eventSnapshot, Data: next.snapshot()}}
	}
	return changes
}

func (v *view) snapshot() json.RawMessage {
	b := append([]byte(`{"run":`), v.run...)
	b = append(b, `,"spans":[`...)
	for i, s := range v.spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.json...)
	}
	return append(b, `]}`...)
}

// digest tells views apart. Any process gives the same to the same view, so
// that a client may come back to another one.
func (v *view) digest() string {
	d := xxhash.New()
	_, _ = d.Write(v.run) // never fails
	for _, s := range v.spans {
		_, _ = d.Write(s.json)
	}
	return hex.EncodeToString(d.Sum(nil))
}

// identified gives the last of changes the id of the view that they lead to: a
// client that got only some of them has no such view.
func identified(changes []change, id string) []change {
	if len(changes) > 0 {
		changes[len(changes)-1].ID = id
	}
	return changes
}
