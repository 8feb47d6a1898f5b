package executor

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"jetstep/executor/driver"
	"jetstep/expr"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// op adds what one op asks for to the transition (sdk-protocol §12).
func (d *decision) op(i int, op *driver.Opcode) error {
	switch op.Op {
	case driver.OpNone:
		return nil
	case driver.OpStep, driver.OpStepRun:
		return d.stepRun(op)
	case driver.OpStepError:
		return d.stepError(op)
	case driver.OpStepFailed:
		return d.stepFailed(op, false)
	case driver.OpStepPlanned:
		d.stepPlanned(op)
		return nil
	case driver.OpSleep:
		return d.sleep(op)
	case driver.OpWaitForEvent:
		return d.waitForEvent(op)
	case driver.OpInvokeFunction:
		return d.invoke(op)
	case driver.OpWaitForSignal:
		return d.waitForSignal(op)
	case driver.OpGateway, driver.OpAIGateway:
		return d.gateway(op, d.remote[i])
	case driver.OpRunComplete, driver.OpSyncRunComplete:
		d.complete(op)
		return nil
	case driver.OpDiscoveryRequest:
		d.discover(op, state.JobEdge, function.DiscoveryJob(d.run.Key(), op.ID))
		return nil
	case driver.OpDeferAdd:
		d.deferAdd(op)
		return nil
	case driver.OpDeferAbort:
		d.deferAbort(op)
		return nil
	}
	return fmt.Errorf("op %s is not known", op.Op)
}

// runOutput is the result that a completing op carries.
func runOutput(op *driver.Opcode) json.RawMessage {
	if op.Op == driver.OpSyncRunComplete {
		var wrapped struct {
			Data json.RawMessage `json:"data"`
		}
		if json.Unmarshal(op.Data, &wrapped) == nil && len(wrapped.Data) > 0 {
			return wrapped.Data
		}
	}
	if string(op.Data) == "null" {
		return nil
	}
	return op.Data
}

// groupOf is the coalesce key that applies to an op of this answer.
func (d *decision) groupOf() string {
	if d.group != "" {
		return d.group
	}
	if d.version >= tracksPending {
		return d.job.Group
	}
	return ""
}

func isRace(op *driver.Opcode) bool { return op.ParallelMode() == driver.ParallelRace }

// discover asks for another call of the function after op's step.
func (d *decision) discover(op *driver.Opcode, kind state.JobKind, id string) {
	race, group := isRace(op), d.groupOf()
	if group != "" && !race && kind == state.JobEdge {
		id = function.CoalescedJob(d.run.ID.String(), group)
	}
	d.t.Discoveries = append(d.t.Discoveries, state.Discovery{
		Job: state.Job{ID: id, Kind: kind, Due: d.now.UnixMilli(), MaxAttempts: d.attempts, Outgoing: op.ID},
		// A step of no group waits for no other: what a race left behind may
		// still be pending.
		Always: race || group == "",
	})
}

// save remembers a finished step, within the limit of the run's state.
func (d *decision) save(op *driver.Opcode, memo json.RawMessage) error {
	_, finished := d.run.Memo(op.ID)
	if !finished && d.run.Size+d.size+len(memo) > d.situation.size {
		return &driver.FatalError{
			Name:    driver.NameStateOverflowed,
			Message: fmt.Sprintf("The function run exceeded the state size limit of %d bytes.", d.situation.size),
		}
	}
	if !finished {
		d.size += len(memo)
	}
	d.t.Saves = append(d.t.Saves, state.Save{Step: op.ID, Memo: memo})
	return nil
}

func stepMemo(op *driver.Opcode) (json.RawMessage, error) {
	if op.Op == driver.OpStep {
		return driver.MemoRaw(op.Data)
	}
	return driver.MemoData(op.Data)
}

func (d *decision) stepRun(op *driver.Opcode) error {
	memo, err := stepMemo(op)
	if err != nil {
		return fmt.Errorf("output of step %s: %w", op.ID, err)
	}
	if err := d.save(op, memo); err != nil {
		return err
	}
	d.discover(op, state.JobEdge, function.DiscoveryJob(d.run.Key(), op.ID))
	return nil
}

