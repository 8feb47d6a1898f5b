// Package userland owns what happens to spans that SDKs export of the user's
// own code ("extended traces"): which spans of an OTLP export are taken
// (http-api §13), how they travel through the stream TRACES, and which rows of
// the table spans they become (database §11.4).
//
// Everything here is a pure function: no stream, no database, no clock. The
// same export always leads to the same rows, so that it may be delivered or
// projected again. It must not know how spans are shown; package trace does.
package userland

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The attributes that SDKs put on spans for the server (http-api §13).
const (
	attrTraceRef   = "inngest.traceref"
	attrRun        = "sdk.run.id"
	attrFunction   = "sys.function.id"
	attrApp        = "sys.app.id"
	attrStepParent = "inngest.step.parentSpanId"
	attrStepID     = "inngest.step.id"
	attrStepIndex  = "inngest.step.index"
	attrStepHash   = "inngest.step.hash"
	attrAttempt    = "inngest.step.attempt"
)

// Accept takes the spans of an export that say which run and call they belong
// to, and packs them into messages of about messageSize bytes for the stream
// TRACES. A span that alone is larger is rejected, too.
func Accept(resources []*otlp.ResourceSpans, messageSize int) (messages [][]byte, rejected int, err error) {
	p := packer{limit: messageSize}
	for _, resource := range resources {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				if _, ok := originOf(span); !ok || !p.fits(span) {
					rejected++
					continue
				}
				if err := p.add(resource, scope, span); err != nil {
					return nil, 0, err
				}
			}
		}
	}
	if err := p.flush(); err != nil {
		return nil, 0, err
	}
	return p.messages, rejected, nil
}

// packer gathers spans with what they share until a message is full.
type packer struct {
	limit    int
	messages [][]byte

	data     otlp.TracesData
	size     int
	resource *otlp.ResourceSpans // whose copy is the last of data
	scope    *otlp.ScopeSpans    // whose copy is the last of that
}

// spanRoom is for what surrounds a span: lengths, and the resource and scope
// that come with the first one.
const spanRoom = 16

func (p *packer) fits(span *otlp.Span) bool { return proto.Size(span)+spanRoom <= p.limit }

func (p *packer) add(resource *otlp.ResourceSpans, scope *otlp.ScopeSpans, span *otlp.Span) error {
	size := proto.Size(span) + spanRoom
	if p.size > 0 && p.size+size > p.limit {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if p.resource != resource {
		p.resource, p.scope = resource, nil
		p.data.ResourceSpans = append(p.data.ResourceSpans, &otlp.ResourceSpans{Resource: resource.GetResource()})
		p.size += proto.Size(resource.GetResource()) + spanRoom
	}
	last := p.data.ResourceSpans[len(p.data.ResourceSpans)-1]
	if p.scope != scope {
		p.scope = scope
		last.ScopeSpans = append(last.ScopeSpans, &otlp.ScopeSpans{Scope: scope.GetScope()})
		p.size += proto.Size(scope.GetScope()) + spanRoom
	}
	in := last.ScopeSpans[len(last.ScopeSpans)-1]
	in.Spans = append(in.Spans, span)
	p.size += size
	return nil
}

func (p *packer) flush() error {
	if len(p.data.ResourceSpans) == 0 {
		return nil
	}
	message, err := proto.Marshal(&p.data)
	if err != nil {
		return err
	}
	p.messages = append(p.messages, message)
	p.data.ResourceSpans, p.size, p.resource, p.scope = nil, 0, nil, nil
	return nil
}

// origin is where a span belongs.
type origin struct {
	run      ulid.ULID
	function uuid.UUID
	call     string // span of the call during which it was made
}

// originOf reads an origin; not ok without a span id, a reference, a function
// or a run.
func originOf(span *otlp.Span) (o origin, ok bool) {
	if !isID(span.GetSpanId(), spanIDSize) {
		return o, false
	}
	ref := text(span, attrTraceRef)
	traceID, call, ok := parseReference(ref)
	if !ok {
		return o, false
	}
	function, err := uuid.Parse(text(span, attrFunction))
	if err != nil {
		return o, false
	}
	run, err := ulid.ParseStrict(text(span, attrRun))
	if err != nil {
		// References of this server have the run's id for a trace id.
		if run, ok = runOf(traceID); !ok {
			return o, false
		}
	}
	return origin{run: run, function: function, call: call}, true
}

// parseReference reads a query-escaped span reference, as it was handed to the
// SDK: {"tp":<traceparent of the call>,"ts":…} (database §11.5).
func parseReference(escaped string) (traceID, spanID string, ok bool) {
	raw, err := url.QueryUnescape(escaped)
	if err != nil {
		return "", "", false
	}
	var ref struct {
		Traceparent string `json:"tp"`
	}
	if err := json.Unmarshal([]byte(raw), &ref); err != nil {
		return "", "", false
	}
	parts := strings.Split(ref.Traceparent, "-")
	if len(parts) < 4 || !isHex(parts[1], 2*traceIDSize) || !isHex(parts[2], 2*spanIDSize) {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// value finds an attribute; nil if there is none of that key.
func value(attributes []*common.KeyValue, key string) *common.AnyValue {
	for _, a := range attributes {
		if a.GetKey() == key {
			return a.GetValue()
		}
	}
	return nil
}

func text(span *otlp.Span, key string) string {
	return value(span.GetAttributes(), key).GetStringValue()
}

// number reads an attribute that is a number, or its text.
func number(span *otlp.Span, key string) (n int64, ok bool) {
	switch v := value(span.GetAttributes(), key).GetValue().(type) {
	case *common.AnyValue_IntValue:
		return v.IntValue, true
	case *common.AnyValue_DoubleValue:
		return int64(v.DoubleValue), true
	case *common.AnyValue_StringValue:
		err := json.Unmarshal([]byte(v.StringValue), &n)
		return n, err == nil
	}
	return 0, false
}
