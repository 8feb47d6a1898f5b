package driver

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/jcs"
)

func TestOpCodeCatalogue(t *testing.T) {
	t.Parallel()
	// Number, name and groups as in the table of sdk-protocol §11.1.
	for _, tc := range []struct {
		number                     uint8
		name                       string
		plan, sync, lazy, priority bool
	}{
		{0, "None", false, false, false, false},
		{1, "Step", false, true, false, false},
		{2, "StepRun", false, true, false, false},
		{3, "StepError", false, false, false, false},
		{4, "StepPlanned", true, false, false, false},
		{5, "Sleep", true, false, false, false},
		{6, "WaitForEvent", true, false, false, true},
		{7, "InvokeFunction", true, false, false, false},
		{8, "AIGateway", true, false, false, false},
		{9, "Gateway", true, false, false, false},
		{10, "WaitForSignal", true, false, false, false},
		{11, "RunComplete", false, true, false, false},
		{12, "StepFailed", false, true, false, false},
		{13, "SyncRunComplete", false, true, false, false},
		{14, "DiscoveryRequest", false, false, false, false},
		{15, "DeferAdd", false, true, true, true},
		{16, "DeferAbort", false, true, true, true},
	} {
		for _, spelling := range []string{tc.name, strings.ToLower(tc.name)} {
			op, err := ParseOpCode(spelling)
			require.NoError(t, err, spelling)
			require.Equal(t, OpCode(tc.number), op, spelling)
		}
		op := OpCode(tc.number)
		require.Equal(t, tc.name, op.String())
		require.Equal(t, tc.plan, op.Plan(), tc.name)
		require.Equal(t, tc.sync, op.Sync(), tc.name)
		require.Equal(t, tc.lazy, op.Lazy(), tc.name)
		require.Equal(t, tc.priority, op.Priority(), tc.name)
	}
	for _, spelling := range []string{"", "STEPRUN", "stepRun", "StepNotFound", "2"} {
		_, err := ParseOpCode(spelling)
		require.ErrorIs(t, err, ErrUnknownOpCode, spelling)
	}
	require.Equal(t, "OpCode(17)", OpCode(17).String())
}

func TestParseOps(t *testing.T) {
	t.Parallel()
	ops, err := ParseOps([]byte(` [
		{"id":"e099","op":"StepRun","name":"first","opts":{},"displayName":"shown","userland":{"id":"first","index":2},"data":{"a":1},
		 "timing":{"a":1795645052056000000,"b":280},"metadata":[{"kind":"userland.x"}],"mode":"sync","rawArgs":["a",null],"promise":{}},
		{"op":"steperror","id":"be","name":"boom","opts":null,"displayName":null,"data":null,
		 "error":{"name":"Error","message":"bang","stack":"at","__serialized":true,"data":5,"cause":{"b":1,"a":2},"noRetry":true}},
		{}
	]` + "\n"))
	require.NoError(t, err)
	require.Equal(t, []Opcode{
		{
			Op: OpStepRun, ID: "e099", Name: "first", DisplayName: "shown", Opts: json.RawMessage(`{}`), Data: json.RawMessage(`{"a":1}`),
			Userland: Userland{ID: "first", Index: 2}, Metadata: json.RawMessage(`[{"kind":"userland.x"}]`),
			Timing: Timing{Start: time.Unix(0, 1795645052056000000).UTC(), Duration: 280},
		},
		{
			Op: OpStepError, ID: "be", Name: "boom", Data: json.RawMessage(`null`),
			Error: &UserError{Name: "Error", Message: "bang", Stack: "at", Data: json.RawMessage(`5`), Cause: json.RawMessage(`{"b":1,"a":2}`)},
		},
		{},
	}, ops)

	single, err := ParseOps([]byte(`{"op":"RunComplete","id":"0737","data":[1,2,3]}`))
	require.NoError(t, err)
	require.Equal(t, []Opcode{{Op: OpRunComplete, ID: "0737", Data: json.RawMessage(`[1,2,3]`)}}, single)

	none, err := ParseOps([]byte(`[]`))
	require.NoError(t, err)
	require.Empty(t, none)
}

// What is for display only must never make an answer unreadable.
func TestParseOpsToleratesOddDetails(t *testing.T) {
	t.Parallel()
	for _, details := range []string{
		`"timing":5,"userland":"x","metadata":{},"displayName":7`,
		`"timing":{"a":"soon","b":null},"userland":{"id":5,"index":"x"},"error":null`,
		`"timing":{"a":1.5e300,"b":-3},"userland":null,"metadata":null,"\u006fpts":null`,
		`"timing":{"a":-1,"b":1e400},"userland":[]`,
	} {
		ops, err := ParseOps([]byte(`[{"op":"Step\u0052un","id":"a",` + details + `}]`))
		require.NoError(t, err, details)
		require.Equal(t, OpStepRun, ops[0].Op)
		require.Zero(t, ops[0].Timing, details)
		require.Nil(t, ops[0].Opts)
	}
	ops, err := ParseOps([]byte(`{"op":"Sleep","name":null,"timing":{"a":1.7e9,"b":2.5}}`))
	require.NoError(t, err)
	require.Equal(t, Timing{Start: time.Unix(1, 7e8).UTC(), Duration: 2}, ops[0].Timing)
}

