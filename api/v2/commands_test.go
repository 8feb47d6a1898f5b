package v2_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/command"
	"jetstep/api/ingest"
	"jetstep/history/view"
	"jetstep/state"
)

// commands remembers what it was told.
type commands struct {
	err      error
	rerun    command.Rerun
	replay   command.Replay
	replayed command.Replayed
	begin    command.Begin
	event    string
	resent   ulid.ULID
	ended    []ulid.ULID
}

var made = ulid.MustParse(noRun)

func (c *commands) Cancel(_ context.Context, run ulid.ULID) error {
	c.ended = append(c.ended, run)
	return c.err
}

func (c *commands) Rerun(_ context.Context, rerun command.Rerun) (ulid.ULID, error) {
	c.rerun = rerun
	return made, c.err
}

func (c *commands) Replay(_ context.Context, replay command.Replay) (command.Replayed, error) {
	c.replay = replay
	return c.replayed, c.err
}

func (c *commands) Begin(_ context.Context, begin command.Begin) (ulid.ULID, error) {
	c.begin = begin
	return made, c.err
}

func (c *commands) Send(_ context.Context, event json.RawMessage) (ulid.ULID, error) {
	c.event = string(event)
	return made, c.err
}

func (c *commands) Resend(_ context.Context, event ulid.ULID) (ulid.ULID, error) {
	c.resent = event
	return made, c.err
}

// failure is an error of a command with what clients are told.
type failure struct {
	err           error
	status        int
	code, message string
}

var unknown = failure{errors.New("no owner"), 500, "internal_error", "Internal error"}

// requireFailures makes a request that fails in each of the ways.
func requireFailures(t *testing.T, request func() (int, string), told *commands, failures ...failure) {
	t.Helper()
	for _, f := range append(failures, unknown) {
		told.err = fmt.Errorf("command: %w", f.err)
		status, answer := request()
		require.Equal(t, f.status, status, f.err)
		require.Equal(t, problemOf(f.code, f.message), answer)
	}
	told.err = nil
}

func TestRerun(t *testing.T) {
	t.Parallel()
	api, _, told := newAPI(t)
	rerun := func(body string) (int, string) { return ask(t, api, "POST", "/v2/runs/"+completedRun+"/rerun", body) }
	status, answer := rerun("")
	require.Equal(t, 200, status)
	require.Equal(t, `{"data":{"runId":"`+noRun+`"},`+fetched+`}`, answer)
	require.Equal(t, command.Rerun{Run: ulid.MustParse(completedRun)}, told.rerun)
	for _, body := range []string{`{"fromStep":{"stepId":"first","input":[1]}}`, `{"from_step":{"step_id":"first","input":[1]}}`} {
		_, _ = rerun(body)
		require.Equal(t, command.Rerun{Run: ulid.MustParse(completedRun), Step: "first", Input: []byte("[1]")}, told.rerun)
	}
	_, _ = rerun(`{"fromStep":{"stepId":"first","input":null}}`)
	require.Nil(t, told.rerun.Input)
	requireFailures(t, func() (int, string) { return rerun(`{"fromStep":{"stepId":"x"}}`) }, told,
		failure{command.ErrNoSuchStep, 400, "invalid_request", "Step not found in original run"},
		failure{command.ErrAmbiguousStep, 400, "invalid_request", "Step name matches multiple steps in original run"},
		failure{command.ErrNoFunction, 404, "not_found", "Function not found"},
		failure{command.ErrNoInput, 404, "not_found", "Events of the run not found"},
		failure{view.ErrNotFound, 404, "not_found", "Run not found"},
	)
	status, _ = ask(t, api, "POST", "/v2/runs/"+noRun+"/rerun", "")
	require.Equal(t, 200, status, "a run that the history does not have yet")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	api, store, told := newAPI(t)
	for i := range store.RunRows {
		if store.RunRows[i].ID.String() == completedRun {
			store.RunRows[i].Status = view.Running
		}
	}
	cancel := func(run string) (int, string) { return ask(t, api, "POST", "/v2/runs/"+run+"/cancel", "") }
	for _, run := range []string{completedRun, noRun} { // one that the history does not have yet
		status, answer := cancel(run)
		require.Equal(t, 200, status)
		require.Equal(t, `{"data":{"runId":"`+run+`"},`+fetched+`}`, answer)
	}
	require.Equal(t, []ulid.ULID{ulid.MustParse(completedRun), made}, told.ended)
	requireFailures(t, func() (int, string) { return cancel(noRun) }, told,
		failure{command.ErrEnded, 409, "run_already_ended", "Cannot cancel an ended run"},
		failure{view.ErrNotFound, 404, "not_found", "Run not found"},
	)
	_, answer := ask(t, api, "GET", "/v2/runs/"+completedRun, "")
	require.NotContains(t, answer, "endedAt", "it runs")
}

