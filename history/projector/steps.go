package projector

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/oklog/ulid/v2"

	"jetstep/history/trace"
	"jetstep/state"
)

// The ops that are handled in a way of their own (sdk-protocol §11.1).
const (
	opComplete = "RunComplete"
	opStep     = "Step"
	opRun      = "StepRun"
	opError    = "StepError"
	opFailed   = "StepFailed"
	opPlanned  = "StepPlanned"
	opSleep    = "Sleep"
	opEvent    = "WaitForEvent"
	opSignal   = "WaitForSignal"
	opInvoke   = "InvokeFunction"
	opAI       = "AIGateway"
	opGateway  = "Gateway"
)

// step is what a row of a step is made from.
type step struct {
	*state.CalledOp
	run                  *run
	call                 *call // nil for reported steps
	attempt              int
	status               string
	queued, start, ended int64 // milliseconds; ended is 0 for steps that go on
}

// calledOp writes the step that an op of an answer is about, if it is about one.
func (b *batch) calledOp(c *call, op *state.CalledOp, request string) {
	s := &step{CalledOp: op, run: c.run, call: c, attempt: c.Job.Attempt, queued: c.Job.Due}
	switch op.Op {
	case opStep, opRun, opError, opFailed, opAI, opGateway:
		s.start, s.ended = c.StartedAt, c.EndedAt
		if op.Start != 0 {
			s.start, s.ended = op.Start, op.End
		}
		memo, finished := memoIn(c.rest, c.RunID, op.ID)
		b.opMetadata(c.run, op, b.ran(s, memo, finished), request)
		return
	}
	if !began(c.rest, c.RunID, op.ID) {
		b.opMetadata(c.run, op, "", request)
		return
	}
	s.queued, s.start = c.EndedAt, c.EndedAt
	dynamic, ok := b.begins(s)
	if !ok {
		return
	}
	b.begunEntry(s)
	b.opMetadata(c.run, op, dynamic, request)
}

// begins writes a step that goes on: planned, asleep or waiting. It returns
// the step's dynamic id; not ok is a step of another kind.
func (b *batch) begins(s *step) (dynamic string, ok bool) {
	dynamic = stepSpan(s.ID)
	row := dynamic
	switch s.Op {
	case opPlanned:
		s.status, row = statusQueued, derived(s.run.id, ofPlanned, s.ID, 0)
	case opSleep:
		s.status, dynamic = statusSleeping, trace.SleepID(s.ID).Span
		row = dynamic
	case opEvent, opSignal:
		s.status = statusWaiting
	case opInvoke:
		s.status = statusInvoking
	default:
		return "", false
	}
	b.stepRow(s, row, dynamic, nil)
	return dynamic, true
}

// reported writes the steps that a call reported while it lasted.
func (b *batch) reported(r *state.Record, o *state.Reported) {
	run := b.touch(o.RunID, o.FunctionID)
	for i := range o.Ops {
		op := &o.Ops[i]
		s := &step{CalledOp: op, run: run, attempt: o.Attempt, queued: op.Start, start: op.Start, ended: op.End}
		if op.Start == 0 {
			s.queued, s.start, s.ended = r.At, r.At, r.At
		}
		if began(r.Ops, o.RunID, op.ID) { // of a run that its app began
			s.queued, s.start, s.ended = r.At, r.At, 0
			dynamic, _ := b.begins(s)
			b.opMetadata(run, op, dynamic, "")
			continue
		}
		memo, finished := memoIn(r.Ops, o.RunID, op.ID)
		b.opMetadata(run, op, b.ran(s, memo, finished), "")
	}
}

// ran writes a step that ran: it finished with memo, or it failed and is tried
// again. One that had finished before, or was for nothing, leaves no row. It
// returns the step's span, empty for none.
func (b *batch) ran(s *step, memo json.RawMessage, finished bool) (id string) {
	switch {
	case finished:
		s.status = statusCompleted
		if s.Op != opStep && isError(memo) {
			s.status = statusFailed
		}
		id = stepSpan(s.ID)
		b.stepRow(s, id, id, memo)
	case len(s.Error) > 0:
		s.status = statusErrored
		id = trace.ErroredStepID(s.ID, s.attempt).Span
		b.stepRow(s, id, id, b.wrapped("error", s.Error))
	}
	return id
}

// stepRow writes a row of a step.
func (b *batch) stepRow(s *step, spanID, dynamicID string, output json.RawMessage) {
	a := b.attributes()
	a.plain("dynamic.status", s.status)
	if s.call != nil {
		a.plain("job.id", s.call.Job.ID)
		a.plain("job.group.id", s.call.group)
		a.plain("request.id", s.call.RequestID)
		a.number("step.max_attempts", int64(s.call.Job.MaxAttempts))
	} else {
		a.flag("checkpoint", true)
	}
	a.millis("queued_at", s.queued)
	if s.call != nil {
		a.millis("scheduled_at", s.queued) // what is reported was never scheduled
	}
	a.millis("started_at", s.start)
	a.millis("ended_at", s.ended)
	a.number("step.attempt", int64(s.attempt))
	tellStep(a, s.CalledOp)
	if s.Op == opInvoke && s.call != nil {
		a.id("step.invoke.trigger.event.id", invokeEvent(s.call.rest, s.run.id, s.ID))
	}
	begin, end := s.queued, s.ended
	if end == 0 {
		end = s.start
	} else if s.call != nil {
		// It has to come after the row that says that the step was planned: of
		// the rows of a span the last one counts.
		begin = s.call.StartedAt
	}
	row := s.run.span(trace.NameStep, spanID, dynamicID, s.run.spanID, begin, max(end, begin))
	row.Status, row.Output, row.Input = s.status, output, s.Input
	b.addSpan(row, a)
}

