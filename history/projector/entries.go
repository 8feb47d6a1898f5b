package projector

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/oklog/ulid/v2"

	"jetstep/history/database"
	"jetstep/jcs"
	"jetstep/state"
)

// Entries of the table history (database §8).

// edge is how requests are called here: functions have one step.
const edge = "step"

// entry begins an entry. id is the job or step that it is about.
func (r *run) entry(kind string, at int64, id string, attempt int) database.HistoryEntry {
	e := database.HistoryEntry{
		ID: entryID(r.id, at, kind, id, attempt), CreatedAt: moment(at), RunStartedAt: r.id.Timestamp().UTC(), FunctionID: r.fn,
		RunID: r.id, EventID: r.event, IdempotencyKey: r.key, Type: kind, Attempt: attempt,
	}
	switch {
	case r.begun != nil:
		e.FunctionVersion = r.begun.FunctionVersion
	case r.functions != nil:
		e.FunctionVersion = r.functions.Version
	}
	return e
}

func (b *batch) addEntry(e database.HistoryEntry) { b.rows.History = append(b.rows.History, e) }

func (b *batch) scheduled(run *run) {
	e := run.entry("FunctionScheduled", run.begun.QueuedAt, "", 0)
	if len(run.begun.Jobs) > 0 {
		e.GroupID = groupOf(run.id, run.begun.Jobs[0].ID)
	}
	b.addEntry(e)
}

func (b *batch) startedEntry(run *run, c *state.Called) {
	e := run.entry("FunctionStarted", run.started, "", 0)
	if c != nil {
		e.GroupID, e.LatencyMS = groupOf(run.id, c.Job.ID), latency(c)
	}
	b.addEntry(e)
}

// latency is how long a job that was due was not being executed.
func latency(c *state.Called) *int {
	ms := int(max(c.LeasedAt-c.Job.Due, 0))
	return &ms
}

// callEntries writes the beginning and the end of a request.
func (b *batch) callEntries(c *call, output json.RawMessage) {
	started := c.run.entry("StepStarted", c.StartedAt, c.Job.ID, c.Job.Generation)
	started.Attempt, started.GroupID, started.LatencyMS = c.Job.Attempt, c.group, latency(c.Called)
	started.StepName, started.StepID, started.URL = edge, edge, c.URL
	b.addEntry(started)

	kind := "StepCompleted"
	op := c.single()
	failed := c.Result == state.CallFailed || op != nil && isError(output)
	switch {
	case failed && c.RetryAt != 0:
		kind = "StepErrored"
	case c.Result == state.CallFailed:
		kind = "StepFailed"
	}
	ended := c.run.entry(kind, c.EndedAt, c.Job.ID, c.Job.Generation)
	ended.Attempt, ended.GroupID, ended.URL, ended.StepName, ended.StepID = c.Job.Attempt, c.group, c.URL, edge, edge
	if op != nil && runs(op) && c.Result == state.CallSteps {
		ended.StepType, ended.StepName, ended.StepID = "Run", op.Name, op.ID
	}
	if !failed && (op == nil || !runs(op)) {
		output = nil
	}
	ended.Result = b.result(c, output)
	b.addEntry(ended)
	if c.RetryAt != 0 {
		again := c.run.entry("StepScheduled", c.EndedAt, c.Job.ID, c.Job.Generation+1)
		again.Attempt, again.GroupID, again.StepName, again.StepID = c.Job.Attempt+1, c.group, edge, edge
		b.addEntry(again)
	}
}

// result is the JSON of an answer (database §8), without what spans have anyway:
// headers and raw body.
func (b *batch) result(c *call, output json.RawMessage) json.RawMessage {
	t := append(b.room(256+len(output)), `{"response_duration_ms":`...)
	t = strconv.AppendInt(t, max(c.EndedAt-c.StartedAt, 0), 10)
	t = append(t, `,"error_code":null,"framework":null,"response_headers":null,"output":`...)
	t = jcs.AppendString(t, []byte(output))
	t = append(t, `,"raw_output":null,"platform":null,"sdk_language":`...)
	language, version, _ := strings.Cut(c.SDK, ":")
	t = jcs.AppendString(t, strings.TrimPrefix(language, "inngest-"))
	t = append(t, `,"sdk_version":`...)
	t = jcs.AppendString(t, version)
	t = append(t, `,"response_size_bytes":`...)
	t = strconv.AppendInt(t, int64(c.Size), 10)
	return b.keep(append(t, `,"stack":null}`...))
}

