package partition

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/state"
)

// What another engine left is taken over by the owners of the partitions that it
// belongs to, a few things as one record. What is there already stays as it is, so
// that all may be repeated after a crash.

// keepTaken is how long it is remembered that something was taken over, in ms:
// within that time it does not come back once it has ended.
var keepTaken = (24 * time.Hour).Milliseconds()

// takenKey is what something that was taken over is claimed under.
func takenKey(id ulid.ULID) [16]byte { return claimKey(uuid.Nil, "taken "+id.String()) }

// takeAll takes things over as one record, which begins with Recalled: the
// history adds what it does not know of their runs, and is told of no beginning.
func (t *tx) takeAll(all []state.Moved) []state.TakeOutcome {
	outcomes := make([]state.TakeOutcome, len(all))
	t.do(&state.Recalled{})
	for i := range all {
		outcomes[i] = t.take(&all[i])
	}
	if len(t.ops) == 1 {
		t.ops = nil
	}
	return outcomes
}

func (t *tx) take(m *state.Moved) state.TakeOutcome {
	switch op := m.Fact.(type) {
	case *state.RunPut:
		return t.takeRun(&op.Run, m.Watches)
	case *state.RunPlaced:
		if _, known := t.o.index.Placed(op.RunID); !known && !t.o.index.Live(op.RunID) {
			t.do(op)
		}
		return state.TakeOutcome{}
	case *state.RunForgotten:
		t.handle(&state.Message{Kind: state.MessageForget, RunID: op.RunID})
		return state.TakeOutcome{}
	case *state.KeyClaimed:
		return t.takeClaim(op)
	case *state.RateCharged:
		return t.takeRate(op)
	case *state.CronTicked:
		return t.takeTick(op)
	case *state.DebouncePut:
		return t.takeDebounce(op, m.Joins)
	case *state.BatchPut:
		return t.takeBatch(op, m)
	}
	return state.TakeOutcome{Result: state.TakenNot, Reason: "nothing of that kind is kept"}
}

// had tells whether something is here, or was.
func (t *tx) had(id ulid.ULID, there bool) (outcome state.TakeOutcome, had bool) {
	if there {
		return state.TakeOutcome{Result: state.TakenHad}, true
	}
	if _, ended := t.o.index.Claimed(takenKey(id), t.now); ended {
		return state.TakeOutcome{Result: state.TakenEnded, Reason: "it has ended here since"}, true
	}
	t.do(&state.KeyClaimed{Key: takenKey(id), RunID: id, Expires: t.now + keepTaken})
	return state.TakeOutcome{}, false
}

// takeRun takes a run over with its jobs, and looks out for what it waits for
// from now on: events that came before are those of the other engine.
func (t *tx) takeRun(run *state.Run, watches []state.Watch) state.TakeOutcome {
	if len(run.Events) == 0 || len(run.EventIDs) != len(run.Events) {
		return state.TakeOutcome{Result: state.TakenNot, Reason: "a run needs events, and an id of each"}
	}
	if outcome, had := t.had(run.ID, t.o.index.Live(run.ID)); had {
		return outcome
	}
	since := t.o.node.bus.LastEvent()
	t.complete(run, watches)
	t.do(&state.RunPut{Run: *run})
	if len(run.Jobs) == 0 {
		t.redrive(run, 0)
	}
	t.o.holdPlace(run)
	t.o.watchTimeouts(run)
	t.lookOut(run, watches, since)
	return state.TakeOutcome{}
}

// complete gives a run what other engines look up or keep elsewhere.
func (t *tx) complete(run *state.Run, watches []state.Watch) {
	run.Size = run.Payload()
	for i := range run.Jobs {
		if run.Jobs[i].MaxAttempts == 0 {
			run.Jobs[i].MaxAttempts = t.o.node.attempts(run)
		}
	}
	for _, w := range run.Waits {
		id := function.PauseTimeoutJob(run.Key(), w.Step)
		if slices.ContainsFunc(run.Jobs, func(j state.Job) bool { return j.Kind == state.JobPause && j.Step == w.Step }) {
			continue
		}
		due := t.now
		for i := range watches {
			if watches[i].Step == w.Step {
				due = watches[i].Expires
			}
		}
		run.Jobs = append(run.Jobs, state.Job{
			ID: id, Kind: state.JobPause, Due: due, MaxAttempts: t.o.node.attempts(run), Step: w.Step, Group: w.Group, Race: w.Race,
		})
	}
	if fn, _, ok := t.o.node.bus.Registry().Catalog().Executable(run.FunctionID); ok {
		if run.Slug == "" {
			run.Slug = fn.Slug
		}
		run.Flow = t.flowOf(run, fn)
	}
	if flow := run.Flow; flow != nil && flow.Singleton != nil {
		if _, taken := t.o.index.Singleton(*flow.Singleton); taken {
			without := *flow
			without.Singleton = nil // it stays with the run that has it
			run.Flow = &without
		}
	}
}

