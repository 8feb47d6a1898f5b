package driver

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// parseOp reads one op from its text on the wire.
func parseOp(t *testing.T, text string) *Opcode {
	t.Helper()
	ops, err := ParseOps([]byte(text))
	require.NoError(t, err)
	return &ops[0]
}

func requireFatal(t *testing.T, err error, name, message string) {
	t.Helper()
	var fatal *FatalError
	require.ErrorAs(t, err, &fatal)
	require.Equal(t, FatalError{Name: name, Message: message}, *fatal)
}

func TestSleepOptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		op   string
		want time.Duration
	}{
		{`{"op":"Sleep","name":"1s","opts":{}}`, time.Second},
		{`{"op":"Sleep","name":"z","opts":{"duration":"1h30m"}}`, 90 * time.Minute},
		{`{"op":"Sleep","name":"2d"}`, 48 * time.Hour},
		{`{"op":"Sleep","name":"1w","opts":null}`, 7 * 24 * time.Hour},
		{`{"op":"Sleep"}`, 0},
		{`{"op":"Sleep","name":"-1h"}`, 0},
		{`{"op":"Sleep","name":"2026-11-25T12:00:10Z"}`, 10 * time.Second},
		{`{"op":"Sleep","name":"2026-11-24T12:00:10.000Z"}`, 0},
		{`{"op":"Sleep","name":"366d"}`, 366 * 24 * time.Hour},
	} {
		until, err := parseOp(t, tc.op).Sleep(noon)
		require.NoError(t, err, tc.op)
		require.Equal(t, noon.Add(tc.want), until, tc.op)
	}
	_, err := parseOp(t, `{"op":"Sleep","name":"400d"}`).Sleep(noon)
	requireFatal(t, err, NameTimeoutTooLong, `The sleep "400d" ends more than one year in the future; sleeps may last at most one year.`)
	for _, op := range []string{`{"op":"Sleep","name":"soon"}`, `{"op":"Sleep","opts":{"duration":5}}`} {
		_, err = parseOp(t, op).Sleep(noon)
		require.Error(t, err, op)
		require.NotErrorAs(t, err, new(*FatalError), "a bad duration may be retried")
	}
}

func TestWaitOptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		op   string
		want WaitOpts
	}{
		{
			`{"op":"WaitForEvent","name":"cap/go","opts":{"timeout":"10s","if":"event.data.k == async.data.k"}}`,
			WaitOpts{Event: "cap/go", If: "event.data.k == async.data.k", Expires: noon.Add(10 * time.Second)},
		},
		{`{"op":"WaitForEvent","name":"w","opts":{"event":"g/never","timeout":"1s"}}`, WaitOpts{Event: "g/never", Expires: noon.Add(time.Second)}},
		{`{"op":"WaitForEvent","name":"w"}`, WaitOpts{Event: "w", Expires: noon}},
	} {
		got, err := parseOp(t, tc.op).Wait(noon)
		require.NoError(t, err, tc.op)
		require.Equal(t, tc.want, got, tc.op)
	}
	_, err := parseOp(t, `{"op":"WaitForEvent","opts":{"timeout":"1s"}}`).Wait(noon)
	require.ErrorIs(t, err, ErrNoEventName)
	require.EqualError(t, err, "An event name must be provided when waiting for an event")
	_, err = parseOp(t, `{"op":"WaitForEvent","name":"w","opts":{"timeout":"400d"}}`).Wait(noon)
	requireFatal(t, err, NameTimeoutTooLong, `The wait-for-event timeout "400d" expires more than one year in the future; timeouts may last at most one year.`)
	for _, op := range []string{`{"op":"WaitForEvent","name":"w","opts":{"timeout":"x"}}`, `{"op":"WaitForEvent","opts":{"event":{}}}`} {
		_, err = parseOp(t, op).Wait(noon)
		require.Error(t, err, op)
	}
}

func TestInvokeOptions(t *testing.T) {
	t.Parallel()
	nextYear := noon.AddDate(1, 0, 0)
	empty := InvokePayload{Data: json.RawMessage(`{}`)}
	for _, tc := range []struct {
		op   string
		want InvokeOpts
	}{
		{
			`{"op":"InvokeFunction","opts":{"payload":{"data":{"x":21},"user":{"id":1},"v":"2"},"function_id":"cap-app-callee"}}`,
			InvokeOpts{"cap-app-callee", InvokePayload{json.RawMessage(`{"x":21}`), json.RawMessage(`{"id":1}`), "2"}, nextYear},
		},
		{`{"op":"InvokeFunction","opts":{"function_id":"f","timeout":"1m"}}`, InvokeOpts{"f", empty, noon.Add(time.Minute)}},
		{`{"op":"InvokeFunction","opts":{"function_id":"f","payload":null}}`, InvokeOpts{"f", empty, nextYear}},
		{`{"op":"InvokeFunction","opts":{"function_id":"f","payload":{"data":null,"user":null,"v":null}}}`, InvokeOpts{"f", empty, nextYear}},
	} {
		got, err := parseOp(t, tc.op).Invoke(noon)
		require.NoError(t, err, tc.op)
		require.Equal(t, tc.want, got, tc.op)
	}
	_, err := parseOp(t, `{"op":"InvokeFunction","opts":{"function_id":"f","timeout":"400d"}}`).Invoke(noon)
	requireFatal(t, err, NameTimeoutTooLong, `The invoke timeout "400d" expires more than one year in the future; timeouts may last at most one year.`)
	for _, op := range []string{
		`{"op":"InvokeFunction"}`,
		`{"op":"InvokeFunction","opts":{"function_id":5}}`,
		`{"op":"InvokeFunction","opts":{"function_id":"f","payload":{"data":[1]}}}`,
		`{"op":"InvokeFunction","opts":{"function_id":"f","timeout":"x"}}`,
	} {
		_, err := parseOp(t, op).Invoke(noon)
		require.Error(t, err, op)
	}
}

