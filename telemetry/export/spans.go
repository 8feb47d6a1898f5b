package export

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"jetstep/history/trace"
)

// spansOf turns the rows of a run's trace into OpenTelemetry spans: one for the
// run, one for each attempt to call its function, and one for each step that
// was reported. Spans of user code are left out, since apps export those
// themselves; they hang where they belong, as calls are named to SDKs by the
// same ids. ended tells whether the rows show the run's end.
func spansOf(run ulid.ULID, rows []trace.Row) (spans []*otlp.Span, ended bool) {
	lines := linesOf(rows)
	root := lines[trace.RunID(run).Span]
	if root == nil || root.name != trace.NameRun {
		return nil, false
	}
	traceID, sender := contextOf(run, root.input)
	rootID := idOf(root.id)
	for _, l := range sorted(lines) {
		var span *otlp.Span
		switch l.name {
		case trace.NameRun:
			span = l.span(root.text("function.slug"), otlp.Span_SPAN_KIND_CONSUMER)
			span.ParentSpanId = sender
			l.tellRun(span, run)
		case trace.NameExecution:
			span = l.span("call "+root.text("function.slug"), otlp.Span_SPAN_KIND_CLIENT)
			span.ParentSpanId = rootID
			l.tellCall(span)
		case trace.NameStep:
			span = l.span(cmp.Or(l.text("step.name"), l.text("step.userland.id"), "step"), otlp.Span_SPAN_KIND_INTERNAL)
			span.ParentSpanId = rootID
			l.tellStep(span)
		default:
			continue
		}
		span.TraceId = traceID
		spans = append(spans, span)
	}
	return spans, !root.time("ended_at").IsZero()
}

// line is a logical span: all rows of one dynamic id (database §13.1).
type line struct {
	id         string
	name       string
	start, end time.Time // of its rows
	attributes map[string]json.RawMessage
	input      json.RawMessage
	output     json.RawMessage
}

func linesOf(rows []trace.Row) map[string]*line {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b trace.Row) int {
		return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End), strings.Compare(a.SpanID, b.SpanID))
	})
	lines := map[string]*line{}
	for i := range rows {
		r := &rows[i]
		l := lines[r.DynamicID]
		if l == nil {
			l = &line{id: r.DynamicID, start: r.Start, end: r.End, attributes: map[string]json.RawMessage{}}
			lines[r.DynamicID] = l
		}
		l.add(r)
	}
	return lines
}

func (l *line) add(r *trace.Row) {
	if r.Name != trace.NameExtension {
		l.name = r.Name
	}
	if r.Start.Before(l.start) {
		l.start = r.Start
	}
	if r.End.After(l.end) {
		l.end = r.End
	}
	if len(r.Input) > 0 {
		l.input = r.Input
	}
	if len(r.Output) > 0 {
		l.output = r.Output
	}
	raw := r.Attributes
	var inner string // JSON within a string (database §4)
	if json.Unmarshal(raw, &inner) == nil {
		raw = json.RawMessage(inner)
	}
	var attributes map[string]json.RawMessage
	if json.Unmarshal(raw, &attributes) != nil {
		return // what cannot be read is as good as absent
	}
	for key, value := range attributes {
		l.attributes[strings.TrimPrefix(key, "_inngest.")] = value
	}
}

func sorted(lines map[string]*line) []*line {
	list := make([]*line, 0, len(lines))
	for _, l := range lines {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *line) int { return cmp.Or(a.start.Compare(b.start), strings.Compare(a.id, b.id)) })
	return list
}

func (l *line) text(key string) string {
	var s string
	_ = json.Unmarshal(l.attributes[key], &s) // "" for what is no text
	return s
}

func (l *line) number(key string) (n int64, ok bool) {
	return n, json.Unmarshal(l.attributes[key], &n) == nil && l.attributes[key] != nil
}

