package driver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
	reference "github.com/gowebpki/jcs"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
)

// The first body captured in sdk-protocol §7.1.
const capturedBody = `{"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"49de9300-2045-5162-8a78-87a6b3905bf5","generation_id":1,"job_id":"3l6eywz7lvhw7","max_attempts":2,"qi_id":"M2w2ZXl3ejdsdmh3Nzo6ZGVmYXVsdA==","request_id":"01M8ADZCZ4YQ870JKK65JZ0V28","run_id":"01M8ADZCW3MY3YSB09P8HW8PA7","stack":{"current":0,"stack":[]},"step_id":"step","use_api":false},"defers":{},"event":{"data":{"id":1},"id":"01M8ADZCT60CCNCEVS1P7B0NG7","name":"v3/main","ts":1795646534470,"user":{}},"events":[{"data":{"id":1},"id":"01M8ADZCT60CCNCEVS1P7B0NG7","name":"v3/main","ts":1795646534470,"user":{}}],"steps":{},"use_api":false,"version":-1}`

func capturedRequest() *Request {
	return &Request{
		FunctionID: uuid.MustParse("49de9300-2045-5162-8a78-87a6b3905bf5"),
		RunID:      ulid.MustParse("01M8ADZCW3MY3YSB09P8HW8PA7"),
		JobID:      "3l6eywz7lvhw7",
		RequestID:  "01M8ADZCZ4YQ870JKK65JZ0V28",
		Generation: 1, MaxAttempts: 2, Version: VersionUndecided,
		Events: []json.RawMessage{json.RawMessage(`{"data":{"id":1},"id":"01M8ADZCT60CCNCEVS1P7B0NG7","name":"v3/main","ts":1795646534470,"user":{}}`)},
	}
}

func TestBodyMatchesCapturedTraffic(t *testing.T) {
	t.Parallel()
	body, useAPI := Body(capturedRequest())
	require.Equal(t, capturedBody, string(body))
	require.False(t, useAPI)
}

// naiveBody builds the body the slow way, from the table of §7.3.
func naiveBody(t *testing.T, r *Request) string {
	t.Helper()
	type object = map[string]any
	steps, defers, stack := object{}, object{}, []any{}
	for _, id := range r.Stack {
		stack = append(stack, id)
	}
	for id, abortable := range r.Defers {
		defers[id] = object{"abortable": abortable}
	}
	for _, memo := range r.Steps {
		steps[memo.ID] = memo.Data
	}
	queueItem := ""
	ctx := object{
		"attempt": r.Attempt, "disable_immediate_execution": r.DisableImmediateExecution, "env": "", "fn_id": r.FunctionID,
		"max_attempts": r.MaxAttempts, "run_id": r.RunID, "stack": object{"current": r.StackCurrent, "stack": stack},
		"step_id": "step", "use_api": false,
	}
	if r.NoCheckpoints {
		delete(ctx, "fn_id")
	}
	if r.Generation != 0 {
		ctx["generation_id"] = r.Generation
	}
	if r.RequestID != "" {
		ctx["request_id"] = r.RequestID
	}
	if r.JobID != "" {
		ctx["job_id"] = r.JobID
		queueItem = base64.StdEncoding.EncodeToString([]byte(r.JobID + "::default"))
	}
	ctx["qi_id"] = queueItem
	naive, err := json.Marshal(object{
		"ctx": ctx, "defers": defers, "event": r.Events[0], "events": r.Events, "steps": steps, "use_api": false, "version": r.Version,
	})
	require.NoError(t, err)
	canonical, err := reference.Transform(naive)
	require.NoError(t, err)
	return string(canonical)
}