// runs tells whether an op is about a step that ran, in a request or for it.
func runs(op *state.CalledOp) bool {
	switch op.Op {
	case opStep, opRun, opError, opFailed:
		return true
	}
	return false
}

// maxName is how much of a step's name and id is kept (database §11.4), in
// bytes.
const maxName = 256

// tellStep says which step a row is about, and what it asks for.
func tellStep(a *attributes, op *state.CalledOp) {
	a.plain("step.op", op.Op)
	a.text("step.id", op.ID)
	a.text("step.name", cut(op.Name))
	a.plain("step.type", stepType(op))
	a.text("step.run.type", op.Type)
	if op.UserID != "" {
		a.text("step.userland.id", cut(op.UserID))
		a.number("step.userland.index", int64(op.UserIndex))
	}
	switch op.Op {
	case opSleep:
		a.number("step.sleep.duration", op.Sleep)
	case opEvent:
		a.text("step.wait_for_event.name", op.Wait)
		a.text("step.wait_for_event.if", op.If)
		a.millis("step.wait.expiry", op.Expires)
	case opSignal:
		a.text("step.signal.name", op.Wait)
		a.millis("step.wait.expiry", op.Expires)
	case opInvoke:
		a.text("step.invoke.function.id", op.Wait)
		a.millis("step.wait.expiry", op.Expires)
	case opAI, opGateway:
		if op.GatewayStatus != 0 {
			a.number("step.gateway.response.status_code", int64(op.GatewayStatus))
			a.number("step.gateway.response.output_size_bytes", int64(op.GatewaySize))
		}
	}
}

func cut(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "")
}

// stepType is the kind of a step as attributes have it.
func stepType(op *state.CalledOp) string {
	switch op.Op {
	case opPlanned:
		return ""
	case opSleep:
		return "sleep"
	case opEvent:
		return "waitForEvent"
	case opSignal:
		return "waitForSignal"
	case opInvoke:
		return "invoke"
	case opAI:
		return "aiInfer"
	case opGateway:
		return "fetch"
	}
	switch op.Type {
	case "step.sendEvent":
		return "sendEvent"
	case "step.sendSignal":
		return "sendSignal"
	case "step.ai.wrap":
		return "aiWrap"
	case "step.ai.infer":
		return "aiInfer"
	case "step.fetch":
		return "fetch"
	case "step.metadata":
		return "metadata"
	case "step.realtime.publish":
		return "realtimePublish"
	case "group.experiment":
		return "groupExperiment"
	}
	return "run"
}

// invokeEvent finds the event that invokes a function for a step.
func invokeEvent(ops []state.Op, run ulid.ULID, step string) ulid.ULID {
	mark := []byte(`"correlation_id":"` + run.String() + "." + step + `"`)
	for _, op := range ops {
		sent, is := op.(*state.Sent)
		if is && sent.Message.Event != nil && bytes.Contains(sent.Message.Event.Data, mark) {
			return sent.Message.Event.InternalID
		}
	}
	return ulid.ULID{}
}

// stepEnded writes the end of a sleep or wait.
func (b *batch) stepEnded(r *state.Record, o *state.StepEnded) {
	run := b.touch(o.RunID, o.FunctionID)
	run.about(o.About.EventID, o.About.Idempotency)
	memo, _ := memoIn(r.Ops, o.RunID, o.Step)
	status := statusCompleted
	if isError(memo) && !o.TimedOut {
		status = statusFailed
	}
	if string(memo) == "null" {
		memo = nil
	}
	dynamic := stepSpan(o.Step)
	if o.Kind == 0 {
		dynamic = trace.SleepID(o.Step).Span
	}
	a := b.attributes()
	a.plain("dynamic.status", status)
	a.millis("ended_at", r.At)
	if o.Kind != 0 {
		a.either("step.wait.expired", o.TimedOut)
	}
	switch o.Kind {
	case state.WaitEvent:
		a.id("step.wait_for_event.matched_id", o.EventID)
	case state.WaitInvoke:
		a.id("step.invoke.run.id", o.ChildRunID)
		a.id("step.invoke.finish.event.id", o.EventID)
	}
	s := run.span(trace.NameExtension, derived(o.RunID, ofStepEnded, o.Step, 0), dynamic, run.spanID, r.At, r.At)
	s.Status, s.Output = status, memo
	b.addSpan(s, a)
	if o.Kind != 0 {
		b.endedEntry(run, r.At, o, memo)
	}
}
