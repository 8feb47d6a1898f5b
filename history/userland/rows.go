package userland

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"jetstep/function"
	"jetstep/history/database"
	"jetstep/history/trace"
)

// Statuses of rows (database §11.3). A span that is exported has ended.
const (
	statusCompleted = "Completed"
	statusFailed    = "Failed"
)

// executionSpan is the name of the span that an SDK makes around a call. The
// spans between it and the call, of the app's own web server, are not exported.
const executionSpan = "inngest.execution"

// Rows are the rows of spans for a message of the stream TRACES.
func Rows(message []byte) ([]database.Span, error) {
	var data otlp.TracesData
	if err := proto.Unmarshal(message, &data); err != nil {
		return nil, fmt.Errorf("spans of user code: %w", err)
	}
	var rows []database.Span
	for _, resource := range data.GetResourceSpans() {
		attributes := jsonObject(resource.GetResource().GetAttributes())
		service := value(resource.GetResource().GetAttributes(), "service.name").GetStringValue()
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				o, ok := originOf(span)
				if !ok {
					continue // Accept has rejected such
				}
				source := source{resource: attributes, service: service, scope: scope.GetScope().GetName(), version: scope.GetScope().GetVersion()}
				rows = append(rows, row(o, source, span))
			}
		}
	}
	return rows, nil
}

// source is what spans of one resource and scope have in common.
type source struct {
	resource       json.RawMessage // its attributes, as an object
	service        string
	scope, version string
}

func row(o origin, from source, span *otlp.Span) database.Span {
	id := hex.EncodeToString(span.GetSpanId())
	start, end := times(span)
	status := statusCompleted
	if span.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
		status = statusFailed
	}
	app, _ := uuid.Parse(text(span, attrApp)) // zero if unknown: nothing reads it
	return database.Span{
		SpanID: id, DynamicSpanID: id, TraceID: trace.RunID(o.run).Trace, ParentSpanID: parent(o, span),
		Name: trace.NameUserland, StartTime: start, EndTime: end, Status: status,
		AccountID: function.AccountID, EnvID: function.EnvironmentID, AppID: app, FunctionID: o.function, RunID: o.run,
		Attributes: attributes(o, app, from, span, status, id, start, end),
	}
}

// times of a span, whose end may be missing or before its start.
func times(span *otlp.Span) (start, end time.Time) {
	start = time.Unix(0, int64(span.GetStartTimeUnixNano())).UTC()
	end = time.Unix(0, int64(span.GetEndTimeUnixNano())).UTC()
	if end.Before(start) {
		end = start
	}
	return start, end
}

// parent is the step that an SDK names, for steps that it runs within one call;
// or the span around it; or the call.
func parent(o origin, span *otlp.Span) string {
	if step := text(span, attrStepParent); isHex(step, 2*spanIDSize) {
		return strings.ToLower(step)
	}
	if span.GetName() == executionSpan || !isID(span.GetParentSpanId(), spanIDSize) {
		return o.call
	}
	return hex.EncodeToString(span.GetParentSpanId())
}

const prefix = "_inngest."

// attributes are those of the span and, below the prefix, what is known of it
// (database §11.4).
func attributes(o origin, app uuid.UUID, from source, span *otlp.Span, status, id string, start, end time.Time) json.RawMessage {
	w := objectWriter{}
	w.open()
	for _, a := range span.GetAttributes() {
		if !strings.HasPrefix(a.GetKey(), prefix) {
			w.value(a.GetKey(), a.GetValue())
		}
	}
	w.text(prefix+"account.id", function.AccountID.String())
	w.text(prefix+"env.id", function.EnvironmentID.String())
	w.text(prefix+"app.id", app.String())
	w.text(prefix+"function.id", o.function.String())
	w.text(prefix+"run.id", o.run.String())
	w.text(prefix+"dynamic.span.id", id)
	w.text(prefix+"dynamic.status", status)
	w.text(prefix+"started_at", milliseconds(start))
	w.text(prefix+"ended_at", milliseconds(end))
	w.raw(prefix+"userland", "true")
	w.text(prefix+"userland.span.id", id)
	w.text(prefix+"userland.span.kind", kind(span.GetKind()))
	w.text(prefix+"userland.span.name", span.GetName())
	w.text(prefix+"userland.service.name", from.service)
	w.text(prefix+"userland.scope.name", from.scope)
	w.text(prefix+"userland.scope.version", from.version)
	w.text(prefix+"userland.resource.attributes", string(from.resource))
	stepAttributes(&w, span)
	return w.close()
}

// stepAttributes are there for spans that were made while a step ran.
func stepAttributes(w *objectWriter, span *otlp.Span) {
	hash := text(span, attrStepHash)
	if hash == "" {
		return
	}
	w.text(prefix+"step.id", hash)
	if n, ok := number(span, attrAttempt); ok {
		w.raw(prefix+"step.attempt", strconv.FormatInt(n, 10))
	}
	if id := text(span, attrStepID); id != "" {
		w.text(prefix+"step.userland.id", id)
	}
	if n, ok := number(span, attrStepIndex); ok {
		w.raw(prefix+"step.userland.index", strconv.FormatInt(n, 10))
	}
}

func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// kind is a span's kind as OpenTelemetry writes it: CLIENT, SERVER, …
func kind(k otlp.Span_SpanKind) string {
	if k == otlp.Span_SPAN_KIND_UNSPECIFIED {
		return "INTERNAL" // as OTLP says
	}
	return strings.TrimPrefix(k.String(), "SPAN_KIND_")
}
