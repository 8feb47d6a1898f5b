package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history"
	"jetstep/state"
)

const eventText = "01M8AF1G01X4B25E9428SVBFJ0"

// ranRun is a run that has ended.
func ranRun() history.Run {
	return history.Run{
		ID: ulid.MustParse(knownRun), FunctionID: uuid.MustParse("1d096226-3dd8-522e-bf41-b1de71388121"), FunctionVersion: 2,
		EventIDs: []ulid.ULID{ulid.MustParse(eventText)}, Status: state.Scheduled, QueuedAt: now.Truncate(time.Millisecond),
	}
}

func TestGetRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.history.RunScheduled(ranRun())
	const start = `{"data":{"run_id":"01M8AFNA89V4FR54NKFFTV1PNK","run_started_at":"2026-11-25T23:00:52.088Z","function_id":"1d096226-3dd8-522e-bf41-b1de71388121",` +
		`"function_version":2,"environment_id":"00000000-0000-4000-b000-000000000000","event_id":"01M8AF1G01X4B25E9428SVBFJ0",`
	const end = `"metadata":{"fetched_at":"2026-11-25T23:00:52.088477932Z","cached_until":"2026-11-25T23:00:55.088477932Z"}}` + "\n"
	get := func() string {
		w := f.do(t, "GET", "/v1/runs/"+strings.ToLower(knownRun), "")
		require.Equal(t, 200, w.Code)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, "private, max-age=3", w.Header().Get("Cache-Control"))
		return w.Body.String()
	}
	require.Equal(t, start+`"status":"Scheduled","ended_at":null},`+end, get())

	f.history.RunStarted(ulid.MustParse(knownRun))
	require.Equal(t, start+`"status":"Running","ended_at":null},`+end, get())
	f.history.RunWaits(ulid.MustParse(knownRun), "attempt 1 of 5 failed: Unable to reach SDK URL")
	require.Equal(t, start+`"status":"Running","ended_at":null,"reason":"attempt 1 of 5 failed: Unable to reach SDK URL"},`+end, get())

	f.history.RunFinished(ulid.MustParse(knownRun), state.Completed, json.RawMessage(`{"a":{"n":1}}`), now.Add(2*time.Second))
	require.Equal(t, start+`"status":"Completed","ended_at":"2026-11-25T23:00:54.088477932Z","output":{"a":{"n":1}}},`+end, get())
}

func TestGetRunThatIsRare(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	batch, original := ulid.MustParse(eventText), ulid.MustParse(goneRun)
	f.history.RunScheduled(history.Run{ID: ulid.MustParse(knownRun), Status: state.Skipped, BatchID: &batch, OriginalRunID: &original, Cron: "* * * * *"})
	body := f.do(t, "GET", "/v1/runs/"+knownRun, "").Body.String()
	require.Contains(t, body, `"event_id":"00000000000000000000000000","batch_id":"`+eventText+`","original_run_id":"`+goneRun+`","cron":"* * * * *","status":"Skipped"`)
}

func TestSkippedRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	skipped, existing := ranRun(), ulid.MustParse(goneRun)
	skipped.Status, skipped.Reason, skipped.EndedAt, skipped.ExistingRunID = state.Skipped, "Singleton", skipped.QueuedAt, &existing
	f.history.RunScheduled(skipped)
	body := f.do(t, "GET", "/v1/runs/"+knownRun, "").Body.String()
	require.Contains(t, body, `"run_started_at":"2026-11-25T23:00:52.088Z"`)
	require.Contains(t, body, `"status":"Skipped","ended_at":"2026-11-25T23:00:52.088Z","reason":"Singleton","existing_run_id":"`+goneRun+`"}`)
	require.Contains(t, f.do(t, "GET", "/v1/events/"+eventText+"/runs", "").Body.String(), `{"data":[],`)
}

func TestRunThatWaitsForALimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.history.RunScheduled(ranRun())
	f.runs.waiting = map[ulid.ULID]string{ulid.MustParse(knownRun): "concurrency by event.data.a"}
	const want = `"status":"Scheduled","ended_at":null,"waiting_for":"concurrency by event.data.a"}`
	require.Contains(t, f.do(t, "GET", "/v1/runs/"+knownRun, "").Body.String(), want)
	require.Contains(t, f.do(t, "GET", "/v1/events/"+eventText+"/runs", "").Body.String(), want)
	require.Contains(t, f.do(t, "GET", "/", "").Body.String(), "waits for its limit of concurrency by event.data.a")

	f.history.RunFinished(ulid.MustParse(knownRun), state.Completed, nil, now)
	require.NotContains(t, f.do(t, "GET", "/v1/runs/"+knownRun, "").Body.String(), "waiting_for", "it has ended")
}

func TestGetRunErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(t, "GET", "/v1/runs/"+goneRun, "")
	require.Equal(t, 404, w.Code, "not 200 or 500, as the original")
	require.Equal(t, `{"error":"Unable to load function run: `+goneRun+`","data":null,"status":404}`+"\n", w.Body.String())
	w = f.do(t, "GET", "/v1/runs/x", "")
	require.Equal(t, 400, w.Code)
	require.Equal(t, `{"error":"Invalid run ID: x","data":null,"status":400}`+"\n", w.Body.String())

	f.runs.loading = true
	require.Equal(t, 503, f.do(t, "GET", "/v1/runs/"+goneRun, "").Code, "nobody knows yet")
}

func TestEventRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.history.RunScheduled(ranRun())
	w := f.do(t, "GET", "/v1/events/"+eventText+"/runs", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "private, max-age=15", w.Header().Get("Cache-Control"))
	require.Contains(t, w.Body.String(), `{"data":[{"run_id":"`+knownRun+`"`)
	require.Contains(t, w.Body.String(), `"environment_id":"00000000-0000-0000-0000-000000000000"`)
	require.Contains(t, f.do(t, "GET", "/v1/events/"+goneRun+"/runs", "").Body.String(), `{"data":[],`)
	w = f.do(t, "GET", "/v1/events/x/runs", "")
	require.Equal(t, 400, w.Code)
	require.Equal(t, `{"error":"Invalid event ID: x","data":null,"status":400}`+"\n", w.Body.String())
}

