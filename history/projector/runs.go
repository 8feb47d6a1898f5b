package projector

import (
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
	run.event, run.key = firstID(begun.EventIDs), begun.Key()
	if begun.Endpoint != nil {
		run.app = begun.Endpoint.AppID
		run.detached = begun.Endpoint.AsyncAt
	}
	run.started = begun.StartedAt
	if run.recalled = isRecalled(r); run.recalled {
		b.recalls = true
	} else {
		b.scheduled(run)
	}
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
	of := identify(parent)
	a := b.attributes()
	a.id("step.invoke.run.id", child.ID)
	b.addSpan(of.span(trace.NameExtension, derived(parent, ofInvoked, step, 0), stepSpan(step), of.spanID, child.QueuedAt, child.QueuedAt), a)
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
	run.about(firstID(o.EventIDs), o.Idempotency)
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
	a.id("run.replay_original_run_id", o.Original)
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
	if !b.again && !run.recalled {
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
