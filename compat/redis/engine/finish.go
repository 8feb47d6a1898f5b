package engine

import (
	"context"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/state"
)

// storeFinish ends the run, if the transition does: who gets the right to says
// so to the world, then its state goes, then its jobs.
func (c *commit) storeFinish(ctx context.Context) error {
	if c.Transition.Finish == nil {
		return nil
	}
	// The steps that ended it were saved only now.
	s, err := c.asEnded(ctx)
	if err != nil {
		return err
	}
	facts := c.facts()
	c.mark(s)
	return c.finish(ctx, s, c.Transition.Finish, byJob+c.Job, facts...)
}

// byJob is who ends a run by a call, with the id of its job behind it.
const byJob = "job:"

// mark notes in a run that ends what the transition says of its flags.
func (c *commit) mark(s *stored) {
	if s.run.StartedAt == 0 {
		s.run.StartedAt = c.Transition.StartedAt
	}
	s.run.HasAI = s.run.HasAI || c.Transition.HasAI
}

// asEnded is the run with what the transition has saved.
func (c *commit) asEnded(ctx context.Context) (*stored, error) {
	if len(c.Saves)+len(c.Transition.Defers)+len(c.AbortDefers) == 0 {
		return c.stored, nil
	}
	return c.Node.stored(ctx, c.RunID)
}

// finish ends a run. by says who does: it may begin again what it has begun. facts
// are told together with the end.
func (n *Node) finish(ctx context.Context, s *stored, f *state.Finish, by string, facts ...state.Op) error {
	id := &s.Metadata.ID
	mine, err := n.runs.Finalize(ctx, id.AccountID, idempotencyKey(id), endToken(id.RunID, by))
	if err != nil {
		return err
	}
	if !mine {
		n.suspectRun(id.RunID, errEnding)
		return state.ErrRunNotFound
	}
	return n.end(ctx, s, f, by, facts...)
}

// endToken is the right to end a run on behalf of somebody.
func endToken(run ulid.ULID, by string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(run.String()+by))
}

// end is finish for one who has the right to.
func (n *Node) end(ctx context.Context, s *stored, f *state.Finish, by string, facts ...state.Op) error {
	id := &s.Metadata.ID
	events := state.FinishEvents(s.run, n.appOf(s.run), f)
	if len(events) > 0 {
		if err := n.World.Publish(ctx, events); err != nil {
			return err
		}
	}
	if err := n.tellEnd(ctx, s, endOf(s, f, by), facts); err != nil {
		return err
	}
	n.World.Ended(s.run, f)
	if err := n.remove(ctx, id, s.items); err != nil {
		return err
	}
	n.told.ended(id.RunID)
	n.mu.Lock()
	delete(n.reports, id.RunID)
	n.mu.Unlock()
	return nil
}

// remove takes away the state of an ended run, and its jobs, of which some are
// known.
func (n *Node) remove(ctx context.Context, id *format.Identifier, known []*jobs.Entry) error {
	if done, err := n.removeAtOnce(ctx, id, known); done || err != nil {
		return err
	}
	for _, s := range id.Semaphores {
		if s.Release == format.ReleaseManual {
			if err := n.jobs.ReleaseSemaphore(ctx, id.AccountID, s, id.RunID); err != nil {
				return err
			}
		}
	}
	if err := n.runs.Delete(ctx, id); err != nil {
		return err
	}
	return n.dropJobs(ctx, id.RunID, known)
}

// dropJobs takes the jobs of a run that is gone out of the queue.
func (n *Node) dropJobs(ctx context.Context, run ulid.ULID, known []*jobs.Entry) error {
	dropped, err := n.jobs.DropAll(ctx, run, known)
	for _, e := range dropped {
		n.letGo(e.Item.ID)
	}
	return err
}