func TestRunJobs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	path := "/v1/runs/" + knownRun + "/jobs"
	require.Contains(t, f.do(t, "GET", path, "").Body.String(), `{"data":[],`)
	f.runs.jobs = []Job{{ID: "1sp7x3dmvvp5z", At: now, Kind: "sleep", Raw: json.RawMessage(`{"a":1}`)}}
	w := f.do(t, "GET", path, "")
	require.Equal(t, "private, max-age=5", w.Header().Get("Cache-Control"))
	require.Contains(t, w.Body.String(), `{"data":[{"JobID":"1sp7x3dmvvp5z","at":"2026-11-25T23:00:52.088477932Z","position":0,"kind":"sleep","attempt":0,"Raw":{"a":1}}],`)
	f.runs.jobs = make([]Job, 12)
	require.Equal(t, 10, strings.Count(f.do(t, "GET", path, "").Body.String(), "JobID"))
	f.runs.jobs, f.runs.err = nil, fmt.Errorf("run: %w", ErrRunNotFound)
	require.Contains(t, f.do(t, "GET", path, "").Body.String(), `{"data":[],`)
	f.runs.err = errors.New("no leader")
	require.Equal(t, 500, f.do(t, "GET", path, "").Code)
	require.Equal(t, 400, f.do(t, "GET", "/v1/runs/x/jobs", "").Code)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err     error
		history state.Status
		v1, v0  int
		v1Body  string
		v0Body  string
	}{
		"running":           {nil, state.Running, 200, 204, "", ""},
		"before it is seen": {nil, state.Unknown, 200, 204, "", ""},
		"cancelled":         {ErrRunNotFound, state.Cancelled, 200, 204, "", ""},
		"cancelled, kept":   {ErrRunEnded, state.Cancelled, 200, 204, "", ""},
		"completed":         {ErrRunNotFound, state.Completed, 409, 409, "Unable to cancel function run: it has already ended", "This function has already completed"},
		"ended, not seen":   {ErrRunEnded, state.Running, 409, 409, "Unable to cancel function run: it has already ended", "This function has already completed"},
		"unknown":           {ErrRunNotFound, state.Unknown, 404, 404, "Unable to load function run: " + knownRun, "A function run with the given ID could not be found"},
		"lost":              {ErrRunNotFound, state.Running, 404, 404, "Unable to load function run: " + knownRun, "A function run with the given ID could not be found"},
		"unreachable":       {errors.New("no leader"), state.Running, 500, 500, "Unable to cancel function run: internal error", "Internal error"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if test.history != state.Unknown {
				run := ranRun()
				run.Status = test.history
				f.history.RunScheduled(run)
			}
			if test.err != nil {
				f.runs.err = fmt.Errorf("cancel: %w", test.err)
			}
			w := f.do(t, "DELETE", "/v1/runs/"+knownRun, "")
			require.Equal(t, test.v1, w.Code)
			requireMessage(t, test.v1, test.v1Body, w.Body.String())
			w = f.do(t, "DELETE", "/v0/runs/"+knownRun, "")
			require.Equal(t, test.v0, w.Code)
			requireMessage(t, test.v0, test.v0Body, w.Body.String())
			require.Equal(t, []ulid.ULID{ulid.MustParse(knownRun), ulid.MustParse(knownRun)}, f.runs.cancelled)
		})
	}
	f := newFixture(t)
	f.runs.err, f.past.err = ErrRunNotFound, history.ErrUnavailable
	for _, path := range []string{"/v1/runs/", "/v0/runs/"} {
		require.Equal(t, 503, f.do(t, "DELETE", path+knownRun, "").Code, "how it ended is not known")
	}
	f.runs.err, f.runs.loading = errors.New("no owner"), true
	for _, path := range []string{"/v1/runs/", "/v0/runs/"} {
		w := f.do(t, "DELETE", path+knownRun, "")
		require.Equal(t, 503, w.Code)
		require.Contains(t, w.Body.String(), "is being loaded")
	}
	requireMessage(t, 400, "Invalid run ID: x", f.do(t, "DELETE", "/v1/runs/x", "").Body.String())
	requireMessage(t, 400, "The run ID specified is invalid", f.do(t, "DELETE", "/v0/runs/x", "").Body.String())
}

// requireMessage wants a public error with that message, or an empty body.
func requireMessage(t *testing.T, status int, message, body string) {
	t.Helper()
	if message != "" {
		message = fmt.Sprintf(`{"error":"%s","data":null,"status":%d}`+"\n", message, status)
	}
	require.Equal(t, message, body)
}

// downHistory fails at everything.
type downHistory struct {
	history.Reader
	err error
}

func (h downHistory) Run(context.Context, ulid.ULID) (history.Run, error) {
	return history.Run{}, h.err
}
func (h downHistory) Event(context.Context, ulid.ULID) (history.Event, error) {
	return history.Event{}, h.err
}
func (h downHistory) EventRuns(context.Context, ulid.ULID) ([]history.Run, error) { return nil, h.err }
func (h downHistory) RecentRuns(context.Context, int) ([]history.Run, error)      { return nil, h.err }
func (h downHistory) Events(context.Context, history.EventFilter) ([]history.Event, error) {
	return nil, h.err
}

// historyPaths are those that are answered from the history.
var historyPaths = []string{"/v1/runs/" + knownRun, "/v1/events/" + eventText, "/v1/events/" + eventText + "/runs", "/v1/events"}

func TestHistoryThatFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(cfg *Config) { cfg.History = downHistory{err: errors.New("no such column")} })
	for _, path := range append([]string{"/"}, historyPaths...) {
		w := f.do(t, "GET", path, "")
		require.Equal(t, 500, w.Code, path)
		requireMessage(t, 500, "Internal error", w.Body.String())
	}
	f.runs.err = ErrRunNotFound
	require.Equal(t, 500, f.do(t, "DELETE", "/v1/runs/"+knownRun, "").Code)
	require.Contains(t, f.log.String(), "no such column")
}

