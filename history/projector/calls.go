package projector

import (
	"bytes"
	"encoding/json"

	"jetstep/history/trace"
	"jetstep/state"
)

// call is a call of a function with the record that it led to.
type call struct {
	*state.Called
	record *state.Record
	rest   []state.Op // what follows the fact in the record
	run    *run
	group  string
}

// statusSomeSteps is the HTTP status of answers that hold ops.
const statusSomeSteps = 206

// called writes the request, its attempt, and what it led to. They are written
// when the call is over: before that nothing would be shown of them.
func (b *batch) called(c *call) {
	c.group = groupOf(c.RunID, c.Job.ID)
	c.run.about(c.About.EventID, c.About.Idempotency)
	discovery := derived(c.RunID, ofDiscovery, c.Job.ID, 0)
	// An attempt after the first one repeats the row, which then is there.
	a := b.attributes()
	a.millis("queued_at", c.Job.Due)
	b.addSpan(c.run.span(trace.NameDiscovery, discovery, discovery, c.run.spanID, c.Job.Due, c.StartedAt), a)

	output := b.callOutput(c)
	request := b.execution(c, discovery, output)
	if c.Result != state.CallSteps {
		b.nonStep(c, output)
	}
	b.callEntries(c, output)
	for i := range c.Ops {
		b.calledOp(c, &c.Ops[i], request)
	}
}

// single is the op of an answer that has just one, which then is what the
// attempt was for; nil for others.
func (c *call) single() *state.CalledOp {
	if len(c.Ops) != 1 || c.Ops[0].Op == opPlanned {
		return nil
	}
	return &c.Ops[0]
}

// callOutput is what the attempt shows as its result: the function's, or that
// of the one step that it ran.
func (b *batch) callOutput(c *call) json.RawMessage {
	switch c.Result {
	case state.CallDone, state.CallFailed:
		output := c.Output
		if finished := finishedIn(c.rest, c.RunID); finished != nil && output == nil {
			output = finished.Output
		}
		if c.Result == state.CallFailed {
			return b.wrapped("error", output)
		}
		return b.returned(output)
	}
	op := c.single()
	if op == nil || !runs(op) {
		return nil
	}
	if memo, ok := memoIn(c.rest, c.RunID, op.ID); ok {
		return memo
	}
	return b.wrapped("error", op.Error)
}

// execution writes one attempt of a request. drop hides it where what it did
// is shown by spans of its own.
func (b *batch) execution(c *call, discovery string, output json.RawMessage) (id string) {
	op := c.single()
	status, drop := statusCompleted, false
	switch c.Result {
	case state.CallDone:
		drop = c.Status == statusSomeSteps
	case state.CallFailed:
		status = statusFailed
	case state.CallSteps:
		drop = op == nil || op.Op == opFailed || !runs(op)
		if op != nil && (op.Op == opFailed || isError(output)) {
			status = statusErrored
		}
	}
	a := b.attributes()
	a.plain("dynamic.status", status)
	b.tellJob(a, c)
	a.millis("started_at", c.StartedAt)
	a.millis("ended_at", c.EndedAt)
	a.text("request.url", c.URL)
	a.number("response.status_code", int64(c.Status))
	a.number("response.output_size", int64(c.Size))
	a.nested("response.headers", c.Headers)
	a.flag("executor.drop", drop)
	a.flag("is.function.output", c.Result != state.CallSteps)
	a.flag("retryable", c.RetryAt != 0)
	switch {
	case c.Result == state.CallSteps && op != nil:
		tellStep(a, op)
	case c.Result == state.CallDone:
		tellComplete(a, c.Called)
	}
	// Spans of user code name the call by what the SDK was told of it.
	if id = trace.ExecutionSpan(c.RequestID); id == "" {
		id = derived(c.RunID, ofExecution, c.Job.ID, c.Job.Generation)
	}
	s := c.run.span(trace.NameExecution, id, id, discovery, c.StartedAt, c.EndedAt)
	s.Status, s.Output = status, output
	b.addSpan(s, a)
	return id
}

// tellComplete names a run's end as the SDK reports it, as the original does:
// for want of a name by the id of the op.
func tellComplete(a *attributes, c *state.Called) {
	for i := range c.Ops {
		if op := &c.Ops[i]; op.Op == opComplete {
			a.plain("step.op", op.Op)
			a.text("step.id", op.ID)
			a.text("step.name", op.ID)
			return
		}
	}
}

// nonStep writes the function's own result of an attempt.
func (b *batch) nonStep(c *call, output json.RawMessage) {
	status := statusCompleted
	switch {
	case c.Result == state.CallFailed && c.RetryAt != 0:
		status = statusErrored
	case c.Result == state.CallFailed:
		status = statusFailed
	}
	a := b.attributes()
	a.plain("dynamic.status", status)
	b.tellJob(a, c)
	a.millis("started_at", c.resultAt())
	a.millis("ended_at", c.EndedAt)
	a.flag("is.function.output", true)
	a.flag("retryable", c.RetryAt != 0)
	a.number("response.output_size", int64(c.Size))
	id := trace.NonStepID(c.group, c.Job.Generation).Span
	s := c.run.span(trace.NameNonStep, id, id, c.run.spanID, c.Job.Due, c.EndedAt)
	s.Status, s.Output = status, output
	b.addSpan(s, a)
}

// resultAt is when the function's own result began to come, by which it has its
// place: after a request that is shown because it failed, which begins when it
// is due.
func (c *call) resultAt() int64 {
	if c.Result == state.CallFailed {
		return max(c.LeasedAt, c.Job.Due+1)
	}
	return c.LeasedAt
}

// tellJob says which job a row was made for, and when that was due.
func (b *batch) tellJob(a *attributes, c *call) {
	a.plain("job.id", c.Job.ID)
	a.plain("job.group.id", c.group)
	a.plain("request.id", c.RequestID)
	a.millis("queued_at", c.Job.Due)
	a.millis("scheduled_at", c.Job.Due)
	a.number("step.attempt", int64(c.Job.Attempt))
	a.number("step.max_attempts", int64(c.Job.MaxAttempts))
}

// isError tells whether a memo or output is that of a failure.
func isError(memo json.RawMessage) bool { return bytes.HasPrefix(memo, []byte(`{"error":`)) }
