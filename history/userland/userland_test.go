package userland

import (
	"encoding/json"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"jetstep/function"
	"jetstep/history/database"
	"jetstep/history/trace"
)

const (
	runText      = "01M8AFXH2MZX2KYF8QXVZKBF7M"
	functionText = "20be5504-9564-5440-b9c9-15d46067966b"
	appText      = "8f20186b-8db3-5a31-a5b1-2ce5b9f5c0de"
	callSpan     = "a1a2a3a4a5a6a7a8"
	stepHash     = "e0996a37c13d44c3b06074939d43fa3759bd32c1"
)

func reference(run ulid.ULID) string {
	const hexDigits = "0123456789abcdef"
	var id strings.Builder
	for _, b := range run {
		id.WriteByte(hexDigits[b>>4])
		id.WriteByte(hexDigits[b&15])
	}
	return url.QueryEscape(`{"tp":"00-` + id.String() + `-` + callSpan + `-01","ts":""}`)
}

// jsonExport is an export as OpenTelemetry's exporters for JavaScript write it.
func jsonExport(spans string) []byte {
	return []byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"host.cpus","value":{"intValue":4}}],"droppedAttributesCount":0},
		"scopeSpans":[{"scope":{"name":"inngest","version":"4.24.0"},"spans":[` + spans + `]}],"later":"added"}]}`)
}

func marks(more ...string) string {
	all := append([]string{
		`{"key":"inngest.traceref","value":{"stringValue":"` + reference(ulid.MustParse(runText)) + `"}}`,
		`{"key":"sys.function.id","value":{"stringValue":"` + functionText + `"}}`,
		`{"key":"sys.app.id","value":{"stringValue":"` + appText + `"}}`,
		`{"key":"sdk.run.id","value":{"stringValue":"` + runText + `"}}`,
	}, more...)
	return `"attributes":[` + strings.Join(all, ",") + `]`
}

// project takes an export through both sides of the stream.
func project(t *testing.T, resources []*otlp.ResourceSpans) (rows []database.Span, rejected int) {
	t.Helper()
	messages, rejected, err := Accept(resources, 1<<20)
	require.NoError(t, err)
	for _, m := range messages {
		more, err := Rows(m)
		require.NoError(t, err)
		rows = append(rows, more...)
	}
	return rows, rejected
}

func attributesOf(t *testing.T, row database.Span) map[string]any {
	t.Helper()
	var got map[string]any
	require.NoError(t, json.Unmarshal(row.Attributes, &got))
	return got
}

func TestRowOfASpan(t *testing.T) {
	t.Parallel()
	resources, err := DecodeJSON(jsonExport(`{"traceId":"5b8aa5a2d2c872e8321cf37308d69df2","spanId":"0102030405060708","parentSpanId":"1112131415161718",
		"name":"query","kind":3,"startTimeUnixNano":"1795648570454000000","endTimeUnixNano":"1795648570554123000","status":{"code":2,"message":"no"},` +
		marks(`{"key":"db.system","value":{"stringValue":"post\u0000gres"}}`, `{"key":"rows","value":{"intValue":"3"}}`,
			`{"key":"_inngest.run.id","value":{"stringValue":"forged"}}`, `{"key":"inngest.step.hash","value":{"stringValue":"`+stepHash+`"}}`,
			`{"key":"inngest.step.id","value":{"stringValue":"first"}}`, `{"key":"inngest.step.index","value":{"intValue":2}}`,
			`{"key":"inngest.step.attempt","value":{"doubleValue":1}}`) + `}`))
	require.NoError(t, err)
	rows, rejected := project(t, resources)
	require.Zero(t, rejected)
	require.Len(t, rows, 1)
	got := attributesOf(t, rows[0])
	rows[0].Attributes = nil
	run := ulid.MustParse(runText)
	start := time.UnixMilli(1795648570454).UTC()
	require.Equal(t, database.Span{
		SpanID: "0102030405060708", DynamicSpanID: "0102030405060708", TraceID: trace.RunID(run).Trace, ParentSpanID: "1112131415161718",
		Name: "userland", StartTime: start, EndTime: start.Add(100123 * time.Microsecond), Status: "Failed",
		AccountID: function.AccountID, EnvID: function.EnvironmentID, AppID: uuid.MustParse(appText), FunctionID: uuid.MustParse(functionText), RunID: run,
	}, rows[0])
	require.Equal(t, map[string]any{
		"inngest.traceref": reference(run), "sys.function.id": functionText, "sys.app.id": appText, "sdk.run.id": runText,
		"inngest.step.hash": stepHash, "inngest.step.id": "first", "inngest.step.index": float64(2), "inngest.step.attempt": float64(1),
		"db.system": "post\uFFFDgres", "rows": float64(3),
		"_inngest.account.id": function.AccountID.String(), "_inngest.env.id": function.EnvironmentID.String(),
		"_inngest.app.id": appText, "_inngest.function.id": functionText, "_inngest.run.id": runText,
		"_inngest.dynamic.span.id": "0102030405060708", "_inngest.dynamic.status": "Failed",
		"_inngest.started_at": "1795648570454", "_inngest.ended_at": "1795648570554",
		"_inngest.userland": true, "_inngest.userland.span.id": "0102030405060708", "_inngest.userland.span.kind": "CLIENT",
		"_inngest.userland.span.name": "query", "_inngest.userland.service.name": "shop",
		"_inngest.userland.scope.name": "inngest", "_inngest.userland.scope.version": "4.24.0",
		"_inngest.userland.resource.attributes": `{"service.name":"shop","host.cpus":4}`,
		"_inngest.step.id":                      stepHash, "_inngest.step.attempt": float64(1),
		"_inngest.step.userland.id": "first", "_inngest.step.userland.index": float64(2),
	}, got)
}

// TestForms: both forms of an export say the same.
func TestForms(t *testing.T) {
	t.Parallel()
	fromJSON, err := DecodeJSON(jsonExport(`{"traceId":"5b8aa5a2d2c872e8321cf37308d69df2","spanId":"0102030405060708","links":[{"traceId":"5b8aa5a2d2c872e8321cf37308d69df2","spanId":"0102030405060709"}],` + marks() + `}`))
	require.NoError(t, err)
	span := fromJSON[0].ScopeSpans[0].Spans[0]
	require.Equal(t, []byte{1, 2, 3, 4, 5, 6, 7, 8}, span.SpanId)
	require.Equal(t, []byte{0x5b, 0x8a, 0xa5, 0xa2, 0xd2, 0xc8, 0x72, 0xe8, 0x32, 0x1c, 0xf3, 0x73, 0x08, 0xd6, 0x9d, 0xf2}, span.Links[0].TraceId)
	packed, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: fromJSON})
	require.NoError(t, err)
	fromProtobuf, err := Decode(packed)
	require.NoError(t, err)
	one, _ := project(t, fromJSON)
	other, _ := project(t, fromProtobuf)
	require.Equal(t, one, other)

	_, err = Decode([]byte("\x0a\x09ab"))
	require.ErrorContains(t, err, "not an export of spans")
	_, err = DecodeJSON([]byte("{"))
	require.ErrorContains(t, err, "not an export of spans")
	_, err = Rows([]byte("\x0a\x09ab"))
	require.ErrorContains(t, err, "spans of user code")
}

// TestParents: where a span hangs.
func TestParents(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ span, want string }{
		"around the call":     {`"name":"inngest.execution","parentSpanId":"1112131415161718",` + marks(), callSpan},
		"of nothing":          {`"name":"a",` + marks(), callSpan},
		"of zeros":            {`"name":"a","parentSpanId":"0000000000000000",` + marks(), callSpan},
		"within another":      {`"name":"a","parentSpanId":"1112131415161718",` + marks(), "1112131415161718"},
		"of a step":           {`"name":"a","parentSpanId":"1112131415161718",` + marks(`{"key":"inngest.step.parentSpanId","value":{"stringValue":"8563BF78013724A8"}}`), "8563bf78013724a8"},
		"of a step with junk": {`"name":"a","parentSpanId":"1112131415161718",` + marks(`{"key":"inngest.step.parentSpanId","value":{"stringValue":"8563"}}`), "1112131415161718"},
	} {
		resources, err := DecodeJSON(jsonExport(`{"spanId":"0102030405060708",` + test.span + `}`))
		require.NoError(t, err, name)
		rows, _ := project(t, resources)
		require.Len(t, rows, 1, name)
		require.Equal(t, test.want, rows[0].ParentSpanID, name)
	}
	require.Equal(t, "8563bf78013724a8", trace.StepID(stepHash).Span, "what SDKs send is the id of the step's row")
}

func TestRejected(t *testing.T) {
	t.Parallel()
	ref := `{"key":"inngest.traceref","value":{"stringValue":"` + reference(ulid.MustParse(runText)) + `"}}`
	fn := `{"key":"sys.function.id","value":{"stringValue":"` + functionText + `"}}`
	broken := func(text string) string {
		return `{"key":"inngest.traceref","value":{"stringValue":"` + text + `"}},` + fn
	}
	const id = `"spanId":"0102030405060708"`
	for name, test := range map[string]struct {
		id, attributes string
		rejected       int
	}{
		"run from the reference": {id, ref + `,` + fn, 0},
		"no span id":             {`"spanId":""`, ref + `,` + fn, 1},
		"zero span id":           {`"spanId":"0000000000000000"`, ref + `,` + fn, 1},
		"span id is no hex":      {`"spanId":"zzzzzzzzzzzz"`, ref + `,` + fn, 1},
		"no function":            {id, ref, 1},
		"function is no UUID":    {id, ref + `,{"key":"sys.function.id","value":{"stringValue":"x"}}`, 1},
		"no reference":           {id, fn, 1},
		"reference not escaped":  {id, broken("%zz"), 1},
		"reference no JSON":      {id, broken("x"), 1},
		"reference without tp":   {id, broken("%7B%7D"), 1},
		"reference of nobody":    {id, broken(url.QueryEscape(`{\"tp\":\"00-5b8aa5a2d2c872e8321cf37308d69df2-a1a2a3a4a5a6a7a8-01\"}`)), 1},
	} {
		resources, err := DecodeJSON(jsonExport(`{` + test.id + `,"attributes":[` + test.attributes + `]}`))
		require.NoError(t, err, name)
		rows, rejected := project(t, resources)
		require.Equal(t, test.rejected, rejected, name)
		require.Len(t, rows, 1-test.rejected, name)
		if len(rows) > 0 {
			require.Equal(t, runText, rows[0].RunID.String())
		}
	}
}