// timedHistory tells whether it may take for ever.
type timedHistory struct {
	downHistory
	bounded chan bool
}

func (h timedHistory) Run(ctx context.Context, _ ulid.ULID) (history.Run, error) {
	_, bounded := ctx.Deadline()
	h.bounded <- bounded
	return history.Run{}, h.err
}

func TestReadingIsBounded(t *testing.T) {
	t.Parallel()
	h := timedHistory{downHistory{err: history.ErrUnavailable}, make(chan bool, 1)}
	f := newFixture(t, func(cfg *Config) { cfg.History = h })
	require.Equal(t, 503, f.do(t, "GET", "/v1/runs/"+knownRun, "").Code)
	require.True(t, <-h.bounded)
}

func TestHistoryThatIsDown(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("%w: password wrong", history.ErrUnavailable)
	f := newFixture(t, func(cfg *Config) { cfg.History = downHistory{err: down} })
	for _, path := range historyPaths {
		w := f.do(t, "GET", path, "")
		require.Equal(t, 503, w.Code, path)
		requireMessage(t, 503, "The history is not available at the moment; runs go on, and are shown later", w.Body.String())
	}
	w := f.do(t, "GET", "/", "")
	require.Equal(t, 200, w.Code, "people are told what there is")
	require.Contains(t, w.Body.String(), "The history is not available at the moment")
	require.Equal(t, 200, f.do(t, "DELETE", "/v1/runs/"+knownRun, "").Code, "live runs need no history")
}