func (d *decision) stepError(op *driver.Opcode) error {
	if op.Error == nil {
		return fmt.Errorf("step %s reports an error without saying which", op.ID)
	}
	if d.mayRetry() {
		d.shown.Error, d.stepErred = op.Error.JSON(), true
		return stepTrouble(op)
	}
	return d.stepFailed(op, d.answer.NoRetry)
}

func (d *decision) stepFailed(op *driver.Opcode, noRetry bool) error {
	if op.Error == nil {
		return fmt.Errorf("step %s failed without an error", op.ID)
	}
	stored := *op.Error
	stored.NoRetry = stored.NoRetry || noRetry
	if err := d.save(op, driver.MemoError(&stored)); err != nil {
		return err
	}
	d.discover(op, state.JobEdgeError, function.FailureJob(d.run.Key(), op.ID))
	return nil
}

func (d *decision) stepPlanned(op *driver.Opcode) {
	d.t.Jobs = append(d.t.Jobs, state.Job{
		ID:          function.PlanJob(d.run.Key(), op.ID),
		Kind:        state.JobEdge,
		Due:         d.now.UnixMilli() - 1, // before what else is due now
		MaxAttempts: d.attempts,
		Step:        op.ID,
		Outgoing:    d.job.Outgoing,
		Group:       d.groupOf(),
		Race:        isRace(op),
	})
}

func (d *decision) sleep(op *driver.Opcode) error {
	until, err := op.Sleep(d.now)
	if err != nil {
		return err
	}
	d.shown.Sleep = until.Sub(d.now).Milliseconds()
	d.t.Jobs = append(d.t.Jobs, state.Job{
		ID:          function.SleepJob(d.run.Key(), op.ID),
		Kind:        state.JobSleep,
		Due:         ceilMilli(until),
		MaxAttempts: d.attempts,
		Step:        op.ID,
		Group:       d.groupOf(),
		Race:        isRace(op),
	})
	return nil
}

// ceilMilli rounds up, so that a sleep never ends early.
func ceilMilli(t time.Time) int64 {
	return t.Add(time.Millisecond - 1).UnixMilli()
}

// wait adds a wait with its timeout.
func (d *decision) wait(op *driver.Opcode, kind state.WaitKind, name string, expires time.Time) *state.NewWait {
	group, race, due := d.groupOf(), isRace(op), ceilMilli(expires)
	d.shown.Wait, d.shown.Expires = name, due
	d.t.Waits = append(d.t.Waits, state.NewWait{
		Wait: state.Wait{Kind: kind, Step: op.ID, Name: name, Group: group, Race: race},
		Timeout: state.Job{
			ID:          function.PauseTimeoutJob(d.run.Key(), op.ID),
			Kind:        state.JobPause,
			Due:         due,
			MaxAttempts: d.attempts,
			Step:        op.ID,
			Group:       group,
			Race:        race,
		},
	})
	return &d.t.Waits[len(d.t.Waits)-1]
}

func (d *decision) waitForEvent(op *driver.Opcode) error {
	opts, err := op.Wait(d.now)
	if err != nil {
		return err
	}
	d.shown.If = opts.If
	bound := ""
	if opts.If != "" {
		if bound, err = d.bind(opts.If); err != nil {
			return err
		}
	}
	d.wait(op, state.WaitEvent, opts.Event, opts.Expires).If = bound
	return nil
}