// TestMessages: a large export is stored in pieces, each with what its spans
// have in common; a span that is too large is rejected.
func TestMessages(t *testing.T) {
	t.Parallel()
	const limit = 4000
	resources, err := DecodeJSON(jsonExport(`{"spanId":"0102030405060700",` + marks() + `}`))
	require.NoError(t, err)
	scope := resources[0].ScopeSpans[0]
	first := scope.Spans[0]
	for i := range 30 {
		next := proto.Clone(first).(*otlp.Span)
		next.SpanId[7] = byte(i + 1)
		scope.Spans = append(scope.Spans, next)
	}
	large := proto.Clone(first).(*otlp.Span)
	large.SpanId[0], large.Name = 9, strings.Repeat("x", limit)
	scope.Spans = append(scope.Spans, large)
	second := proto.Clone(resources[0]).(*otlp.ResourceSpans)
	second.ScopeSpans[0].Spans = second.ScopeSpans[0].Spans[:1]
	second.ScopeSpans[0].Spans[0].SpanId[0] = 7

	messages, rejected, err := Accept(append(resources, second), limit)
	require.NoError(t, err)
	require.Equal(t, 1, rejected)
	require.Greater(t, len(messages), 2)
	ids := map[string]bool{}
	for _, m := range messages {
		require.LessOrEqual(t, len(m), limit)
		rows, err := Rows(m)
		require.NoError(t, err)
		for _, row := range rows {
			ids[row.SpanID] = true
			require.Equal(t, "shop", attributesOf(t, row)["_inngest.userland.service.name"])
			require.Equal(t, "4.24.0", attributesOf(t, row)["_inngest.userland.scope.version"])
		}
	}
	require.Len(t, ids, 32)
}

