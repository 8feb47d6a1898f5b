package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

const (
	// redriveDelay is how soon a run with nothing to go on with is called again.
	redriveDelay = 100 * time.Millisecond
	// doubt is how long the timeout of a wait that something else has ended waits
	// for what follows from that: whoever ended it may have died before.
	doubt = 2 * time.Second
	// endingDoubt is how long the job of a run waits that somebody else is ending,
	// who may have died.
	endingDoubt = 10 * time.Second
)

// commit is a transition that is being stored.
type commit struct {
	*Node
	*state.Transition
	*stored
	now   time.Time
	own   *jobs.Entry // the concluded job, nil for none
	saved map[string]runs.Saved
	// pending tells whether steps were pending after the last one was saved.
	pending bool
	more    []state.Job // discoveries to be enqueued
	goesOn  *state.Job  // what the concluded job goes on as
	// detached tells that a run which its app began goes on by itself now.
	detached bool
}

// Commit implements state.Store.
func (n *Node) Commit(ctx context.Context, t *state.Transition) error {
	return n.persist(ctx, t, func() error { return n.commitOnce(ctx, t) })
}

func (n *Node) commitOnce(ctx context.Context, t *state.Transition) error {
	if ended, err := n.endAtOnce(ctx, t); err != nil {
		return fmt.Errorf("commit run %s: %w", t.RunID, err)
	} else if ended {
		return nil
	}
	for {
		s, err := n.stored(ctx, t.RunID)
		if err != nil {
			if errors.Is(err, state.ErrRunNotFound) && t.Job != "" {
				// The run was there: it has ended. If its end broke off there are jobs of it.
				err = cmp.Or(n.dropJobs(ctx, t.RunID, nil), err)
				n.letGo(t.Job)
			}
			return err
		}
		c := &commit{Node: n, Transition: t, stored: s, now: time.Now(), saved: map[string]runs.Saved{}}
		if void := c.findOwn(); void {
			return nil
		}
		err = c.store(ctx)
		if errors.Is(err, jobs.ErrChanged) {
			continue // its lease was extended meanwhile, or somebody was faster
		}
		if err != nil && !errors.Is(err, state.ErrRunNotFound) {
			return fmt.Errorf("commit run %s: %w", t.RunID, err)
		}
		return err
	}
}

// findOwn finds the concluded job; void tells that the transition comes too late.
func (c *commit) findOwn() (void bool) {
	if c.Job == "" {
		return false
	}
	job, ok := c.run.Job(c.Job)
	if !ok {
		c.letGo(c.Job)
		return true
	}
	if job.Kind != c.Kind || c.Then == state.JobRetry && job.Generation != c.Generation {
		return true
	}
	for _, e := range c.items {
		if e.Item.ID == c.Job {
			c.own = e
		}
	}
	return false
}

// store stores the transition piece by piece; the last piece concludes the job.
func (c *commit) store(ctx context.Context) error {
	since := c.since()
	for _, piece := range []func(context.Context) error{
		c.storeFlags, c.storeEndpoint, c.storeSteps, c.enqueueJobs,
		func(ctx context.Context) error { return c.storeWaits(ctx, since) },
		c.removeWaits, c.storeDefers, c.storeFinish,
	} {
		if err := piece(ctx); err != nil {
			return err
		}
	}
	if c.Finish != nil {
		return nil
	}
	if err := c.discover(ctx); err != nil {
		return err
	}
	if err := c.conclude(ctx); err != nil {
		return err
	}
	if facts := c.facts(); len(facts) > 0 {
		c.recall(ctx, c.stored, c.now)
		c.tell(ctx, c.now, facts...)
	}
	return nil
}

