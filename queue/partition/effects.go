package partition

import (
	"slices"
	"time"

	"jetstep/queue"
	"jetstep/state"
)

// effects lets what a durable record said come true in memory: its jobs
// become due, its messages may be sent. mu is held.
func (o *Owner) effects(r *state.Record) {
	for _, op := range r.Ops {
		if o.node.atRest {
			o.effectAtRest(op)
			continue
		}
		switch op := op.(type) {
		case *state.RunPut:
			// A run may have ended since: what nobody ends any more must not
			// take a place among the runs of its function.
			if o.index.Live(op.Run.ID) {
				o.scheduleAll(&op.Run, op.Run.Jobs, r.At)
				o.settle(&op.Run, r.At)
			}
		case *state.RunChanged:
			if run, ok := o.index.Run(op.RunID); ok {
				o.scheduleAll(run, op.JobsPut, r.At)
				o.settle(run, r.At)
			}
		case *state.RunAdmitted:
			o.admitted(op.RunID)
		case *state.Sent:
			o.durable[op.To] = op.N
		}
	}
}

func (o *Owner) scheduleAll(run *state.Run, jobs []state.Job, now int64) {
	for _, job := range jobs {
		o.schedule(run, job, now)
	}
}

// settleFor is how long a run must have nothing to do to be kept encoded.
const settleFor = 2000

// settle puts a run that will only wait for a while out of the way.
func (o *Owner) settle(run *state.Run, now int64) {
	for i := range run.Jobs {
		if run.Jobs[i].Due < now+settleFor {
			return
		}
		if _, busy := o.leased[jobRef{Run: run.ID, Job: run.Jobs[i].ID}]; busy {
			return
		}
	}
	o.index.Freeze(run.ID)
}

// schedule makes a job due, now or later. admit has to follow.
func (o *Owner) schedule(run *state.Run, job state.Job, now int64) {
	if job.Due <= now {
		o.due(run, &job)
		return
	}
	o.timers.Add(queue.Timer{Due: job.Due, RunID: run.ID})
	o.wakeBy(job.Due)
}

// fireTimers makes those jobs due whose time has come. Timers of jobs that are gone
// or were postponed are passed over.
func (o *Owner) fireTimers(now int64) {
	// A run with several jobs of one moment has a timer for each; the first
	// finds them all.
	var found map[queue.Timer]struct{}
	for {
		timer, ok := o.timers.Pop(now)
		if !ok {
			return
		}
		run, ok := o.index.Run(timer.RunID)
		if !ok {
			o.stale = max(o.stale-1, 0)
			continue
		}
		if _, again := found[timer]; again {
			continue
		}
		jobs := 0
		for i := range run.Jobs {
			if job := &run.Jobs[i]; job.Due == timer.Due {
				o.due(run, job)
				jobs++
				if hook := o.node.observer.Late; hook != nil {
					hook(time.Duration(now-job.Due) * time.Millisecond)
				}
			}
		}
		switch {
		case jobs == 0:
			o.stale = max(o.stale-1, 0)
		case jobs > 1:
			if found == nil {
				found = map[queue.Timer]struct{}{}
			}
			found[timer] = struct{}{}
		}
	}
}

// staleFloor is how many timers of jobs that are gone are always put up with.
const staleFloor = 1024

// dropTimer notes that a job which was due later is gone; its timer stays
// until it is due, or until such timers are half of all.
func (o *Owner) dropTimer(job *state.Job, now int64) {
	if job.Due <= now {
		return
	}
	o.stale++
	if o.stale < staleFloor || o.stale < o.timers.Len()/2 {
		return
	}
	o.stale = 1 // that of this job
	o.timers.Keep(func(t queue.Timer) bool {
		run, ok := o.index.View(t.RunID)
		return ok && slices.ContainsFunc(run.Jobs, func(j state.Job) bool { return j.Due == t.Due })
	})
}