func TestValues(t *testing.T) {
	t.Parallel()
	str := func(s string) *common.AnyValue {
		return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
	}
	float := func(f float64) *common.AnyValue {
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: f}}
	}
	deep := str("bottom")
	for range 40 {
		deep = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{deep}}}}
	}
	got := jsonObject([]*common.KeyValue{
		{Key: "s", Value: str("a\"<\x00")}, {Key: "s", Value: str("again")},
		{Key: "b", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}},
		{Key: "i", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: -1 << 63}}},
		{Key: "f", Value: float(1.5e300)}, {Key: "nan", Value: float(math.NaN())}, {Key: "inf", Value: float(math.Inf(-1))},
		{Key: "bytes", Value: &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{0, 255}}}},
		{Key: "object", Value: &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{{Key: "x", Value: str("y")}}}}}},
		{Key: "list", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{str("x"), nil, float(2)}}}}},
		{Key: "none"}, {Key: "deep", Value: deep},
	})
	depth := strings.Repeat("[", maxDepth+1) + "null" + strings.Repeat("]", maxDepth+1)
	require.JSONEq(t, `{"s":"a\"<�","b":true,"i":-9223372036854775808,"f":1.5e+300,"nan":"NaN","inf":"-Inf","bytes":"AP8=","object":{"x":"y"},"list":["x",null,2],"none":null,"deep":`+depth+`}`, string(got))
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	span := &otlp.Span{Attributes: []*common.KeyValue{
		{Key: "text", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "7"}}},
		{Key: "word", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "x"}}},
		{Key: "bool", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}},
	}}
	n, ok := number(span, "text")
	require.True(t, ok)
	require.EqualValues(t, 7, n)
	for _, key := range []string{"word", "bool", "missing"} {
		_, ok = number(span, key)
		require.False(t, ok, key)
	}
}

// TestTimes: a span without an end has none before its start.
func TestTimes(t *testing.T) {
	t.Parallel()
	start, end := times(&otlp.Span{StartTimeUnixNano: 5_000_000})
	require.Equal(t, start, end)
	require.Equal(t, "INTERNAL", kind(otlp.Span_SPAN_KIND_UNSPECIFIED))
}
