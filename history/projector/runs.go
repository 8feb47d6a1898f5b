package projector

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/history/database"
	"jetstep/history/trace"
	"jetstep/state"
)

// The names of statuses of spans (database §11.3).
const (
	statusQueued    = "Queued"
	statusRunning   = "Running"
	statusWaiting   = "Waiting"
	statusSleeping  = "Sleeping"
	statusInvoking  = "Invoking"
	statusCompleted = "Completed"
	statusErrored   = "Errored"
	statusFailed    = "Failed"
	statusSkipped   = "Skipped"
)

// runPut notes a new run, and tells the step that invoked it.
func (b *batch) runPut(r *state.Record, begun *state.Run) {
	run := b.touch(begun.ID, begun.FunctionID)
	if run.begun != nil {
		return
	}
	run.begun, run.begunAt = begun, r.At
	if begun.Endpoint != nil {
		run.app = begun.Endpoint.AppID
		run.detached = begun.Endpoint.AsyncAt
	}
	run.started = begun.StartedAt
	b.scheduled(run)
	for _, correlation := range begun.Correlations {
		b.invoked(correlation, begun)
	}
	b.deferScheduled(originOf(begun), begun)
	if len(begun.EventIDs) > 1 && begun.Flow != nil && !begun.Flow.BatchID.IsZero() {
		b.rows.Batches = append(b.rows.Batches, database.Batch{
			ID: begun.Flow.BatchID, AccountID: function.AccountID, WorkspaceID: function.EnvironmentID, AppID: run.app, FunctionID: run.fn,
			RunID: begun.ID, StartedAt: begun.Flow.BatchID.Timestamp().UTC(), ExecutedAt: moment(begun.QueuedAt), EventIDs: begun.EventIDs,
		})
	}
}

// invoked tells the step that invoked a run which one it is. It belongs to
// another run, of which no more is known here.
func (b *batch) invoked(correlation string, child *state.Run) {
	parent, step, ok := state.ParseCorrelation(correlation)
	if !ok {
		return
	}
	root := trace.RunID(parent)
	of := identity{id: parent, traceID: root.Trace, spanID: root.Span}
	a := b.attributes()
	a.id("step.invoke.run.id", child.ID)
	b.addSpan(of.span(trace.NameExtension, derived(parent, ofInvoked, step, 0), stepSpan(step), root.Span, child.QueuedAt, child.QueuedAt), a)
}

// runChanged notes that a run started, and what it defers.
func (b *batch) runChanged(r *state.Record, o *state.RunChanged) {
	if o.StartedAt == 0 && len(o.DefersPut) == 0 {
		return
	}
	called := calledIn(r.Ops, o.RunID)
	run, known := b.runs[o.RunID]
	if !known && called != nil {
		run, known = b.touch(o.RunID, called.FunctionID), true
	}
	if !known {
		return // nothing says which function it is of; its end will
	}
	if o.StartedAt != 0 {
		run.started = o.StartedAt
		b.startedEntry(run, called)
	}
	for i := range o.DefersPut {
		b.deferred(run, &o.DefersPut[i])
	}
}

func calledIn(ops []state.Op, run ulid.ULID) *state.Called {
	for _, op := range ops {
		if c, is := op.(*state.Called); is && c.RunID == run {
			return c
		}
	}
	return nil
}

func (b *batch) runFinished(r *state.Record, o *state.RunFinished) {
	run := b.touch(o.RunID, o.FunctionID)
	if run.finished != nil {
		return
	}
	run.finished, run.ended, run.last = o, r.At, calledIn(r.Ops, o.RunID)
	if run.last != nil {
		run.ended = run.last.EndedAt
	}
	run.ended = max(run.ended, o.StartedAt, o.QueuedAt) // clocks of several machines may differ
	output := string(o.Output)
	if o.Status == state.Cancelled {
		output = "{}"
	}
	b.rows.Finishes = append(b.rows.Finishes, database.FunctionFinish{
		RunID: o.RunID, Status: o.Status.String(), Output: output, CreatedAt: moment(run.ended),
	})
	b.finishedEntry(run)
}