// time of an attribute: milliseconds in text.
func (l *line) time(key string) time.Time {
	ms, err := strconv.ParseInt(l.text(key), 10, 64)
	if err != nil || ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// span has what all have. One whose end is not known ends with its last row.
func (l *line) span(name string, kind otlp.Span_SpanKind) *otlp.Span {
	start, end := l.time("started_at"), l.time("ended_at")
	if start.IsZero() || l.name == trace.NameRun {
		start = l.start // a run's time in the queue is part of it
	}
	if end.IsZero() {
		end = l.end
	}
	if end.Before(start) {
		end = start
	}
	span := &otlp.Span{
		SpanId: idOf(l.id), Name: name, Kind: kind,
		StartTimeUnixNano: uint64(start.UnixNano()), EndTimeUnixNano: uint64(end.UnixNano()),
	}
	switch status := l.text("dynamic.status"); status {
	case "Failed", "Errored":
		span.Status = &otlp.Status{Code: otlp.Status_STATUS_CODE_ERROR, Message: errorText(l.output)}
	case "Completed":
		span.Status = &otlp.Status{Code: otlp.Status_STATUS_CODE_OK}
	default:
		l.tell(span, "jetstep.status", status)
	}
	return span
}

// errorText is the message of an output that is an error.
func errorText(output json.RawMessage) string {
	var o struct {
		Error struct{ Name, Message string }
	}
	if json.Unmarshal(output, &o) != nil {
		return ""
	}
	if o.Error.Name == "" {
		return o.Error.Message
	}
	return o.Error.Name + ": " + o.Error.Message
}

func (l *line) tell(span *otlp.Span, key, value string) {
	if value != "" {
		span.Attributes = append(span.Attributes, text(key, value))
	}
}

func (l *line) tellNumber(span *otlp.Span, key, from string) {
	if n, ok := l.number(from); ok {
		span.Attributes = append(span.Attributes, number(key, n))
	}
}

func (l *line) tellRun(span *otlp.Span, run ulid.ULID) {
	l.tell(span, "jetstep.run.id", run.String())
	l.tell(span, "jetstep.function.id", l.text("function.slug"))
	l.tell(span, "jetstep.event.name", l.text("event.trigger.name"))
	l.tell(span, "jetstep.cron", l.text("cron.schedule"))
	l.tell(span, "jetstep.original_run.id", l.text("run.replay_original_run_id"))
	l.tell(span, "jetstep.skip_reason", l.text("run.skip_reason"))
}

func (l *line) tellCall(span *otlp.Span) {
	l.tell(span, "url.full", l.text("request.url"))
	l.tellNumber(span, "http.response.status_code", "response.status_code")
	l.tellNumber(span, "http.response.body.size", "response.output_size")
	l.tellStep(span)
}

func (l *line) tellStep(span *otlp.Span) {
	l.tell(span, "jetstep.step.id", l.text("step.id"))
	l.tell(span, "jetstep.step.name", l.text("step.name"))
	l.tell(span, "jetstep.step.op", l.text("step.op"))
	l.tellNumber(span, "jetstep.attempt", "step.attempt")
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: strings.ToValidUTF8(value, "\uFFFD")}}}
}

func number(key string, value int64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: value}}}
}

// idOf is a span's id in bytes; those of another size, as no writer makes them,
// are cut or filled up.
func idOf(text string) []byte {
	id := make([]byte, 8)
	b, _ := hex.DecodeString(text) // what is before the first character that is no hex
	copy(id, b)
	return id
}

// contextOf is the trace of a run: that in which its event was sent, below the
// sender's span, if the event says so; else its own, whose id is the run's.
// SDKs are told the same (executor/driver).
func contextOf(run ulid.ULID, input json.RawMessage) (traceID, parent []byte) {
	var events []struct {
		Meta struct {
			Traceparent string `json:"traceparent"`
		} `json:"meta"`
	}
	if json.Unmarshal(input, &events) != nil || len(events) == 0 {
		return run.Bytes(), nil
	}
	parts := strings.Split(events[0].Meta.Traceparent, "-")
	if len(parts) != 4 {
		return run.Bytes(), nil
	}
	traceID, err := hex.DecodeString(parts[1])
	if err != nil || len(traceID) != 16 {
		return run.Bytes(), nil
	}
	return traceID, idOf(parts[2])
}