// TestLargeState is what SDKs fetch with use_api (sdk-protocol §8).
func TestLargeState(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	batch, actions := "/v0/runs/"+knownRun+"/batch", "/v0/runs/"+knownRun+"/actions"
	require.Equal(t, "[]", f.do(t, "GET", batch, "").Body.String())
	require.Equal(t, "{}", f.do(t, "GET", actions, "").Body.String())

	f.runs.events = []json.RawMessage{json.RawMessage(`{"data":{"h":"<b>"},"name":"a"}`), json.RawMessage(`{"name":"b"}`)}
	f.runs.steps = map[string]json.RawMessage{"b": json.RawMessage(`null`), "a": json.RawMessage(`{"data":"<y>"}`)}
	w := f.do(t, "GET", batch, "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, `[{"data":{"h":"<b>"},"name":"a"},{"name":"b"}]`, w.Body.String())
	require.Equal(t, `{"a":{"data":"<y>"},"b":null}`, f.do(t, "GET", actions, "").Body.String())

	for _, path := range []string{batch, actions} {
		f.runs.err = ErrRunNotFound
		w = f.do(t, "GET", path, "")
		require.Equal(t, 410, w.Code)
		requireMessage(t, 410, "runtime state is no longer available for runID: "+knownRun, w.Body.String())
		f.runs.err = errors.New("no leader")
		require.Equal(t, 500, f.do(t, "GET", path, "").Code)
		w = f.do(t, "GET", strings.Replace(path, knownRun, "x", 1), "")
		require.Equal(t, 400, w.Code)
		requireMessage(t, 400, "The run ID specified is invalid", w.Body.String())
	}
}

func TestGetEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.past.events = []history.Event{{InternalID: ulid.MustParse(eventText), ID: "mine", Name: "demo/simple", ReceivedAt: now,
		Data: json.RawMessage(`{"id":"1"}`), User: json.RawMessage(`{"u":1}`), TS: 1795647651841, V: "1"}}
	f.history.EventReceived(ulid.MustParse(eventText), 7, 1, now)
	w := f.do(t, "GET", "/v1/events/"+eventText, "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "private, max-age=5", w.Header().Get("Cache-Control"))
	before, after, _ := strings.Cut(w.Body.String(), `"received_at":"`)
	require.Equal(t, `{"data":{"internal_id":"01M8AF1G01X4B25E9428SVBFJ0","account_id":"00000000-0000-0000-0000-000000000000",`+
		`"environment_id":"00000000-0000-0000-0000-000000000000","source":"","source_id":null,`, before)
	require.Contains(t, after, `Z","id":"mine","name":"demo/simple","data":{"id":"1"},"user":{"u":1},"ts":1795647651841,"v":"1","matched":1},"metadata":`)

	w = f.do(t, "GET", "/v1/events/"+goneRun, "")
	require.Equal(t, 404, w.Code)
	requireMessage(t, 404, "Event not found", w.Body.String())
	w = f.do(t, "GET", "/v1/events/x", "")
	require.Equal(t, 400, w.Code)
	requireMessage(t, 400, "Invalid event ID: x", w.Body.String())

	earlier := &filterHistory{matched: -1}
	f = newFixture(t, func(cfg *Config) { cfg.History = earlier })
	require.NotContains(t, f.do(t, "GET", "/v1/events", "").Body.String(), "matched", "nobody knows any more")
}

// filterHistory remembers how it was asked for events.
type filterHistory struct {
	history.Reader
	filter  history.EventFilter
	matched int
}

func (h *filterHistory) Events(_ context.Context, filter history.EventFilter) ([]history.Event, error) {
	h.filter = filter
	return []history.Event{{Name: "a", ReceivedAt: now, Matched: h.matched}}, nil
}

func TestListEvents(t *testing.T) {
	t.Parallel()
	h := &filterHistory{}
	f := newFixture(t, func(cfg *Config) { cfg.History = h })
	defaults := history.EventFilter{Limit: 20, ReceivedAfter: now.Add(-time.Hour), ReceivedBefore: now}
	with := func(change func(*history.EventFilter)) history.EventFilter {
		filter := defaults
		change(&filter)
		return filter
	}
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for query, want := range map[string]history.EventFilter{
		"":                           defaults,
		"limit=0":                    defaults,
		"limit=x":                    defaults,
		"limit=7":                    with(func(f *history.EventFilter) { f.Limit = 7 }),
		"limit=100":                  with(func(f *history.EventFilter) { f.Limit = 51 }),
		"limit=-3":                   with(func(f *history.EventFilter) { f.Limit = 1 }),
		"name=a%2Fb":                 with(func(f *history.EventFilter) { f.Name = "a/b" }),
		"cursor=" + eventText:        with(func(f *history.EventFilter) { f.Before = ulid.MustParse(eventText) }),
		"received_after=2026-11-01":  with(func(f *history.EventFilter) { f.ReceivedAfter = day }),
		"received_before=2026-11-01": with(func(f *history.EventFilter) { f.ReceivedBefore = day }),
		"received_after=2026-11-01T00:00:00Z&limit=1": with(func(f *history.EventFilter) { f.ReceivedAfter, f.Limit = day, 1 }),
	} {
		w := f.do(t, "GET", "/v1/events?"+query, "")
		require.Equal(t, 200, w.Code, query)
		require.Equal(t, want, h.filter, query)
		require.NotContains(t, w.Header(), "Cache-Control")
		require.Equal(t, `{"data":[{"internal_id":"00000000000000000000000000","account_id":"00000000-0000-0000-0000-000000000000","environment_id":"00000000-0000-0000-0000-000000000000",`+
			`"source":"","source_id":null,"received_at":"2026-11-25T23:00:52.088477932Z","name":"a","data":null,"matched":0}],"metadata":{"fetched_at":"2026-11-25T23:00:52.088477932Z"}}`+"\n", w.Body.String())
	}
	for query, message := range map[string]string{
		"cursor=x": "Invalid cursor query parameter", "received_after=x": "Invalid received_after query parameter",
		"received_before=x": "Invalid received_after query parameter",
	} {
		w := f.do(t, "GET", "/v1/events?"+query, "")
		require.Equal(t, 400, w.Code)
		requireMessage(t, 400, message, w.Body.String())
	}
	require.Contains(t, newFixture(t).do(t, "GET", "/v1/events", "").Body.String(), `{"data":[],`)
}