// runSkipped writes all that there is of a run that was not made (database §12).
func (b *batch) runSkipped(r *state.Record, o *state.RunSkipped) {
	run := b.touch(o.RunID, o.FunctionID)
	a := b.attributes()
	a.plain("dynamic.status", statusSkipped)
	a.ids("event.ids", o.EventIDs)
	a.text("event.trigger.name", o.Trigger)
	a.text("cron.schedule", o.Cron)
	a.id("batch.id", o.BatchID)
	a.text("function.slug", o.Slug)
	if run.functions != nil {
		a.text("function.name", run.functions.Name)
	}
	a.number("function.version", int64(o.FunctionVersion))
	a.millis("queued_at", r.At)
	a.millis("scheduled_at", r.At)
	a.plain("run.skip_reason", o.Reason.String())
	a.id("run.skip_existing_run_id", o.Existing)
	s := run.span(trace.NameRun, run.spanID, run.spanID, trace.NoParent, r.At, r.At)
	s.Status, s.EventIDs, s.Told, s.Cron, s.BatchID = statusSkipped, o.EventIDs, true, o.Cron, o.BatchID
	b.addSpan(s, a)
	t := run.traceRun(state.Skipped, 0, 0)
	t.TriggerIDs, t.BatchID, t.Cron = o.EventIDs, o.BatchID, o.Cron
	b.rows.TraceRuns = append(b.rows.TraceRuns, t)
	b.skippedEntry(run, r.At, o)
}

// seal writes the rows of the runs' own spans.
func (b *batch) seal() {
	for _, run := range b.order {
		switch {
		case run.begun != nil:
			b.sealBegun(run)
		case run.finished != nil:
			b.sealFinished(run)
		case run.started != 0:
			b.extension(run, ofStarted, statusRunning, run.started)
			b.rows.Started = append(b.rows.Started, database.StartedRun{RunID: run.id, At: moment(run.started)})
		case run.detached != 0:
			b.extension(run, ofDetached, statusRunning, run.detached)
		}
	}
}

// sealBegun writes a run that began in this batch.
func (b *batch) sealBegun(run *run) {
	begun := run.begun
	b.rows.Runs = append(b.rows.Runs, functionRun(run, begun.EventIDs, begun.Original, begun.Cron))
	t := run.traceRun(state.Scheduled, run.started, 0)
	t.TriggerIDs, t.Cron, t.HasAI = begun.EventIDs, begun.Cron, begun.HasAI
	if begun.Flow != nil {
		t.BatchID = begun.Flow.BatchID
	}
	if run.started != 0 {
		t.Status = state.Running.Code()
	}
	if run.finished != nil {
		run.finishTrace(&t)
	}
	b.rows.TraceRuns = append(b.rows.TraceRuns, t)
	if !b.again {
		b.root(run, true)
		return
	}
	// Perhaps the row is there already, without what followed.
	b.root(run, false)
	if run.started != 0 {
		b.extension(run, ofStarted, statusRunning, run.started)
	}
	if run.finished != nil {
		b.extension(run, ofEnded, run.finished.Status.String(), run.ended)
	}
}

// sealFinished writes the end of a run that began in an earlier batch.
func (b *batch) sealFinished(run *run) {
	o := run.finished
	t := run.traceRun(o.Status, o.StartedAt, run.ended)
	t.TriggerIDs, t.BatchID, t.Cron, t.HasAI, t.Output = o.EventIDs, o.BatchID, o.Cron, o.HasAI, o.Output
	b.rows.TraceRuns = append(b.rows.TraceRuns, t)
	if b.again {
		// Perhaps the log has lost the run's beginning before it was read.
		b.rows.Runs = append(b.rows.Runs, functionRun(run, o.EventIDs, o.Original, o.Cron))
		b.rootOfFinished(run)
	}
	b.extension(run, ofEnded, o.Status.String(), run.ended)
}

func functionRun(run *run, events []ulid.ULID, original ulid.ULID, cron string) database.FunctionRun {
	return database.FunctionRun{
		RunID: run.id, StartedAt: run.id.Timestamp().UTC(), FunctionID: run.fn, EventID: firstID(events), OriginalRunID: original,
		Cron: cron, WorkspaceID: function.EnvironmentID, TriggerType: "event",
	}
}

func firstID(ids []ulid.ULID) ulid.ULID {
	if len(ids) == 0 {
		return ulid.ULID{}
	}
	return ids[0]
}

func (r *run) traceRun(status state.Status, started, ended int64) database.TraceRun {
	return database.TraceRun{
		RunID: r.id, AccountID: function.AccountID, WorkspaceID: function.EnvironmentID, AppID: r.app, FunctionID: r.fn,
		TraceID: r.traceID, QueuedAt: r.id.Timestamp().UTC(), StartedAt: moment(started), EndedAt: moment(ended), Status: status.Code(),
	}
}

func (r *run) finishTrace(t *database.TraceRun) {
	t.Status, t.EndedAt, t.Output = r.finished.Status.Code(), moment(r.ended), r.finished.Output
	t.HasAI = t.HasAI || r.finished.HasAI
}

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
