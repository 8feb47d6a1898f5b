package driver

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
)

// fromSDK builds an answer; headers are name, value, name, value, ….
func fromSDK(status int, body string, headers ...string) Answer {
	return answerWith(status, body, append([]string{headerSDK, "inngest-js:v4.24.0"}, headers...)...)
}

func answerWith(status int, body string, headers ...string) Answer {
	header := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return Answer{Status: status, Header: header, Body: []byte(body)}
}

func TestClassifySteps(t *testing.T) {
	t.Parallel()
	r := Classify(fromSDK(206, smallAnswer, headerVersion, "2"), noon)
	require.Equal(t, KindSteps, r.Kind)
	require.Equal(t, "steps", r.Kind.String())
	require.Equal(t, 206, r.Status)
	require.Equal(t, OpStepRun, r.Ops[0].Op)
	require.True(t, r.HasVersion)
	require.Equal(t, 2, r.Version)
	require.Equal(t, "inngest-js:v4.24.0", r.SDK)
	require.False(t, r.NoRetry)
	require.Zero(t, r.RetryAt)
	require.False(t, r.Idle())

	r = Classify(fromSDK(206, `[{"op":"StepFailed","id":"a","error":{}}]`, headerNoRetry, "true", headerRetryAfter, "3"), noon)
	require.Equal(t, KindSteps, r.Kind)
	require.True(t, r.NoRetry)
	require.Equal(t, noon.Add(3*time.Second), r.RetryAt)
	require.False(t, r.HasVersion)

	for _, body := range []string{`[]`, `[{"op":"None"}]`, `{}`} {
		require.True(t, Classify(fromSDK(206, body), noon).Idle(), body)
	}
	require.False(t, Classify(fromSDK(206, `[{"op":"None","id":"a"}]`), noon).Idle())
	require.False(t, Classify(fromSDK(200, `[]`), noon).Idle())
}

func TestClassifyMalformedSteps(t *testing.T) {
	t.Parallel()
	r := Classify(fromSDK(206, `[null]`), noon)
	const text = "error validating generator opcode 0: opcode cannot be null"
	require.Equal(t, KindError, r.Kind)
	require.Equal(t, text, r.ErrorText)
	require.False(t, r.NoRetry)
	require.Equal(t, `{"error":"`+text+`","message":"`+text+`","name":"Error"}`, string(r.Error.JSON()))
	require.Equal(t, `{"error":{"error":"`+text+`","message":"`+text+`","name":"Error"}}`, string(r.Output))
}

func TestClassifyDone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status     int
		body, want string // want "" is no output
	}{
		{200, `{"b":1,"a":2}`, `{"b":1,"a":2}`},
		{200, "{\"a\":1}\n", `{"a":1}`},
		{200, `"{\"a\": 1}"`, `{"a": 1}`},
		{200, `"[1]"`, `"[1]"`},
		{200, `"{not json"`, `"{not json"`},
		{200, `"\"{}\""`, `"\"{}\""`},
		{200, `[1,2,3]`, `[1,2,3]`},
		{200, `5`, `5`},
		{200, `null`, `null`},
		{200, ``, ``},
		{200, " \n", ``},
		{200, "plain\ttext <é>", `"plain\ttext <é>"`},
		{200, "\xff", "\"\uFFFD\""},
		{202, `{"a":1}`, `{"a":1}`},
		{204, ``, ``},
		{204, `{"a":1}`, ``},
	} {
		r := Classify(fromSDK(tc.status, tc.body), noon)
		require.Equal(t, KindDone, r.Kind, tc.body)
		require.Equal(t, "done", r.Kind.String())
		require.Equal(t, tc.want, string(r.Output), tc.body)
		require.Nil(t, r.Error)
		if tc.want != "" {
			require.True(t, json.Valid(r.Output), tc.body)
		}
	}
}

