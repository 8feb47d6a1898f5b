package projector

import (
	"bytes"
	"encoding/json"
	"time"

	"jetstep/history/trace"
	"jetstep/state"
)

// root writes the row executor.run, with all that the batch knows of the run
// when whole.
func (b *batch) root(run *run, whole bool) {
	begun := run.begun
	status, ended := statusQueued, begun.QueuedAt
	var output json.RawMessage
	if whole && run.started != 0 {
		status, ended = statusRunning, max(ended, run.started)
	}
	if whole && run.finished != nil {
		status, ended, output = run.finished.Status.String(), max(ended, run.ended), b.runOutput(run)
	}
	input := b.input(begun)
	a := b.attributes()
	a.plain("dynamic.status", status)
	a.ids("event.ids", begun.EventIDs)
	a.text("event.trigger.name", begun.Trigger)
	a.millis("queued_at", begun.QueuedAt)
	a.millis("scheduled_at", begun.QueuedAt)
	a.text("function.slug", begun.Slug)
	if run.functions != nil {
		a.text("function.name", run.functions.Name)
	}
	a.number("function.version", int64(begun.FunctionVersion))
	a.text("cron.schedule", begun.Cron)
	if begun.Flow != nil && !begun.Flow.BatchID.IsZero() {
		a.id("batch.id", begun.Flow.BatchID)
		a.millis("batch.ts", int64(begun.Flow.BatchID.Time()))
	}
	a.id("run.replay_original_run_id", begun.Original)
	if !begun.Original.IsZero() {
		a.nested(trace.KeptSteps, trace.MarshalKept(keptSteps(begun.Steps)))
	}
	a.flag("run.is_durable_endpoint", begun.Endpoint != nil)
	origin := originOf(begun)
	origin.tell(a)
	if whole {
		run.progress(a)
	}
	s := run.span(trace.NameRun, run.spanID, run.spanID, trace.NoParent, begun.QueuedAt, ended)
	s.Status, s.EventIDs, s.Input, s.Output, s.IsDeferred = status, begun.EventIDs, input, output, origin != nil
	if whole && run.finished != nil {
		s.EndTime = later(ended, ofEnded)
	}
	s.Told, s.Cron = true, begun.Cron
	if debug := debugOf(begun); debug != nil {
		s.DebugRunID, s.DebugSessionID = textOf(debug.Run), textOf(debug.Session)
	}
	if begun.Flow != nil {
		s.BatchID = begun.Flow.BatchID
	}
	b.addSpan(s, a)
}

// rootOfFinished is the row executor.run as far as the run's end repeats it.
func (b *batch) rootOfFinished(run *run) {
	o := run.finished
	a := b.attributes()
	a.plain("dynamic.status", statusQueued)
	a.ids("event.ids", o.EventIDs)
	a.millis("queued_at", o.QueuedAt)
	a.millis("scheduled_at", o.QueuedAt)
	if run.functions != nil {
		a.text("function.slug", run.functions.Slug)
		a.text("function.name", run.functions.Name)
	}
	a.text("cron.schedule", o.Cron)
	a.id("batch.id", o.BatchID)
	a.id("run.replay_original_run_id", o.Original)
	a.millis("started_at", o.StartedAt)
	s := run.span(trace.NameRun, run.spanID, run.spanID, trace.NoParent, o.QueuedAt, o.QueuedAt)
	s.Status, s.EventIDs, s.Told, s.Cron, s.BatchID = statusQueued, o.EventIDs, true, o.Cron, o.BatchID
	b.addSpan(s, a)
}

// extension writes a row that says more of a run that has its first row.
func (b *batch) extension(run *run, kind, status string, at int64) {
	ended := kind == ofEnded
	var output json.RawMessage
	if ended {
		output = b.runOutput(run)
	}
	a := b.attributes()
	a.plain("dynamic.status", status)
	if ended {
		run.progress(a)
	} else {
		a.millis("started_at", run.started)
		a.millis("run.durable_endpoint.mode_changed_at", run.detached)
	}
	s := run.span(trace.NameExtension, derived(run.id, kind, "", 0), run.spanID, trace.NoParent, at, at)
	s.Status, s.Output, s.EndTime = status, output, later(at, kind)
	b.addSpan(s, a)
}

// later is a moment that tells rows of the same millisecond apart, in the order
// of what they say: a run's status is that of its row with the greatest end.
func later(ms int64, kind string) time.Time {
	at := moment(ms)
	switch kind {
	case ofStarted:
		return at.Add(time.Microsecond)
	case ofDetached:
		return at.Add(2 * time.Microsecond)
	case ofEnded:
		return at.Add(3 * time.Microsecond)
	}
	return at
}

// progress is what became of the run in this batch.
func (r *run) progress(a *attributes) {
	a.millis("started_at", r.started)
	a.millis("run.durable_endpoint.mode_changed_at", r.detached)
	if r.finished == nil {
		return
	}
	a.millis("ended_at", r.ended)
	a.flag("is.function.output", r.finished.Status != state.Cancelled)
	if r.finished.Status == state.Cancelled {
		a.number("response.status_code", 0) // no request ended the run
		a.plain("response.headers", "{}")
	}
	if r.last == nil {
		return
	}
	a.plain("job.id", r.last.Job.ID)
	a.plain("request.id", r.last.RequestID)
	tellComplete(a, r.last)
	if r.finished.Status == state.Failed {
		a.number("response.status_code", int64(r.last.Status))
		a.nested("response.headers", r.last.Headers)
	}
	a.number("response.output_size", int64(len(r.finished.Output)))
}

func (b *batch) runOutput(run *run) json.RawMessage {
	switch output := run.finished.Output; run.finished.Status {
	case state.Failed:
		return b.wrapped("error", output)
	case state.Completed:
		return b.returned(output)
	default:
		return b.wrapped("data", output)
	}
}

// returned is the output of a function that ended well, also without a value.
func (b *batch) returned(output json.RawMessage) json.RawMessage {
	if len(output) == 0 {
		output = json.RawMessage("null")
	}
	return b.wrapped("data", output)
}

// input is the array of the run's events.
func (b *batch) input(begun *state.Run) json.RawMessage {
	events := begun.StoredEvents()
	size := 2
	for _, event := range events {
		size += len(event) + 1
	}
	return b.keep(append(append(append(b.room(size), '['), bytes.Join(raws(events), []byte{','})...), ']'))
}

func raws(list []json.RawMessage) [][]byte {
	plain := make([][]byte, len(list))
	for i, raw := range list {
		plain[i] = raw
	}
	return plain
}

// keptSteps are what a run that is made again from a step remembers of the
// other one: its own trace has nothing else of them.
func keptSteps(steps []state.Step) []trace.Step {
	kept := make([]trace.Step, len(steps))
	for i, s := range steps {
		kept[i] = trace.Step{ID: s.ID, Memo: s.Memo}
	}
	return kept
}