// begunEntry writes that a step was planned, sleeps or waits.
func (b *batch) begunEntry(s *step) {
	kind := map[string]string{
		opPlanned: "StepScheduled", opSleep: "StepSleeping", opEvent: "StepWaiting", opSignal: "StepWaiting", opInvoke: "StepInvoking",
	}[s.Op]
	e := s.run.entry(kind, s.start, s.ID, 0)
	e.GroupID, e.StepName, e.StepID = s.call.group, s.Name, s.ID
	switch s.Op {
	case opSleep:
		e.Sleep = object("until", timeText(s.start+s.Sleep))
	case opEvent:
		e.WaitForEvent = object("event_name", s.Wait, "expression", s.If, "timeout", timeText(s.Expires))
	case opInvoke:
		e.InvokeFunction = object("correlation_id", s.run.id.String()+"."+s.ID,
			"event_id", invokeEvent(s.call.rest, s.run.id, s.ID).String(), "function_id", s.Wait, "timeout", timeText(s.Expires))
	}
	b.addEntry(e)
}

// endedEntry writes that a wait is over.
func (b *batch) endedEntry(run *run, at int64, o *state.StepEnded, memo json.RawMessage) {
	e := run.entry("StepCompleted", at, o.Step, 0)
	e.StepID = o.Step
	timeout := json.RawMessage(`,"timeout":` + strconv.FormatBool(o.TimedOut) + `}`)
	switch o.Kind {
	case state.WaitInvoke:
		e.InvokeResult = append([]byte(`{"event_id":`+idOrNull(o.EventID)+`,"run_id":`+idOrNull(o.ChildRunID)), timeout...)
		if isError(memo) {
			e.Type = "StepFailed"
		}
	default:
		e.WaitResult = append([]byte(`{"event_id":`+idOrNull(o.EventID)), timeout...)
	}
	b.addEntry(e)
}

func idOrNull(id ulid.ULID) string {
	if id.IsZero() {
		return "null"
	}
	return `"` + id.String() + `"`
}

// finishedEntry writes the run's end.
func (b *batch) finishedEntry(run *run) {
	o := run.finished
	e := run.entry("Function"+o.Status.String(), run.ended, "", 0)
	if run.last != nil {
		e.GroupID = groupOf(run.id, run.last.Job.ID)
	}
	if o.Status == state.Cancelled {
		e.CancelRequest = cancelRequest(o.CancelledBy)
		b.addEntry(e)
		return
	}
	c := &call{Called: &state.Called{}, run: run}
	if run.last != nil {
		c.Called = run.last
	}
	var output json.RawMessage
	if o.Status == state.Failed {
		output = o.Output
	}
	e.Result = b.result(c, output)
	b.addEntry(e)
}

// cancelRequest names what cancelled a run. An event and a bulk cancellation
// cannot be told apart by their ids.
func cancelRequest(by ulid.ULID) json.RawMessage {
	return json.RawMessage(`{"EventID":` + idOrNull(by) + `,"Expression":null,"UserID":null,"CancellationID":null,"ForceLifecycleHook":false}`)
}

func (b *batch) skippedEntry(run *run, at int64, o *state.RunSkipped) {
	e := run.entry("FunctionSkipped", at, "", 0)
	e.FunctionVersion, e.EventID, e.BatchID = o.FunctionVersion, firstID(o.EventIDs), o.BatchID
	b.addEntry(e)
}

// object is a JSON object of texts, those that are empty null.
func object(pairs ...string) json.RawMessage {
	b := []byte{'{'}
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jcs.AppendString(b, pairs[i]), ':')
		if pairs[i+1] == "" {
			b = append(b, "null"...)
		} else {
			b = jcs.AppendString(b, pairs[i+1])
		}
	}
	return append(b, '}')
}

func timeText(ms int64) string { return moment(ms).Format("2006-01-02T15:04:05.000Z07:00") }