func TestParseOpsMalformed(t *testing.T) {
	t.Parallel()
	const reading = "error reading generator opcode response: "
	for _, tc := range []struct{ name, body, want string }{
		{"empty", ``, reading + "no response data"},
		{"white space", " \n", reading + "no response data"},
		{"scalar", `5`, reading + "expected JSON object or array"},
		{"null", `null`, reading + "expected JSON object or array"},
		{"text", `oops`, reading + "expected JSON object or array"},
		{"NUL", "\x00", reading + "expected JSON object or array"},
		{"cut", `[{"op":`, reading + "unexpected end of JSON input"},
		{"null op", `[null]`, "error validating generator opcode 0: opcode cannot be null"},
		{"second op null", `[{"op":"None"},null]`, "error validating generator opcode 1: opcode cannot be null"},
		{"op no object", `[[]]`, reading + "opcode should be an object, got []"},
		{"unknown op", `[{"op":"StepNotFound"}]`, reading + "StepNotFound does not belong to Opcode values"},
		{"numeric op", `[{"op":2}]`, reading + "Opcode should be a string, got 2"},
		{"numeric id", `{"op":"StepRun","id":5}`, reading + "opcode id should be a string, got 5"},
		{"object as name", `{"op":"StepRun","name":{}}`, reading + "opcode name should be a string, got {}"},
		{"large output", `[{"op":"StepRun","id":"aa","data":"` + strings.Repeat("x", MaxStepOutput) + `"}]`, "error validating generator opcode aa: step output size is greater than the limit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseOps([]byte(tc.body))
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestOpcodeLimits(t *testing.T) {
	t.Parallel()
	text := func(size int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`) }
	input := func(name string, size int) json.RawMessage {
		return json.RawMessage(`{"` + name + `":` + string(text(size)) + `}`)
	}
	const output, withInput = "step output size is greater than the limit", "step input size is greater than the limit"
	for _, tc := range []struct {
		name string
		op   Opcode
		want string
	}{
		{"largest output", Opcode{Op: OpStepRun, Data: text(MaxStepOutput - len(`{"data":}`))}, ""},
		{"output", Opcode{Op: OpStepRun, Data: text(MaxStepOutput - len(`{"data":}`) + 1)}, output},
		{"error", Opcode{Op: OpStepFailed, Error: &UserError{Message: string(text(MaxStepOutput))}}, output},
		{"largest input", Opcode{Op: OpStepRun, Opts: input("input", MaxStepInput)}, ""},
		{"input", Opcode{Op: OpStepRun, Opts: input("input", MaxStepInput+1)}, withInput},
		{"prompt", Opcode{Op: OpAIGateway, Opts: input("body", MaxStepInput+1)}, withInput},
		{"body of a fetch", Opcode{Op: OpGateway, Opts: input("body", MaxStepInput+1)}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.op.validate()
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestOpcodeDescription(t *testing.T) {
	t.Parallel()
	op := Opcode{ID: "id"}
	require.Equal(t, "id", op.DisplayNameOrFallback())
	op.Name = "name"
	require.Equal(t, "name", op.DisplayNameOrFallback())
	op.DisplayName = "display"
	require.Equal(t, "display", op.DisplayNameOrFallback())

	for _, tc := range []struct {
		opts string
		mode ParallelMode
		kind string
		ai   bool
	}{
		{``, ParallelNone, "", false},
		{`{}`, ParallelNone, "", false},
		{`{"parallelMode":"race"}`, ParallelRace, "", false},
		{`{"ParallelMode":"Race","type":"step.run"}`, ParallelRace, "step.run", false},
		{`{"parallelMode":"wait","type":"step.ai.wrap"}`, ParallelWait, "step.ai.wrap", true},
		{`{"parallelMode":"other","type":5}`, ParallelNone, "", false},
		{`{"parallelMode":{}}`, ParallelNone, "", false},
		{`["parallelMode"]`, ParallelNone, "", false},
	} {
		op := Opcode{Op: OpStepPlanned, Opts: json.RawMessage(tc.opts)}
		require.Equal(t, tc.mode, op.ParallelMode(), tc.opts)
		require.Equal(t, tc.kind, op.Type(), tc.opts)
		require.Equal(t, tc.ai, op.AI(), tc.opts)
	}
	require.True(t, (&Opcode{Op: OpAIGateway}).AI())
}

func TestOpcodeSurvivesJSON(t *testing.T) {
	t.Parallel()
	ops, err := ParseOps([]byte(smallAnswer))
	require.NoError(t, err)
	text, err := json.Marshal(ops[0])
	require.NoError(t, err)
	var back Opcode
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, ops[0], back)

	unknown, err := json.Marshal(Timing{})
	require.NoError(t, err)
	require.Equal(t, `{"a":0,"b":0}`, string(unknown))
}

func TestUserError(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"name":"Error","message":"bang","stack":"at","__serialized":true}`: `{"message":"bang","name":"Error","stack":"at"}`,
		`{"message":"gobad","name":"Step failed","data":5}`:                  `{"data":5,"message":"gobad","name":"Step failed"}`,
		`{"name":"E","message":"<m>","cause":{"z":1,"a":{}},"noRetry":true}`: `{"cause":{"a":{},"z":1},"message":"<m>","name":"E"}`,
		`{"name":5,"message":null,"data":null,"cause":null}`:                 `{"data":null,"message":"","name":"5"}`,
		`{}`:     `{"message":"","name":""}`,
		`"bang"`: `{"message":"bang","name":"Error"}`,
		`[1]`:    `{"message":"[1]","name":"Error"}`,
		`{"name":"E","message":"m","data":1e999}`: `{"message":"m","name":"E"}`,
	} {
		var e UserError
		require.NoError(t, json.Unmarshal([]byte(in), &e), in)
		require.Equal(t, want, string(e.JSON()), in)
		e.NoRetry = true
		text, err := json.Marshal(&e)
		require.NoError(t, err)
		require.Contains(t, string(text), `"noRetry":true`)
		canonical, err := jcs.Canonicalize(e.JSON())
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(e.JSON()))
	}
}

func TestMemos(t *testing.T) {
	t.Parallel()
	memo := func(raw json.RawMessage, err error) string {
		t.Helper()
		require.NoError(t, err)
		canonical, err := jcs.Canonicalize(raw)
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(raw))
		return string(raw)
	}
	require.Equal(t, `{"data":{"a":2,"x":1}}`, memo(MemoData(json.RawMessage(`{"x":1, "a":2}`))))
	require.Equal(t, `{"data":null}`, memo(MemoData(nil)))
	require.Equal(t, `{"data":null}`, memo(MemoData(json.RawMessage(`null`))))
	require.Equal(t, `[1]`, memo(MemoRaw(json.RawMessage(`[1.0]`))))
	require.Equal(t, `null`, memo(MemoRaw(nil)))
	require.Equal(t, `null`, memo(MemoNull, nil))
	require.Equal(t, `{"error":{"message":"m","name":"E"}}`, memo(MemoError(&UserError{Name: "E", Message: "m"}), nil))
	require.Equal(t, `{"data":{"x":42}}`, memo(MemoInvoke(json.RawMessage(`{"x":42}`), nil)))
	require.Equal(t, `{"data":null}`, memo(MemoInvoke(nil, json.RawMessage(`null`))))
	require.Equal(t, `{"error":{"message":"could not find function with ID: fake-nope","name":"Error"}}`,
		memo(MemoInvoke(json.RawMessage(`1`), json.RawMessage(`{"name":"Error","message":"could not find function with ID: fake-nope"}`))))
	require.Contains(t, memo(MemoInvokeTimeout, nil), `"name":"InngestInvokeTimeoutError"`)
	require.Equal(t, `{"data":{"data":{"hello":1},"signal":"sig-1"}}`, memo(MemoSignal("sig-1", json.RawMessage(`{"hello":1}`))))
	_, err := MemoData(json.RawMessage(`1e999`))
	require.Error(t, err)
}

func TestInputOfAStep(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"op":"StepRun","opts":{"input":[1, {"a":2}],"type":"x"}}`:       `[1, {"a":2}]`,
		`{"op":"StepError","opts":{"Input":[1]}}`:                         `[1]`,
		`{"op":"AIGateway","opts":{"input":1,"body":{"model":"m"}}}`:      `{"model":"m"}`,
		`{"op":"StepRun","opts":{"input":null}}`:                          ``,
		`{"op":"StepRun","opts":{}}`:                                      ``,
		`{"op":"StepRun","opts":["input"]}`:                               ``,
		`{"op":"StepRun"}`:                                                ``,
		`{"op":"StepRun","opts":{"inputs":[1],"in":[2],"a":{"input":3}}}`: ``,
	} {
		require.Equal(t, want, string(parseOp(t, text).Input()), text)
	}
}
