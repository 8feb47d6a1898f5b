package trace_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
)

func TestParseOutputID(t *testing.T) {
	t.Parallel()
	ref := trace.OutputRef{SpanID: "55cf134cd01ede80", RunID: "01M8AFNA89V4FR54NKFFTV1PNK", InputID: "5d747f09a7f8059d"}
	parsed, err := trace.ParseOutputID(ref.Encode())
	require.NoError(t, err)
	require.Equal(t, ref.SpanID, parsed.SpanID)
	require.Equal(t, ref.RunID, parsed.RunID)
	require.Equal(t, ref.InputID, parsed.InputID)
	require.True(t, parsed.Preview)

	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for id, want := range map[string]string{
		"!":                                  "error parsing span identifier: illegal base64 data at input byte 0",
		encode(`nope`):                       "error parsing span identifier: invalid character",
		encode(`{"sid":"a"}`):                "traceID is required to retrieve output",
		encode(`{"tid":"a"}`):                "spanID is required to retrieve output",
		encode(`{"preview":true}`):           "span ID or input span ID is required to retrieve output",
		encode(`{"preview":true,"sid":"a"}`): "run ID is required to retrieve span output",
	} {
		_, err := trace.ParseOutputID(id)
		require.ErrorContains(t, err, want)
	}
	_, err = trace.ParseOutputID(encode(`{"tid":"a","sid":"b"}`))
	require.NoError(t, err)
}

func TestUnwrap(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	cases := map[string]struct {
		data string
		fail *trace.StepError
	}{
		`{"data":{"a":1}}`:                       {data: `{"a":1}`},
		`{"data":null}`:                          {data: `null`},
		`{"data":1,"error":null}`:                {data: `1`},
		`"{\"data\":{\"a\":1}}"`:                 {data: `{"a":1}`},
		`{"name":"e","data":{},"ts":1}`:          {data: `{"name":"e","data":{},"ts":1}`},
		`{"data":{"name":"e","data":{},"ts":1}}`: {data: `{"name":"e","data":{},"ts":1}`},
		`{"other":1}`:                            {data: `{"other":1}`},
		`"plain"`:                                {data: `"plain"`},
		`[1]`:                                    {data: `[1]`},
		`{"error":{"message":"m","name":"Error","stack":"s","cause":null}}`: {fail: &trace.StepError{Message: "m", Name: text("Error"), Stack: text("s")}},
		`{"error":{"message":"m","cause":{"a":1}}}`:                         {fail: &trace.StepError{Message: "m", Cause: json.RawMessage(`{"a":1}`)}},
		`{"error":"boom"}`:  {fail: &trace.StepError{Stack: text("boom")}},
		`{"error":{"a":1}}`: {fail: &trace.StepError{Stack: text(`{"a":1}`)}},
	}
	for column, want := range cases {
		data, failure := trace.Unwrap(json.RawMessage(column))
		require.Equal(t, want.fail, failure, column)
		require.Equal(t, want.data, string(data), column)
	}
}
