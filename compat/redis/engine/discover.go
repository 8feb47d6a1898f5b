package engine

import (
	"context"
	"slices"

	"jetstep/compat/redis/runs"
)

// discover decides which calls follow, by the rules of sdk-protocol §14: after a
// step that this transition finished, and not while others of its group are
// pending.
func (c *commit) discover(ctx context.Context) error {
	for _, d := range c.Discoveries {
		follows := d.Job.Outgoing
		saved, ofThis := c.saved[follows]
		switch {
		case d.IfIdle && !c.idle(),
			c.pending && c.run.Version >= 2 && !d.Always,
			len(c.Saves) > 0 && follows != "" && (!ofThis || saved == runs.SavedOther):
			continue
		case d.Job.ID == c.Job:
			job := d.Job
			c.goesOn = &job
		default:
			c.more = append(c.more, d.Job)
		}
	}
	if (len(c.more) > 0 || c.goesOn != nil) && c.run.ForcePlan && c.run.Version >= 2 {
		no := false
		_, err := c.runs.Update(ctx, c.RunID, runs.Update{ForcePlan: &no})
		return err
	}
	return nil
}

// idle tells whether the run has nothing to go on with but what this transition
// adds.
func (c *commit) idle() bool {
	if c.run.Sync() && !c.detached {
		return false // its app executes it
	}
	for _, job := range c.run.Jobs {
		if job.ID != c.Job && !slices.Contains(c.DropJobs, job.ID) && !(c.detached && job.ID == c.run.PatienceJob()) {
			return false
		}
	}
	return len(c.Transition.Jobs)+len(c.Transition.Waits)+len(c.more) == 0
}
