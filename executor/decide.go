package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// DefaultStepLimit is how many steps a run may have, and how many ops one
// answer may hold (sdk-protocol §14.8).
const DefaultStepLimit = 1000

// DefaultStateLimit is how large a run's events and memos may grow, in bytes.
const DefaultStateLimit = 32 << 20

// tracksPending is the request version from which parallel steps are tracked
// and their discoveries coalesced (sdk-protocol §7.5).
const tracksPending = 2

// situation is all that a decision depends on.
type situation struct {
	run      *state.Run
	job      state.Job
	function *function.Function
	appID    uuid.UUID
	attempts int // allowed, retries + 1
	now      time.Time
	called   time.Time     // when the job was leased: the run's start, if it is its first
	backoff  time.Duration // delay of a retry without Retry-After
	steps    int           // limit
	size     int           // limit, in bytes
	// remote are the memos or errors of gateway ops, by their place in the
	// answer: the calls were made before deciding.
	remote map[int]remoteResult
	newID  func() uuid.UUID
	// endpoint is the request that began the run, nil if no app did.
	endpoint *function.EndpointRequest

	// For the history: the id of the request, when it was sent, and when the
	// answer was there.
	requestID      string
	sent, answered time.Time
}

// remoteResult is the outcome of a gateway op.
type remoteResult struct {
	answer       driver.GatewayAnswer
	err          *driver.GatewayError
	began, ended time.Time
}

// decide turns an SDK's answer into the transition that follows from it. The
// error is no failure to decide: it is what went wrong in the app, because of
// which the job is tried again or the run fails.
func decide(s *situation, answer *driver.Response) (*state.Transition, error) {
	d := &decision{situation: s, answer: answer, t: &state.Transition{RunID: s.run.ID, Job: s.job.ID}}
	if s.run.StartedAt == 0 {
		d.t.StartedAt = s.called.UnixMilli()
	}
	switch answer.Kind {
	case driver.KindDone:
		d.t.Finish = &state.Finish{Status: state.Completed, Output: canonical(answer.Output)}
	case driver.KindSteps:
		d.steps()
	default:
		d.functionError()
	}
	d.t.Called = d.callFact()
	return d.t, d.failed
}

// decision is a transition in the making.
type decision struct {
	*situation
	answer  *driver.Response
	t       *state.Transition
	version int
	group   string // coalesce key of the group this answer plans
	size    int    // bytes saved by this answer
	failed  error  // of the function, or the first of handling an op

	// For the history: the ops, the one that is being handled, and whether what
	// failed is a step, not the function.
	ops       []state.CalledOp
	shown     *state.CalledOp
	stepErred bool
}

// mayRetry tells whether the job has an attempt left.
func (d *decision) mayRetry() bool {
	return !d.answer.NoRetry && d.job.Attempt+1 < d.attempts
}

// retry makes the job due again. It goes on from the steps that finished: a
// call after one of them, beside it, would execute what it retries.
func (d *decision) retry() {
	d.t.Then, d.t.Discoveries = state.JobRetry, nil
	at := d.answer.RetryAt
	if at.IsZero() {
		at = d.now.Add(d.backoff)
	}
	d.t.RetryAt = at.UnixMilli()
}

// functionError handles an answer that is an error of the function, or no
// proper answer at all (sdk-protocol §15.1).
func (d *decision) functionError() {
	d.failed = functionTrouble(d.answer.Error)
	if d.mayRetry() {
		d.retry()
		return
	}
	d.fail(d.answer.Output, d.answer.Error)
}

func (d *decision) fail(output json.RawMessage, err *driver.RunError) {
	object := err.JSON()
	if len(output) == 0 {
		output = object
	}
	// Nothing is begun that would have to be taken back at once.
	d.t.Pending, d.t.Jobs, d.t.Waits, d.t.Discoveries = nil, nil, nil, nil
	d.t.Then = state.JobDone
	d.t.Finish = &state.Finish{Status: state.Failed, Output: canonical(output), Error: canonical(object)}
}

func (d *decision) failNamed(name, message string) {
	err := &driver.FatalError{Name: name, Message: message}
	d.failed = err
	d.fail(nil, err.RunError())
}

// steps handles a 206 (sdk-protocol §11.4).
func (d *decision) steps() {
	d.fixVersion()
	d.ops = show(d.answer.Ops)
	ids := d.plannedIDs()
	if len(ids) > 1 {
		d.t.ForcePlan = true
	}
	if len(d.answer.Ops) > d.situation.steps {
		d.failNamed(driver.NameOverflowed, fmt.Sprintf("The function run exceeded the step limit of %d steps.", d.situation.steps))
		return
	}
	if d.version >= tracksPending && len(ids) > 1 && d.plansSomething() {
		d.group = function.CoalesceKey(d.run.ID.String(), ids)
		d.t.Pending = ids
	}
	for _, priority := range []bool{true, false} {
		for i := range d.answer.Ops {
			op := &d.answer.Ops[i]
			if op.Op.Priority() == priority {
				d.handle(i, op)
			}
		}
		if d.failed != nil {
			break
		}
	}
	d.conclude()
}

func (d *decision) fixVersion() {
	d.version = d.run.Version
	if d.version == state.Undecided {
		d.version = d.answer.Version
		d.t.Version = &d.version
	}
}

// plannedIDs are the ids of all ops that count as steps.
func (d *decision) plannedIDs() []string {
	var ids []string
	for i := range d.answer.Ops {
		op := &d.answer.Ops[i]
		if op.AI() {
			d.t.HasAI = true
		}
		if !op.Op.Lazy() && op.ID != "" && op.Op != driver.OpRunComplete && op.Op != driver.OpSyncRunComplete {
			ids = append(ids, op.ID)
		}
	}
	return ids
}

func (d *decision) plansSomething() bool {
	for i := range d.answer.Ops {
		if d.answer.Ops[i].Op.Plan() {
			return true
		}
	}
	return false
}

func (d *decision) handle(i int, op *driver.Opcode) {
	d.shown = d.showing(i)
	if err := d.op(i, op); err != nil && d.failed == nil {
		d.failed = err
	}
}

// conclude decides about the job once all ops are handled: a failed op retries
// the request, or fails the run; what the other ops did stays.
func (d *decision) conclude() {
	if d.failed == nil {
		return
	}
	var fatal *driver.FatalError
	if errors.As(d.failed, &fatal) {
		d.fail(nil, fatal.RunError())
		return
	}
	// A step says that it has failed only while attempts are left.
	if d.mayRetry() {
		d.retry()
		return
	}
	d.fail(nil, (&driver.FatalError{Name: "Error", Message: "error handling generator response: " + d.failed.Error()}).RunError())
}

// canonical is raw as RFC 8785 has it; what has no such form stays as it is,
// which is only possible for text that no JSON parser takes.
func canonical(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	out, err := jcs.Canonicalize(raw)
	if err != nil {
		return raw
	}
	return out
}