// storeFlags stores what changes in the metadata. Of a run that ends nobody reads
// it any more.
func (c *commit) storeFlags(ctx context.Context) error {
	if c.Transition.Finish != nil {
		return nil
	}
	u := runs.Update{StartedAt: c.Transition.StartedAt, HasAI: c.Transition.HasAI, MetadataSize: c.Transition.MetadataSize}
	if c.run.StartedAt != 0 {
		u.StartedAt = 0
	}
	if c.Transition.Version != nil && c.run.Version == state.Undecided {
		u.RequestVersion = c.Transition.Version
		c.run.Version = *c.Transition.Version
	}
	if c.Transition.ForcePlan && !c.run.ForcePlan {
		yes := true
		u.ForcePlan = &yes
		c.run.ForcePlan = true
	} else if u.StartedAt != 0 {
		u.ForcePlan = &c.run.ForcePlan // the original writes it as a number from here on
	}
	if err := c.enqueueFinishTimeout(ctx); err != nil {
		return err
	}
	if u != (runs.Update{}) {
		exists, err := c.runs.Update(ctx, c.RunID, u)
		if err != nil {
			return err
		}
		if !exists {
			return state.ErrRunNotFound
		}
	}
	if len(c.Transition.Pending) > 0 {
		return c.runs.SavePending(ctx, c.Ref(), c.Transition.Pending)
	}
	return nil
}

func (c *commit) storeSteps(ctx context.Context) error {
	c.pending = len(c.run.Pending)+len(c.Transition.Pending) > 0
	for _, s := range c.Saves {
		if _, twice := c.saved[s.Step]; twice {
			continue
		}
		saved, pending, err := c.runs.SaveStep(ctx, c.Ref(), runs.Value{Step: s.Step, JSON: string(s.Memo)}, 0)
		if err != nil {
			return err
		}
		if saved == runs.SavedGone {
			return state.ErrRunNotFound
		}
		c.saved[s.Step], c.pending = saved, pending
	}
	return nil
}

// finished tells whether a step has finished, before or by this transition.
func (c *commit) finished(step string) bool {
	_, before := c.run.Memo(step)
	_, now := c.saved[step]
	return before || now
}

// enqueueJobs drops jobs and adds new ones, also the timeouts of new waits.
func (c *commit) enqueueJobs(ctx context.Context) error {
	batch := c.jobs.Batch(c.now)
	for _, id := range c.DropJobs {
		for _, e := range c.items {
			if e.Item.ID == id {
				batch.Drop(e)
			}
		}
	}
	var added []state.Job
	for _, job := range c.Transition.Jobs {
		if job.ID == c.Job {
			c.goesOn = &job
			continue
		}
		if !c.finished(job.Step) || job.Step == "" {
			added = append(added, job)
		}
	}
	for _, job := range added {
		item, err := c.itemOf(job, nil)
		if err != nil {
			return err
		}
		batch.Enqueue(item)
	}
	if _, err := batch.Exec(ctx); err != nil {
		return err
	}
	c.expect(added...)
	if c.ResetJob != "" {
		return c.resetJob(ctx)
	}
	return nil
}

// expectIn makes the scanner look when jobs of the partition are due.
func (n *Node) expectIn(partition string, jobs ...state.Job) {
	for _, job := range jobs {
		if at := time.UnixMilli(job.Due); time.Until(at) < horizon {
			n.visitAt(partition, at)
		}
	}
}

func (c *commit) expect(jobs ...state.Job) { c.expectIn(c.Metadata.ID.FunctionID.String(), jobs...) }

// firstAttempt is the attempt at which a job begins again: 1 for a start that was
// tried before, and holds a place among the runs of its function since: at 0 it
// would take another.
func firstAttempt(item *format.Item) int {
	if item.Data.Attempt > 0 && len(item.Data.Semaphores) > 0 {
		return 1
	}
	return 0
}

// resetJob lets the attempts of a job that lasts begin again.
func (c *commit) resetJob(ctx context.Context) error {
	for {
		e, err := c.jobs.Get(ctx, c.ResetJob)
		if errors.Is(err, jobs.ErrGone) || err == nil && e.Item.Data.Attempt == firstAttempt(&e.Item) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = c.jobs.Change(ctx, e, func(i *format.Item) { i.Data.Attempt = firstAttempt(i) })
		if !errors.Is(err, jobs.ErrChanged) {
			return err
		}
	}
}