// bind compiles a wait's expression and replaces what it says of the run's
// event by its values (sdk-protocol §12.6).
func (d *decision) bind(expression string) (string, error) {
	if _, err := expr.Compile(expression); err != nil {
		return "", &driver.FatalError{
			Name:    driver.NameInvalidExpression,
			Message: fmt.Sprintf("Wait for event If expression failed to compile: %s", firstLine(err)),
		}
	}
	var event map[string]any
	if err := json.Unmarshal(d.run.Events[0], &event); err != nil {
		return "", fmt.Errorf("event of the run: %w", err)
	}
	bound, err := expr.Interpolate(expression, map[string]any{"event": event})
	if err != nil {
		return "", &driver.FatalError{Name: driver.NameCompileError, Message: "Could not compile expression: " + firstLine(err)}
	}
	return bound, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func (d *decision) invoke(op *driver.Opcode) error {
	opts, err := op.Invoke(d.now)
	if err != nil {
		return err
	}
	data, err := d.invokeData(op, opts)
	if err != nil {
		return fmt.Errorf("payload of invoke %s: %w", op.ID, err)
	}
	w := d.wait(op, state.WaitInvoke, opts.FunctionID, opts.Expires)
	w.Invoke = &state.Outgoing{Name: state.EventInvoked, Data: data, User: opts.Payload.User, V: opts.Payload.V}
	return nil
}

// invokeData is the callee's event data: the caller's, and who calls whom.
func (d *decision) invokeData(op *driver.Opcode, opts driver.InvokeOpts) (json.RawMessage, error) {
	data := map[string]json.RawMessage{}
	if err := json.Unmarshal(opts.Payload.Data, &data); err != nil {
		return nil, err
	}
	call, err := json.Marshal(map[string]any{
		"correlation_id": function.CorrelationID(d.run.ID.String(), op.ID),
		"expire":         opts.Expires.UnixMilli(),
		"fn_id":          opts.FunctionID,
		"gid":            d.newID().String(),
		"name":           op.DisplayNameOrFallback(),
		"source_app_id":  d.appID.String(),
		"source_fn_id":   d.function.ID.String(),
		"source_fn_v":    d.run.FunctionVersion,
	})
	if err != nil {
		return nil, err
	}
	data["_inngest"] = call
	return json.Marshal(data)
}

func (d *decision) waitForSignal(op *driver.Opcode) error {
	opts, err := op.Signal(d.now)
	if err != nil {
		return err
	}
	d.wait(op, state.WaitSignal, opts.Signal, opts.Expires).Replace = opts.Replace
	return nil
}

// gateway records the answer of a request that the executor made for a step.
func (d *decision) gateway(op *driver.Opcode, result remoteResult) error {
	memo, sent, failed := result.answer.Memo, result.answer.Sent, result.err
	if failed != nil {
		memo, sent = failed.Memo, failed.Sent
	}
	d.shown.GatewayStatus, d.shown.GatewaySize = sent.Status, sent.Size
	ran(d.shown, result.began, result.ended)
	if failed != nil && d.mayRetry() {
		d.shown.Error, d.stepErred = jcs.Object(memo)["error"], true
		return fmt.Errorf("step %q: %w", op.DisplayNameOrFallback(), failed)
	}
	if err := d.save(op, memo); err != nil {
		return err
	}
	d.discover(op, state.JobEdge, function.DiscoveryJob(d.run.Key(), op.ID))
	return nil
}

// maxDefers is how many deferred functions a run may schedule.
const maxDefers = 20

func (d *decision) deferAdd(op *driver.Opcode) {
	d.addDefer(op)
	d.discoverLazy(op)
}

// addDefer notes a deferred function, as rejected when it is one too many or
// its input too large.
func (d *decision) addDefer(op *driver.Opcode) {
	opts, err := op.DeferAdd()
	status := state.DeferAfterRun
	size := len(opts.Input)
	for _, have := range d.run.Defers {
		size += len(have.Input)
	}
	for _, added := range d.t.Defers {
		size += len(added.Input)
	}
	if err != nil || len(d.run.Defers)+len(d.t.Defers) >= maxDefers || size > driver.MaxDeferInput {
		status, opts.Input = state.DeferRejected, nil
	}
	meta, err := state.ResolveMeta(opts.Meta)
	if err != nil {
		meta = nil // there is none, or it is not worth a rejection
	}
	d.t.Defers = append(d.t.Defers, state.Defer{
		ID: op.ID, Slug: opts.FnSlug, Status: status, Input: canonical(opts.Input), UserID: op.Userland.ID, Meta: meta,
	})
}

func (d *decision) deferAbort(op *driver.Opcode) {
	if d.abortDefer(op) {
		d.discoverLazy(op)
	}
}

// abortDefer takes a deferred function back. An op that names none asks for
// nothing (sdk-protocol §11.4).
func (d *decision) abortDefer(op *driver.Opcode) bool {
	target, err := op.DeferAbort()
	if err != nil {
		return false
	}
	d.t.AbortDefers = append(d.t.AbortDefers, target)
	return true
}

// discoverLazy keeps a run going whose answer held only defers.
func (d *decision) discoverLazy(op *driver.Opcode) {
	for i := range d.answer.Ops {
		if !d.answer.Ops[i].Op.Lazy() {
			return
		}
	}
	d.discover(op, state.JobEdge, function.DiscoveryJob(d.run.Key(), op.ID))
}