func TestSendEvent(t *testing.T) {
	t.Parallel()
	api, _, told := newAPI(t)
	send := func(body string) (int, string) { return ask(t, api, "POST", "/v2/events", body) }
	for body, event := range map[string]string{
		`{"name":"a"}`: `{"name":"a"}`,
		`{"ts":1700000000000,"id":"x","user":{"u":1},"data":{"<":1},"name":"a"}`: `{"name":"a","data":{"<":1},"user":{"u":1},"id":"x","ts":1700000000000}`,
		`{"name":"a","ts":"1700000000000"}`:                                      `{"name":"a","ts":1700000000000}`,
	} {
		status, answer := send(body)
		require.Equal(t, 200, status)
		require.Equal(t, `{"data":{"eventId":"`+noRun+`"},`+fetched+`}`, answer)
		require.Equal(t, event, told.event)
	}
	requireFailures(t, func() (int, string) { return send(`{"name":"a"}`) }, told)
	events, err := ingest.New(ingest.Config{})
	require.NoError(t, err)
	for event, want := range map[string]failure{
		`{"name":"inngest/x"}`: {errors.New("event name is reserved for internal use: inngest/x"), 400, "invalid_field_format", "event name is reserved for internal use: inngest/x"},
		`{"name":"a","ts":1}`:  {errors.New("timestamp is before Jan 1, 1980"), 400, "validation_error", "timestamp is before Jan 1, 1980"},
		`{"name":"a","data":"` + strings.Repeat("x", 3<<20+9) + `"}`: {errors.New("Event is over the max size: Max 3145728 bytes / Size 3145759 bytes"), 400, "validation_error", "Event payload cannot exceed 3145728 bytes"},
	} {
		_, told.err = events.Send(t.Context(), []byte(event))
		require.EqualError(t, told.err, want.err.Error())
		status, answer := send(`{"name":"a"}`)
		require.Equal(t, want.status, status)
		require.Equal(t, problemOf(want.code, want.message), answer)
	}
}

func TestResendEvent(t *testing.T) {
	t.Parallel()
	api, _, told := newAPI(t)
	resend := func() (int, string) { return ask(t, api, "POST", "/v2/events/"+completedRun+"/resend", "") }
	status, answer := resend()
	require.Equal(t, 200, status)
	require.Equal(t, `{"data":{"eventId":"`+noRun+`"},`+fetched+`}`, answer)
	require.Equal(t, completedRun, told.resent.String())
	requireFailures(t, resend, told,
		failure{view.ErrNotFound, 404, "not_found", "Event not found"},
		failure{command.ErrInternalEvent, 400, "invalid_request", "Internal events cannot be sent again"},
	)
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	api, _, told := newAPI(t)
	invoke := func(body string) (int, string) {
		return ask(t, api, "POST", "/v2/apps/fixture-app/functions/hello/invoke", body)
	}
	success := `{"data":{"runId":"` + noRun + `"},` + fetched + `}`
	for body, key := range map[string]string{
		`{"data":{"a":1}}`: "", `{"data":{"a":1},"idempotencyKey":"k"}`: "k", `{"data":{"a":1},"idempotency_key":"k"}`: "k",
	} {
		status, answer := invoke(body)
		require.Equal(t, 200, status)
		require.Equal(t, success, answer)
		require.Equal(t, key, told.begin.Key)
		require.JSONEq(t, `{"a":1}`, string(told.begin.Data))
		require.Equal(t, "20be5504-9564-5440-b9c9-15d46067966b", told.begin.Function.String())
	}
	told.err = fmt.Errorf("begin: %w", state.ErrRepeated)
	status, answer := invoke(`{"data":{}}`)
	require.Equal(t, 409, status)
	require.Equal(t, success, answer)
	requireFailures(t, func() (int, string) { return invoke(`{"data":{}}`) }, told,
		failure{command.ErrNoFunction, 404, "not_found", "Function not found"},
		failure{state.ErrRateLimited, 422, "rate_limited", "Function execution rate limit exceeded. Please try again later."},
		failure{state.ErrDebounced, 422, "function_debounced", "Function invocation was debounced."},
		failure{state.ErrBatched, 422, "function_debounced", "Function invocation was added to a batch."},
		failure{state.ErrSkipped, 422, "function_skipped", "Function invocation was skipped because the function is paused or draining."},
		failure{ingest.ErrInvokeEvent, 400, "validation_error", "Invalid invocation event"},
	)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	api, _, told := newAPI(t)
	replay := func(body string) (int, string) {
		return ask(t, api, "POST", "/v2/apps/fixture-app/functions/fixture-app-fail-fn/replays", body)
	}
	from := time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC)
	status, answer := replay(`{"from":"2026-11-25T23:00:00Z"}`)
	require.Equal(t, 200, status)
	require.Equal(t, `{"metadata":{"fetchedAt":"2026-11-25T23:20:27Z","timeRange":{"from":"2026-11-25T23:00:00Z","until":"2026-11-25T23:20:27Z"}},"page":{"limit":100}}`, answer)
	function := told.replay.Function
	require.Equal(t, command.Replay{Function: function, Statuses: []view.Status{view.Failed}, From: from, Until: captured, Limit: 100}, told.replay)

	next := view.Cursor{ID: failedRun}
	told.replayed = command.Replayed{More: true, Next: next, Runs: []command.ReplayedRun{
		{Run: ulid.MustParse(failedRun), New: made}, {Run: ulid.MustParse(cancelledRun), Err: command.ErrNoInput},
	}}
	status, answer = replay(`{"from":"2026-11-25T23:00:00Z","until":"2026-11-25T23:10:00Z","status":["failed","CANCELLED"],"limit":2,"dryRun":true,"cursor":"` + next.Encode() + `"}`)
	require.Equal(t, 200, status)
	require.Equal(t, `{"data":[{"newRunId":"`+noRun+`","runId":"`+failedRun+`"},{"error":{"code":"not_found","message":"Events of the run not found"},"runId":"`+cancelledRun+`"}],`+
		`"metadata":{"fetchedAt":"2026-11-25T23:20:27Z","timeRange":{"from":"2026-11-25T23:00:00Z","until":"2026-11-25T23:10:00Z"}},`+
		`"page":{"cursor":"`+next.Encode()+`","hasMore":true,"limit":2}}`, answer)
	require.Equal(t, command.Replay{
		Function: function, Statuses: []view.Status{view.Failed, view.Cancelled}, From: from, Until: from.Add(10 * time.Minute),
		After: &next, Limit: 2, DryRun: true,
	}, told.replay)
	requireFailures(t, func() (int, string) { return replay(`{"from":"2026-11-25T23:00:00Z"}`) }, told)
}