func (c *commit) storeDefers(ctx context.Context) error {
	for _, d := range c.Transition.Defers {
		err := c.runs.SaveDefer(ctx, c.Ref(), runs.Defer{
			Defer: format.Defer{FunctionSlug: d.Slug, HashedID: d.ID, Status: int(d.Status)},
			Input: string(d.Input), Control: string(d.Meta),
		})
		if err != nil {
			return err
		}
	}
	for _, id := range c.AbortDefers {
		if err := c.runs.AbortDefer(ctx, c.Ref(), id); err != nil {
			return err
		}
	}
	return nil
}

// conclude ends the job, or lets it go on, and adds the calls that follow: at one
// moment.
func (c *commit) conclude(ctx context.Context) error {
	batch := c.jobs.Batch(c.now)
	// What follows comes first: a run without any job gives its singleton's key up.
	for _, job := range c.more {
		item, err := c.itemOf(job, nil)
		if err != nil {
			return err
		}
		batch.Enqueue(item)
	}
	if c.own != nil {
		if err := c.endOwn(batch); err != nil {
			return err
		}
	}
	c.dropPatience(batch)
	if err := c.redrive(batch); err != nil {
		return err
	}
	codes, err := batch.Exec(ctx)
	if err != nil {
		return err
	}
	if c.own != nil {
		if jobs.Concluded(codes[len(c.more)]) == jobs.ConcludedChanged {
			return jobs.ErrChanged
		}
		c.letGo(c.Job)
	}
	c.expect(c.more...)
	return nil
}

// endOwn says what becomes of the concluded job.
func (c *commit) endOwn(batch *jobs.Batch) error {
	switch {
	case c.Then == state.JobRetry:
		batch.Requeue(c.own, func(i *format.Item) {
			i.At = c.RetryAt
			i.Data.Attempt++
		})
		c.expect(state.Job{Due: c.RetryAt})
	case c.goesOn != nil:
		item, err := c.itemOf(*c.goesOn, nil)
		if err != nil {
			return err
		}
		batch.Replace(c.own, item)
		c.expect(*c.goesOn)
	case c.inDoubt():
		batch.Requeue(c.own, func(i *format.Item) {
			i.Generation--
			i.At = c.now.Add(doubt).UnixMilli()
		})
		c.expect(state.Job{Due: c.now.Add(doubt).UnixMilli()})
	default:
		batch.Dequeue(c.own)
	}
	return nil
}

// inDoubt tells that something else has ended the wait that the job is the
// timeout of, just now, and that nothing follows yet.
func (c *commit) inDoubt() bool {
	if c.Kind != state.JobPause || !c.idle() {
		return false
	}
	p, err := format.PayloadOf[format.PausePayload](format.Place{Key: format.ItemsKey, Member: c.Job}, &c.own.Item)
	if err != nil || p.Pause.Expires+doubt.Milliseconds() <= c.now.UnixMilli() {
		return false
	}
	return c.saved[p.Pause.DataKey] == runs.SavedOther
}

// redrive calls a run again that has nothing to go on with by then (sdk-protocol
// §14.6).
func (c *commit) redrive(batch *jobs.Batch) error {
	if !c.idle() || len(c.more) > 0 {
		return nil // what was read says already that it has
	}
	job := state.Job{
		ID: function.Hash("redrive-" + ulid.Make().String()), Kind: state.JobEdge, Due: c.now.Add(redriveDelay).UnixMilli(),
		MaxAttempts: c.Functions.Attempts(c.run.FunctionID),
	}
	if n := len(c.run.Steps); n > 0 {
		job.Outgoing = c.run.Steps[n-1].ID
	}
	item, err := c.itemOf(job, nil)
	if err != nil {
		return err
	}
	batch.EnqueueAlone(item)
	c.expect(job)
	return nil
}
