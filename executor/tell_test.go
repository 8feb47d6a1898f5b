package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

// answering is an SDK that always gives one answer, for the only function.
type answering struct {
	SDK
	answer *driver.Response
	fn     *function.Function // nil when it was removed
}

func (a answering) Call(context.Context, *driver.Request) (*driver.Response, error) {
	return a.answer, nil
}

func (a answering) Gateway(context.Context, driver.GatewayOpts) (driver.GatewayAnswer, *driver.GatewayError) {
	return driver.GatewayAnswer{}, &driver.GatewayError{Name: "GatewayError", Message: "no such host"}
}

func (a answering) Executable(uuid.UUID) (*function.Function, uuid.UUID, bool) {
	return a.fn, uuid.UUID{}, a.fn != nil
}

func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	boom := &driver.UserError{Name: "TypeError", Message: "boom"}
	failed := &driver.Response{Kind: driver.KindError, ErrorText: "invalid status code: 500",
		Error: &driver.RunError{Error: "invalid status code: 500", Name: "TypeError", Message: "boom"}}
	steps := func(ops ...driver.Opcode) *driver.Response {
		return &driver.Response{Kind: driver.KindSteps, Ops: ops}
	}
	const last = function.DefaultRetries // attempt
	cases := map[string]struct {
		answer  *driver.Response
		attempt int
		removed bool
		msg     string // "" if there is nothing to say
		err     string
	}{
		"done":           {answer: &driver.Response{Kind: driver.KindDone}},
		"done at last":   {answer: &driver.Response{Kind: driver.KindDone}, attempt: 1},
		"steps":          {answer: steps(driver.Opcode{Op: driver.OpStepRun, ID: "a"})},
		"function":       {answer: failed, msg: "attempt failed; it is tried again", err: "TypeError: boom (invalid status code: 500)"},
		"function, last": {answer: failed, attempt: last, msg: "run failed", err: "TypeError: boom (invalid status code: 500)"},
		"step": {answer: steps(driver.Opcode{Op: driver.OpStepError, ID: "a", Name: "pay", Error: boom}),
			msg: "attempt failed; it is tried again", err: `step "pay": TypeError: boom`},
		"step, last": {answer: steps(driver.Opcode{Op: driver.OpStepFailed, ID: "a", Name: "pay", Error: boom}), attempt: last,
			msg: "step failed", err: `step "pay": TypeError: boom`},
		"gateway": {answer: steps(driver.Opcode{Op: driver.OpGateway, ID: "a", Name: "get", Opts: json.RawMessage(`{"url":"http://nowhere"}`)}),
			msg: "attempt failed; it is tried again", err: `step "get": no such host`},
		"bad op": {answer: steps(driver.Opcode{Op: driver.OpStepError, ID: "a"}),
			msg: "attempt failed; it is tried again", err: "step a reports an error without saying which"},
		"too many ops": {answer: steps(make([]driver.Opcode, DefaultStepLimit+1)...),
			msg: "run failed", err: "InngestErrFunctionOverflowed: The function run exceeded the step limit of 1000 steps."},
		"sleep beyond a year": {answer: steps(driver.Opcode{Op: driver.OpSleep, ID: "a", Name: "400d"}),
			msg: "run failed", err: `InngestErrTimeoutTooLong: The sleep "400d" ends more than one year in the future; sleeps may last at most one year.`},
		"removed function": {removed: true, msg: "run failed", err: "the function of this run is no longer registered"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sdk := answering{answer: c.answer, fn: &function.Function{Slug: "app-fn"}}
			if c.removed {
				sdk.fn = nil
			}
			var out bytes.Buffer
			told := "untold"
			e := New(Config{SDK: sdk, Functions: sdk, Logger: slog.New(slog.NewJSONHandler(&out, nil)),
				OnTrouble: func(_ ulid.ULID, reason string) { told = reason }})
			run := &state.Run{ID: ulid.Make(), Version: state.Undecided, Events: []json.RawMessage{json.RawMessage(`{}`)}}
			_, err := e.call(t.Context(), run, state.Job{ID: "job", Attempt: c.attempt}, time.Now())
			require.NoError(t, err)
			switch {
			case strings.HasPrefix(c.msg, "attempt failed"):
				require.Equal(t, "attempt 1 of 5 failed: "+c.err, told)
			case c.attempt > 0 && c.msg != "run failed":
				require.Empty(t, told, "earlier trouble is over")
			default:
				require.Equal(t, "untold", told)
			}
			if c.msg == "" {
				require.Empty(t, out.String())
				return
			}
			var line struct {
				Msg   string
				Error string
				RunID string `json:"run_id"`
			}
			require.NoError(t, json.Unmarshal(out.Bytes(), &line), out.String())
			require.Equal(t, c.msg, line.Msg)
			require.Equal(t, c.err, line.Error)
			require.Equal(t, run.ID.String(), line.RunID)
		})
	}
}

func TestLongErrorsAreShortened(t *testing.T) {
	t.Parallel()
	require.Equal(t, "boom", shorten("boom"))
	long := shorten(strings.Repeat("é", maxTold))
	require.Equal(t, strings.Repeat("é", maxTold/2)+"\u2026", long)
}
