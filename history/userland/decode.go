package userland

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Decode reads the protobuf form of an OTLP ExportTraceServiceRequest.
func Decode(body []byte) ([]*otlp.ResourceSpans, error) {
	var export collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &export); err != nil {
		return nil, fmt.Errorf("not an export of spans: %w", err)
	}
	return export.GetResourceSpans(), nil
}

// DecodeJSON reads the JSON form, in which ids are hex, other than in the JSON
// of protobuf.
func DecodeJSON(body []byte) ([]*otlp.ResourceSpans, error) {
	var export collector.ExportTraceServiceRequest
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &export); err != nil {
		return nil, fmt.Errorf("not an export of spans: %w", err)
	}
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				span.TraceId = fromHex(span.GetTraceId())
				span.SpanId = fromHex(span.GetSpanId())
				span.ParentSpanId = fromHex(span.GetParentSpanId())
				for _, link := range span.GetLinks() {
					link.TraceId = fromHex(link.GetTraceId())
					link.SpanId = fromHex(link.GetSpanId())
				}
			}
		}
	}
	return export.GetResourceSpans(), nil
}

// fromHex turns an id around that was hex but has been read as base64. Hex
// digits are digits of base64, and both kinds of ids have a multiple of four of
// them, so nothing is lost on the way. It is nil for what was no hex.
func fromHex(misread []byte) []byte {
	id, err := hex.DecodeString(base64.StdEncoding.EncodeToString(misread))
	if err != nil {
		return nil
	}
	return id
}
