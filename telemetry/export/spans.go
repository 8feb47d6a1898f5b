package export

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

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
	all := trace.Spans(rows)
	place := slices.IndexFunc(all, func(s trace.Span) bool { return s.ID == trace.RunID(run).Span && s.Name == trace.NameRun })
	if place < 0 {
		return nil, false
	}
	root := all[place]
	traceID, sender := contextOf(run, root.Input)
	rootID := idOf(root.ID)
	for _, found := range all {
		l := line{found}
		var span *otlp.Span
		switch l.Name {
		case trace.NameRun:
			span = l.span(root.Text("function.slug"), otlp.Span_SPAN_KIND_CONSUMER)
			span.ParentSpanId = sender
			l.tellRun(span, run)
		case trace.NameExecution:
			span = l.span("call "+root.Text("function.slug"), otlp.Span_SPAN_KIND_CLIENT)
			span.ParentSpanId = rootID
			l.tellCall(span)
		case trace.NameStep:
			span = l.span(cmp.Or(l.Text("step.name"), l.Text("step.userland.id"), "step"), otlp.Span_SPAN_KIND_INTERNAL)
			span.ParentSpanId = rootID
			l.tellStep(span)
		default:
			continue
		}
		span.TraceId = traceID
		spans = append(spans, span)
	}
	return spans, !root.Moment("ended_at").IsZero()
}

// line is a span of the history on its way to be one of OpenTelemetry.
type line struct{ trace.Span }

// span has what all have. One whose end is not known ends with its last row.
func (l *line) span(name string, kind otlp.Span_SpanKind) *otlp.Span {
	start, end := l.Moment("started_at"), l.Moment("ended_at")
	if start.IsZero() || l.Name == trace.NameRun {
		start = l.Start // a run's time in the queue is part of it
	}
	if end.IsZero() {
		end = l.End
	}
	if end.Before(start) {
		end = start
	}
	span := &otlp.Span{
		SpanId: idOf(l.ID), Name: name, Kind: kind,
		StartTimeUnixNano: uint64(start.UnixNano()), EndTimeUnixNano: uint64(end.UnixNano()),
	}
	switch status := l.Text("dynamic.status"); status {
	case "Failed", "Errored":
		span.Status = &otlp.Status{Code: otlp.Status_STATUS_CODE_ERROR, Message: errorText(l.Output)}
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
	if n, ok := l.Number(from); ok {
		span.Attributes = append(span.Attributes, number(key, n))
	}
}

func (l *line) tellRun(span *otlp.Span, run ulid.ULID) {
	l.tell(span, "jetstep.run.id", run.String())
	l.tell(span, "jetstep.function.id", l.Text("function.slug"))
	l.tell(span, "jetstep.event.name", l.Text("event.trigger.name"))
	l.tell(span, "jetstep.cron", l.Text("cron.schedule"))
	l.tell(span, "jetstep.original_run.id", l.Text("run.replay_original_run_id"))
	l.tell(span, "jetstep.skip_reason", l.Text("run.skip_reason"))
}

func (l *line) tellCall(span *otlp.Span) {
	l.tell(span, "url.full", l.Text("request.url"))
	l.tellNumber(span, "http.response.status_code", "response.status_code")
	l.tellNumber(span, "http.response.body.size", "response.output_size")
	l.tellStep(span)
}

func (l *line) tellStep(span *otlp.Span) {
	l.tell(span, "jetstep.step.id", l.Text("step.id"))
	l.tell(span, "jetstep.step.name", l.Text("step.name"))
	l.tell(span, "jetstep.step.op", l.Text("step.op"))
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