func TestBodyIsCanonical(t *testing.T) {
	t.Parallel()
	ids := []string{"86f7e437", "a0f1490a", "", "é", "😀", "\ufb33", "a\"b", "\n", "step", "Z", "z"}
	values := []json.RawMessage{
		json.RawMessage(`null`), json.RawMessage(`{"data":{"a":1,"b":"<>&é"}}`), json.RawMessage(`{"error":{"message":"m","name":"n"}}`), json.RawMessage(`[]`),
	}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := smallRequest("")
		r.Attempt, r.Generation, r.StackCurrent = random.IntN(20), random.IntN(3), random.IntN(5)
		r.Version = random.IntN(4) - 1
		r.DisableImmediateExecution, r.NoCheckpoints = random.IntN(2) == 0, random.IntN(4) == 0
		if random.IntN(3) == 0 {
			r.JobID, r.RequestID = "", ""
		}
		r.Stack, r.Steps, r.Defers = nil, nil, map[string]bool{}
		for _, i := range random.Perm(len(ids))[:random.IntN(len(ids))] {
			r.Stack = append(r.Stack, ids[i])
			r.Steps = append(r.Steps, Memo{ID: ids[i], Data: values[random.IntN(len(values))]})
			r.Defers[ids[i]] = random.IntN(2) == 0
		}
		for range random.IntN(3) {
			r.Events = append(r.Events, json.RawMessage(fmt.Sprintf(`{"data":{},"id":"%d","name":"x","ts":1,"user":{}}`, random.Int32())))
		}
		body, useAPI := Body(r)
		require.False(t, useAPI)
		require.Equal(t, naiveBody(t, r), string(body), "seed %d", seed)
	}
}

func TestBodyKeepsLaterOfTwoMemos(t *testing.T) {
	t.Parallel()
	r := capturedRequest()
	r.Steps = []Memo{{ID: "a", Data: json.RawMessage(`1`)}, {ID: "b", Data: json.RawMessage(`2`)}, {ID: "a", Data: json.RawMessage(`3`)}}
	body, _ := Body(r)
	require.Contains(t, string(body), `"steps":{"a":3,"b":2}`)
}

func TestBodyWithoutEvents(t *testing.T) {
	t.Parallel()
	r := capturedRequest()
	r.Events = nil
	body, _ := Body(r)
	require.True(t, json.Valid(body))
	require.Contains(t, string(body), `"event":{},"events":[]`)
}

func TestBodyUseAPI(t *testing.T) {
	t.Parallel()
	const mebi = 1 << 20
	event := func(size int) json.RawMessage {
		const frame = `{"data":"","user":{}}`
		return json.RawMessage(`{"data":"` + strings.Repeat("x", size-len(frame)) + `","user":{}}`)
	}
	memo := func(id string, size int) Memo {
		return Memo{ID: id, Data: json.RawMessage(`"` + strings.Repeat("y", size-2) + `"`)}
	}
	for _, tc := range []struct {
		name       string
		events     []json.RawMessage
		steps      []Memo
		useAPI     bool
		withEvents bool
	}{
		{"small", []json.RawMessage{event(100)}, []Memo{memo("a", 100)}, false, true},
		{"largest inline state", []json.RawMessage{event(100)}, []Memo{memo("a", 4*mebi-1024-100-900)}, false, true},
		{"state within the limit, body above", []json.RawMessage{event(600)}, []Memo{memo("a", 4*mebi-1024-600)}, true, true},
		{"state too large", []json.RawMessage{event(100)}, []Memo{memo("a", 3*mebi), memo("b", 3*mebi)}, true, true},
		{"events too large as well", []json.RawMessage{event(3 * mebi), event(100)}, []Memo{memo("a", 3*mebi)}, true, false},
		{"one event sent twice is too large", []json.RawMessage{event(3 * mebi)}, nil, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := capturedRequest()
			r.Events, r.Steps, r.Stack = tc.events, tc.steps, []string{"a", "b"}
			body, useAPI := Body(r)
			require.Equal(t, tc.useAPI, useAPI)
			require.Less(t, len(body), MaxRequestBody)
			// Too large for naiveBody; that these are in place is enough.
			count := func(text string) int { return bytes.Count(body, []byte(text)) }
			require.Equal(t, map[bool]int{true: 2}[tc.useAPI], count(`"use_api":true`))
			require.Equal(t, tc.useAPI, count(`"steps":{}`) == 1)
			require.Equal(t, !tc.withEvents, count(`"events":[]`) == 1)
			require.Equal(t, 1, count(`"stack":["a","b"]`), "the stack is always complete")
		})
	}
}

func TestEndpointURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ uri, step, want string }{
		{"http://localhost:18101/api/inngest?fnId=cap-app-ai&stepId=step", "step", "http://localhost:18101/api/inngest?fnId=cap-app-ai&stepId=step"},
		{"http://localhost:18101/api/inngest?fnId=goapp-g1&step=step", "step", "http://localhost:18101/api/inngest?fnId=goapp-g1&step=step&stepId=step"},
		{"http://h/a?zeta=1&fnId=a%20b&stepId=old&stepId=older", "86f7", "http://h/a?fnId=a+b&stepId=86f7&zeta=1"},
		{"https://h/a?x=1", "a&b", "https://h/a?stepId=a%26b&x=1"},
		{"https://h", "step", "https://h?stepId=step"},
	} {
		e, err := parseEndpoint(tc.uri)
		require.NoError(t, err)
		require.Equal(t, tc.want, e.forStep(tc.step).String())
		require.Equal(t, tc.want, e.forStep(tc.step).String(), "an endpoint must stay usable")
	}
	for _, uri := range []string{"", "::", "/relative", "ws://connect?fnId=a", "http://", "http://a b/"} {
		_, err := parseEndpoint(uri)
		require.Error(t, err, uri)
	}
}

func TestEndpointCacheIsBounded(t *testing.T) {
	t.Parallel()
	var cache endpoints
	first, err := cache.get("http://h/?n=0")
	require.NoError(t, err)
	again, err := cache.get("http://h/?n=0")
	require.NoError(t, err)
	require.Same(t, first, again)
	for i := range 2 * maxEndpoints {
		_, err := cache.get(fmt.Sprintf("http://h/?n=%d", i))
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(cache.byURI), maxEndpoints)
	_, err = cache.get("nowhere")
	require.Error(t, err)
}

func TestTraceContext(t *testing.T) {
	t.Parallel()
	r := smallRequest("")
	r.RequestID = ""
	first, second := newTraceparent(r), newTraceparent(r)
	require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`, first)
	require.Equal(t, first[:36], second[:36], "one trace per run")
	require.NotEqual(t, first, second, "a span per call")
	require.NotContains(t, newTraceparent(&Request{}), strings.Repeat("0", 32))
	require.Equal(t,
		"inngest@traceref=%7B%22tp%22%3A%22TP%22%2C%22ts%22%3A%22%22%7D,inngest@fn=01c740f1-569c-56c1-9430-67b2462e0c33,inngest@app=e564530a-d053-5aab-a66c-ab6b413d8170",
		newTracestate("TP", r))

	r.RequestID = "01M8ADZCZ4YQ870JKK65JZ0V28"
	require.Equal(t, trace.ExecutionSpan(r.RequestID), newTraceparent(r)[36:52], "the span that the trace of the run has")
}

// TestTraceOfTheSender: calls of a run are in the trace in which its event was
// sent, if the event says so.
func TestTraceOfTheSender(t *testing.T) {
	t.Parallel()
	const sender = "0af7651916cd43dd8448eb211c80319c"
	for event, want := range map[string]bool{
		`{"data":{},"meta":{"traceparent":"00-` + sender + `-b7ad6b7169203331-01"}}`: true,
		`{"data":{"traceparent":"00-` + sender + `-b7ad6b7169203331-01"}}`:           false,
		`{"data":{},"meta":{"traceparent":"00-short"}}`:                              false,
		`{"data":{},"meta":{"traceparent":"00-` + strings.Repeat("x", 40) + `"}}`:    false,
		`{"data":{}}`: false,
	} {
		r := smallRequest("")
		r.Events = []json.RawMessage{json.RawMessage(event)}
		require.Equal(t, want, newTraceparent(r)[3:35] == sender, event)
	}
	require.Len(t, newTraceparent(&Request{RunID: ulid.Make()}), 55, "without events")
}
