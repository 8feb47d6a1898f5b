package engine

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// textSignalTaken is what a run fails with (sdk-protocol §12.8).
const textSignalTaken = "Signal conflict; signal wait already exists for another run"

// storeWaits adds the waits: first the timeout, so that a run that waits for what
// never comes goes on, then the pause, by which it is found. Events that came
// since then end it at once.
func (c *commit) storeWaits(ctx context.Context, since uint64) error {
	for i := range c.Transition.Waits {
		w := &c.Transition.Waits[i]
		if c.finished(w.Wait.Step) {
			continue
		}
		if err := c.storeWait(ctx, w, since); err != nil {
			return err
		}
		if c.Transition.Finish != nil {
			return nil
		}
	}
	return nil
}

// storeWait adds a wait. One that is there stays as it is, but what follows from
// it is done again: perhaps it was not.
func (c *commit) storeWait(ctx context.Context, w *state.NewWait, since uint64) error {
	invocation := invocationOf(c.RunID, w.Wait.Step)
	p := c.pauseOfStep(w.Wait.Step)
	if p == nil {
		p = PauseOf(&c.Metadata.ID, w, c.now, invocation)
		p.StepName, p.GroupID = c.nameOf(w.Wait.Step), uuid.NewString()
		item, err := c.itemOf(w.Timeout, p)
		if err != nil {
			return err
		}
		if _, err := c.jobs.Enqueue(ctx, c.now, item); err != nil {
			return err
		}
		c.expect(w.Timeout)
		err = c.runs.SavePause(ctx, p, c.now, w.Replace)
		if errors.Is(err, runs.ErrSignalTaken) {
			c.fail(textSignalTaken)
			return nil
		}
		if err != nil {
			return err
		}
	}
	switch {
	case p.Correlation != "" && w.Wait.Kind == state.WaitInvoke:
		event := *w.Invoke
		if event.ID == "" {
			event.ID = invocation.String()
		}
		return c.World.Publish(ctx, []state.Outgoing{event})
	case p.Opcode == format.OpWaitForEvent:
		return c.lookBack(ctx, p, since)
	}
	return nil
}

// invocationOf is the id of the event by which a step invokes a function: the same
// when the transition is stored a second time.
func invocationOf(run ulid.ULID, step string) ulid.ULID {
	return function.DeterministicULID(ulid.Time(run.Time()), "invoke:"+run.String()+":"+step)
}

// pauseOfStep is the pause of a step that the run waits in, nil for none.
func (c *commit) pauseOfStep(step string) *format.Pause {
	for _, p := range c.Pauses {
		if p.DataKey == step && !p.Cancel {
			return p
		}
	}
	return nil
}

// fail makes the transition one that fails the run.
func (c *commit) fail(message string) {
	t := *c.Transition
	object := state.ErrorObject("Error", message)
	t.Finish = &state.Finish{Status: state.Failed, Output: object, Error: object}
	c.Transition = &t
}

// lookBack ends a wait by an event that came before it was known.
func (n *Node) lookBack(ctx context.Context, p *format.Pause, since uint64) error {
	for _, e := range n.recentEvents(p.Event, since) {
		if satisfies(p, e) {
			return n.resume(ctx, p, e.JSON, cause{event: e.ID})
		}
	}
	return nil
}

// removeWaits takes away the pauses of waits that ended.
func (c *commit) removeWaits(ctx context.Context) error {
	for _, step := range c.Unwaits {
		id := function.PauseID(c.RunID.String(), step)
		for _, p := range c.Pauses {
			if p.ID == id {
				if err := c.runs.DeletePause(ctx, p); err != nil {
					return err
				}
			}
		}
		if err := c.removeEmbedded(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// removeEmbedded takes away what is left of a pause that has outlived its key: the
// item of its timeout has it.
func (c *commit) removeEmbedded(ctx context.Context, step string) error {
	if c.own == nil || c.own.Item.Data.Kind != format.KindPause {
		return nil
	}
	p, err := format.PayloadOf[format.PausePayload](format.Place{Key: format.ItemsKey, Member: c.Job}, &c.own.Item)
	if err != nil || p.Pause.DataKey != step {
		return err
	}
	return c.runs.DeletePause(ctx, &p.Pause)
}

// runKey is what the ids of a run's jobs are made from.
func runKey(id *format.Identifier) string { return function.RunKey(id.FunctionID, idempotencyKey(id)) }

// idempotencyKey is the run's, or its id when it has none.
func idempotencyKey(id *format.Identifier) string {
	if id.Key == "" {
		return id.RunID.String()
	}
	return id.Key
}

// resumed is the call that follows the end of a wait (redis-state §8.8).
func resumed(id *format.Identifier, p *format.Pause, attempts int) state.Job {
	job := state.Job{
		ID: function.EventJob(runKey(id), p.DataKey), Kind: state.JobEdge, MaxAttempts: attempts, Outgoing: p.DataKey,
	}
	if p.CoalesceKey != "" && p.ParallelMode != format.ModeRace {
		job.ID = function.CoalescedJob(id.RunID.String(), p.CoalesceKey)
	}
	if p.MaxAttempts != nil {
		job.MaxAttempts = *p.MaxAttempts
	}
	return job
}