// The rows of sdk-protocol §15.5, and what its rules say besides.
func TestClassifyFunctionErrors(t *testing.T) {
	t.Parallel()
	longError := `{"error":"{\"name\":\"Nested\",\"message\":\"` + strings.Repeat("m", maxNestedError) + `\"}","name":"Outer"}`
	for _, tc := range []struct {
		name    string
		answer  Answer
		noRetry bool
		want    string
	}{
		{"4xx is retried", fromSDK(400, `{"name":"X","message":"four"}`), false, `{"error":"invalid status code: 400","message":"four","name":"X"}`},
		{"old SDK", answerWith(400, `{"name":"X","message":"four"}`, headerSDK, "inngest-js:v1.9.0"), true, `{"error":"NonRetriableError","message":"four","name":"X"}`},
		{"text", fromSDK(500, `plain text`), false, `{"error":"invalid status code: 500","message":"plain text","name":"Error"}`},
		{"JSON text", fromSDK(500, `"plain text"`), false, `{"error":"invalid status code: 500","message":"plain text","name":"Error"}`},
		{"error in a string", fromSDK(500, `{"error":"{\"name\":\"Nested\",\"message\":\"inner\",\"stack\":\"st\"}"}`), false, `{"error":"invalid status code: 500","message":"inner","name":"Nested","stack":"st"}`},
		{"error object", fromSDK(500, `{"error":{"name":"N","message":"m","error":"own"},"name":"Outer"}`), false, `{"error":"own","message":"m","name":"N"}`},
		{"body object", fromSDK(500, `{"body":{"name":"B","message":"bodymsg"}}`), false, `{"error":"invalid status code: 500","message":"bodymsg","name":"B"}`},
		{"error text", fromSDK(500, `{"error":"own text","requestedStep":"x"}`), false, `{"error":"own text","message":"Function execution error","name":"Error"}`},
		{"nested error too long", fromSDK(500, longError), false, ""},
		{"cause", fromSDK(400, `{"name":"Error","message":"nr","stack":"s","cause":{"name":"Error","message":"bang","__serialized":true},"__serialized":true}`, headerNoRetry, "true"), true, `{"cause":{"__serialized":true,"message":"bang","name":"Error"},"error":"NonRetriableError","message":"nr","name":"Error","stack":"s"}`},
		{"no retry off", fromSDK(400, `{}`, headerNoRetry, "false"), false, `{"error":"invalid status code: 400","message":"Function execution error","name":"Error"}`},
		{"no retry is case-sensitive", fromSDK(400, `{}`, headerNoRetry, "TRUE"), false, `{"error":"invalid status code: 400","message":"Function execution error","name":"Error"}`},
		{"empty", fromSDK(503, ``), false, `{"error":"invalid status code: 503","message":"Function execution error","name":"Error"}`},
		{"array", fromSDK(500, `[1]`), false, `{"error":"invalid status code: 500","message":"Function execution error","name":"Error"}`},
		{"fields of other types", fromSDK(500, `{"name":5,"message":null,"stack":{},"cause":null}`), false, `{"error":"invalid status code: 500","message":"Function execution error","name":"Error"}`},
		{"redirect left over", fromSDK(304, ``), false, `{"error":"invalid status code: 304","message":"Function execution error","name":"Error"}`},
		{"absurd status", fromSDK(-1, ``), false, `{"error":"invalid status code: -1","message":"Function execution error","name":"Error"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := Classify(tc.answer, noon)
			require.Equal(t, KindError, r.Kind)
			require.Equal(t, "error", r.Kind.String())
			require.Equal(t, tc.noRetry, r.NoRetry)
			require.Empty(t, r.Code)
			if tc.want != "" {
				require.Equal(t, tc.want, string(r.Error.JSON()))
			}
			marshalled, err := json.Marshal(r.Error)
			require.NoError(t, err)
			require.JSONEq(t, string(r.Error.JSON()), string(marshalled))
		})
	}
	require.Equal(t, "Outer", Classify(fromSDK(500, longError), noon).Error.Name)
}

func TestClassifyForeignAnswers(t *testing.T) {
	t.Parallel()
	const stack = "No step output was produced before the request failed — this can mean a proxy or load balancer in front of your app returned an error, or your app was unable to respond."
	r := Classify(answerWith(404, ``, headerRetryAfter, "10", headerNoRetry, "true"), noon)
	const text = "Your server returned HTTP 404 before the SDK responded."
	require.Equal(t, RunError{Error: text, Message: text, Name: "Server returned a fatal error", Stack: stack}, *r.Error)
	require.Equal(t, string(r.Error.JSON()), string(r.Output))
	require.Equal(t, text, r.ErrorText)
	require.False(t, r.NoRetry, "only an SDK may forbid retries")
	require.Equal(t, noon.Add(10*time.Second), r.RetryAt)

	r = Classify(answerWith(502, `<h1>bad gateway</h1>`, "Content-Type", "text/html"), noon)
	require.Equal(t, stack+"\n\nUpstream response (text/html):\n<h1>bad gateway</h1>", r.Error.Stack)

	r = Classify(answerWith(502, strings.Repeat("a", 8191)+"éé", "Content-Type", "text/html"), noon)
	require.Equal(t, stack+"\n\nUpstream response (text/html):\n"+strings.Repeat("a", 8191)+"\n… (truncated)", r.Error.Stack)

	for _, status := range []int{200, 204, 206} {
		r = Classify(answerWith(status, smallAnswer), noon)
		require.Equal(t, KindError, r.Kind)
		require.Equal(t, "not_sdk", r.Code)
		require.Equal(t, "The response did not come from an Inngest SDK", r.ErrorText)
		require.Equal(t, RunError{Error: "not_sdk", Name: "Error", Message: r.ErrorText}, *r.Error)
		require.Equal(t, `{"error":{"error":"not_sdk: The response did not come from an Inngest SDK","message":"The response did not come from an Inngest SDK","name":"not_sdk"}}`, string(r.Output))
	}
}

func TestClassifyStreams(t *testing.T) {
	t.Parallel()
	t.Run("ops as text", func(t *testing.T) {
		t.Parallel()
		r := Classify(answerWith(201, `   {"status":206,"headers":{"x-inngest-sdk":"inngest-js:v4.24.0","x-inngest-req-version":"2","X-Odd":5},"body":"[{\"id\":\"a\",\"op\":\"StepRun\"}]"}`+" \n "), noon)
		require.Equal(t, KindSteps, r.Kind)
		require.Equal(t, 206, r.Status)
		require.Equal(t, 2, r.Version)
		require.Equal(t, "a", r.Ops[0].ID)
	})
	t.Run("ops as JSON", func(t *testing.T) {
		t.Parallel()
		r := Classify(fromSDK(201, `{"status":206,"headers":null,"body":[{"id":"a","op":"StepRun"}],"retryAt":null,"noRetry":false}`), noon)
		require.Equal(t, KindSteps, r.Kind)
		require.False(t, r.NoRetry)
	})
	t.Run("result", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, `{"ok":true}`, string(Classify(fromSDK(201, `{"status":200,"body":"{\"ok\":true}"}`), noon).Output))
		require.Equal(t, `"two words "`, string(Classify(fromSDK(201, `{"status":200,"body":"two words "}`), noon).Output))
		require.Equal(t, `null`, string(Classify(fromSDK(201, `{"status":200,"body":null}`), noon).Output))
		require.Nil(t, Classify(fromSDK(201, `{"status":200}`), noon).Output)
		require.Equal(t, `{}`, string(Classify(fromSDK(201, `{"status":201,"body":"{}"}`), noon).Output), "no stream in a stream")
	})
	t.Run("error with headers in the envelope", func(t *testing.T) {
		t.Parallel()
		r := Classify(fromSDK(201, `{"status":400,"headers":{"x-inngest-no-retry":"true","retry-after":"5"},"body":"{\"message\":\"m\"}"}`, headerNoRetry, "false"), noon)
		require.Equal(t, KindError, r.Kind)
		require.True(t, r.NoRetry)
		require.Equal(t, noon.Add(5*time.Second), r.RetryAt)
		require.Equal(t, "m", r.Error.Message)
	})
	t.Run("error as the Go SDK sends it", func(t *testing.T) {
		t.Parallel()
		r := Classify(fromSDK(201, `{"status":500,"body":"error calling function: no","retryAt":"2026-11-25T13:00:00Z","noRetry":true,"headers":null}`), noon)
		require.Equal(t, "error calling function: no", r.Error.Message)
		require.True(t, r.NoRetry)
		require.Equal(t, noon.Add(time.Hour), r.RetryAt)
	})
	t.Run("no header at all", func(t *testing.T) {
		t.Parallel()
		r := Classify(Answer{Status: 201, Body: []byte(`{"status":200,"headers":{"x-inngest-sdk":"x"},"body":"1"}`)}, noon)
		require.Equal(t, KindDone, r.Kind)
	})
	t.Run("not an SDK", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "not_sdk", Classify(answerWith(201, `{"status":200,"body":"1"}`), noon).Code)
	})
	for body, want := range map[string]string{
		`{"status":200,"error":"it broke"}`: "error parsing stream: it broke",
		`{"error":{"a":1}}`:                 `error parsing stream: {"a":1}`,
		`garbage`:                           "error parsing stream: error reading response body to check for status code: invalid character 'g' looking for beginning of value",
		``:                                  "error parsing stream: error reading response body to check for status code: unexpected end of JSON input",
		`{"id":1}`:                          "error parsing stream: error reading response body to check for status code: status is missing",
		`null`:                              "error parsing stream: error reading response body to check for status code: status is missing",
	} {
		r := Classify(fromSDK(201, body), noon)
		require.Equal(t, KindError, r.Kind, body)
		require.Equal(t, want, r.ErrorText)
		require.Equal(t, RunError{Error: want, Message: want, Name: "Error"}, *r.Error)
		require.False(t, r.NoRetry)
	}
}

func TestClassifyVerifiesSignatures(t *testing.T) {
	t.Parallel()
	const key, fallback = "0123456789abcdef", "fedcba9876543210"
	c := classifier{now: noon, keys: []string{key, fallback}}
	signed := func(key, body string) Answer {
		return fromSDK(200, body, signing.Header, signing.Sign(key, []byte(strings.TrimSuffix(body, "\n")), noon))
	}
	require.Equal(t, KindDone, c.classify(signed(key, `{}`)).Kind)
	require.Equal(t, KindDone, c.classify(signed(fallback, `{}`)).Kind)
	require.Equal(t, KindDone, c.classify(signed(key, "{}\n")).Kind, "Go signs without the newline")
	require.Equal(t, KindDone, c.classify(fromSDK(200, `{}`)).Kind, "the Go SDK does not sign")
	require.Equal(t, KindDone, classifier{now: noon}.classify(signed("00", `{}`)).Kind, "without a key nothing is verified")

	inside := signing.Sign(key, []byte(`{}`), noon)
	require.Equal(t, KindDone, c.classify(fromSDK(201, `{"status":200,"headers":{"x-inngest-signature":"`+inside+`"},"body":"{}"}`)).Kind)

	for name, a := range map[string]Answer{
		"other key":      signed("00", `{}`),
		"other body":     {Status: 200, Header: signed(key, `{}`).Header, Body: []byte(`{"a":1}`)},
		"malformed":      fromSDK(200, `{}`, signing.Header, "x"),
		"in a stream":    fromSDK(201, `{"status":200,"headers":{"x-inngest-signature":"`+inside+`"},"body":"{ }"}`),
		"replayed ops":   fromSDK(206, smallAnswer, signing.Header, signing.Sign(key, []byte(smallAnswer), noon.Add(-time.Hour))),
		"of an error":    fromSDK(500, `{}`, signing.Header, signing.Sign("00", []byte(`{}`), noon)),
		"only a newline": fromSDK(200, "{}\n\n", signing.Header, inside),
	} {
		r := c.classify(a)
		require.Equal(t, KindError, r.Kind, name)
		require.Equal(t, "sig_verification_failed", r.Code, name)
		require.Contains(t, r.ErrorText, "signature verification failed")
		require.False(t, r.NoRetry)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 600_000_000, time.UTC)
	second := now.Truncate(time.Second)
	for value, want := range map[string]time.Time{
		"":                                {},
		"3":                               second.Add(3 * time.Second),
		"1":                               now.Add(time.Second), // 0.4 s would be too soon
		"86400":                           second.Add(24 * time.Hour),
		"9999999":                         now.Add(24 * time.Hour),
		"999999999":                       {},
		"0":                               {},
		"-5":                              {},
		"soon":                            {},
		"1.5":                             {},
		"2026-11-25T12:00:50Z":            second.Add(50 * time.Second),
		"2026-11-25T12:00:50.250Z":        second.Add(50250 * time.Millisecond),
		"2026-11-25T12:00:50":             second.Add(50 * time.Second),
		"Wed, 25 Nov 2026 12:01:00 UTC":   second.Add(time.Minute),
		"2026-11-25 12:01:00.5 +0000 UTC": second.Add(60500 * time.Millisecond),
		"2020-01-01":                      now.Add(time.Second),
		"2030-01-01":                      now.Add(24 * time.Hour),
	} {
		require.Equal(t, want, parseRetryAfter(value, now), value)
	}
}

func TestForbidsRetry(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		sdk    string
		status int
		header string
		want   bool
	}{
		{"inngest-js:v1.10.0", 400, "", true},
		{"inngest-js:v1.10.1", 400, "", false},
		{"inngest-js:v1.2", 404, "", true},
		{"inngest-js:v2.4.0", 400, "", true},
		{"inngest-js:v2.4.0-beta.1", 499, "", true},
		{"inngest-js:v2.4.1", 400, "", false},
		{"inngest-js:v2.10.0", 400, "", false},
		{"inngest-js:v3.0.0", 400, "", false},
		{"inngest-js:v1.9.0", 500, "", false},
		{"inngest-js:v1.9.0", 400, "false", false},
		{"inngest-js:v1.x", 400, "", false},
		{"go:v0.1.0", 400, "", false},
		{"go:v0.15.1", 500, "true", true},
	} {
		a := answerWith(tc.status, "", headerSDK, tc.sdk, headerNoRetry, tc.header)
		require.Equal(t, tc.want, forbidsRetry(a), "%+v", tc)
	}
}

func FuzzResponse(f *testing.F) {
	for _, seed := range []struct {
		status                                  int
		sdk, retry, noRetry, version, sig, body string
	}{
		{206, "inngest-js:v4.24.0", "3", "", "2", "", smallAnswer},
		{201, "go:v0.15.1", "", "", "", "", ` {"status":206,"headers":{"Retry-After":"9"},"body":"[null]"}`},
		{500, "inngest-js:v1.2.3", "2026-11-25T12:00:00Z", "true", "x", "", `{"error":"{\"cause\":[1e999]}"}`},
		{200, "", "", "", "", "t=1&s=ab", `"{\"a\":1}"`},
		{404, "", "", "", "", "", "\xff<html>"},
	} {
		f.Add(seed.status, seed.sdk, seed.retry, seed.noRetry, seed.version, seed.sig, []byte(seed.body))
	}
	c := classifier{now: noon, keys: []string{"0123"}}
	f.Fuzz(func(t *testing.T, status int, sdk, retry, noRetry, version, signature string, body []byte) {
		r := c.classify(answerWith(status, string(body),
			headerSDK, sdk, headerRetryAfter, retry, headerNoRetry, noRetry, headerVersion, version, signing.Header, signature))
		checkResponse(t, r)
		if r.Kind != KindSteps {
			return
		}
		for i := range r.Ops {
			op := &r.Ops[i]
			_, _ = op.Sleep(noon)
			_, _ = op.Wait(noon)
			_, _ = op.Invoke(noon)
			_, _ = op.Signal(noon)
			_, _ = op.Gateway()
			_, _ = op.AIGateway()
			_, _ = op.DeferAdd()
			_, _ = op.DeferAbort()
			_, _, _ = op.ParallelMode(), op.AI(), op.DisplayNameOrFallback()
			if _, err := MemoData(op.Data); err != nil && len(op.Data) > 0 && !json.Valid(op.Data) {
				t.Fatalf("data %q of an accepted op is not JSON", op.Data)
			}
			if op.Error != nil && !json.Valid(MemoError(op.Error)) {
				t.Fatalf("memo %q is not JSON", MemoError(op.Error))
			}
		}
	})
}

// checkResponse fails unless r has exactly what its kind promises.
func checkResponse(t *testing.T, r *Response) {
	t.Helper()
	if (r.Kind == KindError) != (r.Error != nil) || (r.Kind == KindError) != (r.ErrorText != "") {
		t.Fatalf("kind %s with error %+v, text %q", r.Kind, r.Error, r.ErrorText)
	}
	if r.Ops != nil && r.Kind != KindSteps || r.Output != nil && r.Kind == KindSteps {
		t.Fatalf("kind %s with %d ops and output %q", r.Kind, len(r.Ops), r.Output)
	}
	if r.Output != nil && !json.Valid(r.Output) || r.Error != nil && !json.Valid(r.Error.JSON()) {
		t.Fatalf("output %q or error %q is not JSON", r.Output, r.Error.JSON())
	}
	if !r.RetryAt.IsZero() && (r.RetryAt.Before(noon.Add(minRetryAfter)) || r.RetryAt.After(noon.Add(maxRetryAfter))) {
		t.Fatalf("retry at %s", r.RetryAt)
	}
}
