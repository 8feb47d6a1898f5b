package partition

import (
	"errors"
	"slices"
	"time"

	"jetstep/queue"
	"jetstep/state"
)

// effects lets what a durable record said come true in memory: its jobs
// become due, its messages may be sent. mu is held.
func (o *Owner) effects(r *state.Record) {
	for _, op := range r.Ops {
		switch op := op.(type) {
		case *state.RunPut:
			o.scheduleAll(&op.Run, op.Run.Jobs, r.At)
		case *state.RunChanged:
			if run, ok := o.index.Run(op.RunID); ok {
				o.scheduleAll(run, op.JobsPut, r.At)
				o.settle(run, r.At)
			}
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
		if _, busy := o.leased[jobRef{run.ID, run.Jobs[i].ID}]; busy {
			return
		}
	}
	o.index.Freeze(run.ID)
}

// schedule puts a job in the ready line or on the heap.
func (o *Owner) schedule(run *state.Run, job state.Job, now int64) {
	if job.Due <= now {
		o.node.push(o, run, &job)
		return
	}
	next, any := o.timers.Next()
	o.timers.Add(queue.Timer{Due: job.Due, RunID: run.ID})
	if !any || job.Due < next {
		o.poke()
	}
}

// fireTimers moves what is due to the ready line. Timers of jobs that are gone
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
				o.node.push(o, run, job)
				jobs++
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

// errRanOut fails an owner that slept through the end of its lease.
var errRanOut = errors.New("lease of the partition ran out")

// lease hands a job of the ready line out, if it is still there and due. After
// the end of its lease the owner may not know what another one has done since:
// it would call functions for steps that are recorded.
func (o *Owner) lease(ref jobRef) (queue.Lease, bool) {
	if !o.lasts() {
		return queue.Lease{}, false
	}
	mark := o.node.bus.LastEvent()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil || o.closing {
		return queue.Lease{}, false
	}
	run, ok := o.index.Run(ref.run)
	if !ok {
		return queue.Lease{}, false
	}
	job, ok := run.Job(ref.job)
	if !ok || job.Due > o.node.now() {
		return queue.Lease{}, false
	}
	if _, taken := o.leased[ref]; taken {
		return queue.Lease{}, false
	}
	if !o.inTime(run, job, o.node.now()) {
		return queue.Lease{}, false
	}
	token := o.node.leases.Add(1)
	o.leased[ref] = token
	if job.Kind == state.JobStart && run.StartedAt == 0 {
		// Not yet in the log, and only for those who look on.
		o.node.history.RunStarted(run.ID, time.UnixMilli(o.node.now()))
	}
	return queue.Lease{RunID: run.ID, FunctionID: run.FunctionID, Job: *job, Mark: mark, Token: token, Lasts: o.lasts}, true
}

// leads tells whether leases of the owner's jobs count. It fails an owner whose
// own lease ran out.
func (o *Owner) leads() bool {
	if o.held() {
		return !o.over.Load()
	}
	o.fail(errRanOut)
	return false
}

// release takes an unexecuted job back, if that lease still lasts: the job may
// have been leased again, after an earlier owner's lease was lost with it.
func (o *Owner) release(ref jobRef, token uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leased[ref] != token {
		return
	}
	delete(o.leased, ref)
	if run, ok := o.index.Run(ref.run); ok && !o.closing {
		if job, ok := run.Job(ref.job); ok {
			o.schedule(run, *job, o.node.now())
		}
	}
}