// flowOf is what flow control has to know of a run: what the other engine had
// evaluated, and the rest by the function's present configuration.
func (t *tx) flowOf(run *state.Run, fn *function.Function) *state.Flow {
	known := run.Flow
	if known == nil {
		known = &state.Flow{}
	}
	flow := t.flow(&starting{
		Start: &state.Start{FunctionID: fn.ID, Events: run.Events, EventIDs: run.EventIDs, BatchID: known.BatchID},
		fn:    fn, in: function.Inputs{Event: run.Events[0]},
	})
	if flow == nil {
		if known.Singleton == nil {
			return nil
		}
		return &state.Flow{Singleton: known.Singleton}
	}
	if run.Flow != nil {
		flow.Priority = known.Priority
	}
	flow.Singleton = known.Singleton
	flow.Admitted = known.Admitted || run.StartedAt != 0
	for _, k := range known.Keys {
		i := slices.IndexFunc(flow.Keys, func(have state.FlowKey) bool { return have.Expr == k.Expr })
		if i >= 0 {
			flow.Keys[i].Value = k.Value
		}
	}
	return flow
}

// lookOut arms the waits of a run, and the events that cancel it. The answer of an
// invoke finds the step by the run's id, which has stayed the same.
func (t *tx) lookOut(run *state.Run, watches []state.Watch, since uint64) {
	cancels := 0
	for i := range watches {
		w := watches[i]
		w.RunID, w.Since = run.ID, since
		if w.ID = state.WatchID(run.ID, w.Step); w.Step == "" {
			w.ID = state.CancelWatchID(run.ID, cancels)
			cancels++
		} else if wait, ok := run.Wait(w.Step); !ok || wait.Kind != state.WaitEvent {
			continue
		}
		t.send(t.o.node.partitionOf(w.Event), state.Message{Kind: state.MessageWatch, Watch: &w})
	}
	for _, w := range run.Waits {
		held := slices.ContainsFunc(watches, func(o state.Watch) bool { return o.Step == w.Step })
		if w.Kind == state.WaitSignal && held {
			t.send(t.o.node.partitionOf(signalKey(w.Name)), state.Message{
				Kind: state.MessageSignalWait, RunID: run.ID, Step: w.Step, Name: w.Name,
			})
		}
	}
}

// takeClaim takes an idempotency key over.
func (t *tx) takeClaim(op *state.KeyClaimed) state.TakeOutcome {
	switch holder, taken := t.o.index.Claimed(op.Key, t.now); {
	case taken && holder != op.RunID:
		return state.TakeOutcome{Result: state.TakenOther, Reason: "run " + holder.String() + " has the key here"}
	case taken:
		return state.TakeOutcome{Result: state.TakenHad}
	case op.Expires > t.now:
		t.do(op)
	}
	return state.TakeOutcome{}
}

// takeRate takes over what was charged, unless more is.
func (t *tx) takeRate(op *state.RateCharged) state.TakeOutcome {
	if tat, charged := t.o.index.Rate(op.Key, t.now); charged && tat >= op.TAT {
		return state.TakeOutcome{Result: state.TakenHad}
	}
	if op.Expires > t.now {
		t.do(op)
	}
	return state.TakeOutcome{}
}

// takeTick takes over up to when a schedule has fired.
func (t *tx) takeTick(op *state.CronTicked) state.TakeOutcome {
	key := state.CronKey{FunctionID: op.FunctionID, Expr: op.Expr}
	if last, ok := t.o.index.Cron(key); ok && last >= op.At {
		return state.TakeOutcome{Result: state.TakenHad}
	}
	t.do(op)
	if s := t.o.crons.schedules[key]; s != nil {
		s.next = s.after(op.At)
		t.o.wakeBy(s.next)
	}
	return state.TakeOutcome{}
}