func TestSignalOptions(t *testing.T) {
	t.Parallel()
	got, err := parseOp(t, `{"op":"WaitForSignal","name":"other","opts":{"signal":"sig-1","timeout":"20s","conflict":"replace"}}`).Signal(noon)
	require.NoError(t, err)
	require.Equal(t, SignalOpts{Signal: "sig-1", Replace: true, Expires: noon.Add(20 * time.Second)}, got)
	got, err = parseOp(t, `{"op":"WaitForSignal","opts":{"signal":"sig-1"}}`).Signal(noon)
	require.NoError(t, err)
	require.Equal(t, SignalOpts{Signal: "sig-1", Expires: noon}, got)
	_, err = parseOp(t, `{"op":"WaitForSignal","opts":{"signal":"s","timeout":"400d"}}`).Signal(noon)
	requireFatal(t, err, NameTimeoutTooLong, `The wait-for-signal timeout "400d" expires more than one year in the future; timeouts may last at most one year.`)
	for _, op := range []string{`{"op":"WaitForSignal","name":"sig-1"}`, `{"op":"WaitForSignal","opts":{"signal":1}}`} {
		_, err := parseOp(t, op).Signal(noon)
		require.Error(t, err, op)
	}
	require.Equal(t, `{"error":"Error","message":"Signal conflict; signal wait already exists for another run","name":"Error"}`,
		string(SignalConflict().RunError().JSON()))
	require.EqualError(t, SignalConflict(), "Error: Signal conflict; signal wait already exists for another run")
}

func TestGatewayOptions(t *testing.T) {
	t.Parallel()
	got, err := parseOp(t, `{"op":"Gateway","opts":{"url":"http://h/ping?x=1","method":"PUT","headers":{"x-a":"b"},"body":"{\"q\":1}","publish":{"channel":"c","topic":"t"}}}`).Gateway()
	require.NoError(t, err)
	require.Equal(t, GatewayOpts{
		URL: "http://h/ping?x=1", Method: "PUT", Headers: map[string]string{"x-a": "b"}, Body: `{"q":1}`, Publish: &Publish{"c", "t"},
	}, got)
	got, err = parseOp(t, `{"op":"Gateway","opts":{"url":"http://h","body":{"q":1}}}`).Gateway()
	require.NoError(t, err)
	require.Equal(t, GatewayOpts{URL: "http://h", Method: "POST", Body: `{"q":1}`}, got)
	for _, op := range []string{`{"op":"Gateway"}`, `{"op":"Gateway","opts":{"url":"http://h","headers":{"a":1}}}`} {
		_, err := parseOp(t, op).Gateway()
		require.Error(t, err, op)
	}
}

func TestAIGatewayOptions(t *testing.T) {
	t.Parallel()
	got, err := parseOp(t, `{"op":"AIGateway","opts":{"type":"step.ai.infer","url":"http://h/ai","headers":{},"auth_key":"KEY","format":"openai-chat","body":{"messages":[]},"auto_tool_call":true}}`).AIGateway()
	require.NoError(t, err)
	require.Equal(t, AIGatewayOpts{
		URL: "http://h/ai", Headers: map[string]string{}, AuthKey: "KEY", Format: "openai-chat", Body: json.RawMessage(`{"messages":[]}`), AutoToolCall: true,
	}, got)
	got, err = parseOp(t, `{"op":"AIGateway","opts":{"url":"http://h/ai"}}`).AIGateway()
	require.NoError(t, err)
	require.Equal(t, AIGatewayOpts{URL: "http://h/ai", Body: json.RawMessage(`{}`)}, got)
	for _, op := range []string{`{"op":"AIGateway"}`, `{"op":"AIGateway","opts":{"url":1}}`} {
		_, err := parseOp(t, op).AIGateway()
		require.Error(t, err, op)
	}
}

func TestDeferOptions(t *testing.T) {
	t.Parallel()
	add, err := parseOp(t, `{"op":"DeferAdd","id":"df1","opts":{"fn_slug":"app-deferred","input":{"a":1},"meta":{"m":1}}}`).DeferAdd()
	require.NoError(t, err)
	require.Equal(t, DeferAddOpts{"app-deferred", json.RawMessage(`{"a":1}`), json.RawMessage(`{"m":1}`)}, add)

	for name, opts := range map[string]string{
		"no slug":        `{"input":{}}`,
		"bad slug":       `{"fn_slug":1,"input":{}}`,
		"no input":       `{"fn_slug":"f"}`,
		"array input":    `{"fn_slug":"f","input":[]}`,
		"null input":     `{"fn_slug":"f","input":null,"meta":null}`,
		"large input":    `{"fn_slug":"f","input":{"x":"` + strings.Repeat("x", MaxDeferInput) + `"}}`,
		"large meta":     `{"fn_slug":"f","input":{},"meta":"` + strings.Repeat("x", MaxDeferMeta) + `"}`,
		"opts no object": `[]`,
	} {
		op := Opcode{Op: OpDeferAdd, Opts: json.RawMessage(opts)}
		_, err := op.DeferAdd()
		require.Error(t, err, name)
	}

	target, err := parseOp(t, `{"op":"DeferAbort","opts":{"target_hashed_id":"df1"}}`).DeferAbort()
	require.NoError(t, err)
	require.Equal(t, "df1", target)
	for _, opts := range []string{`{}`, `{"target_hashed_id":1}`} {
		_, err := parseOp(t, `{"op":"DeferAbort","opts":`+opts+`}`).DeferAbort()
		require.Error(t, err, opts)
	}
}
