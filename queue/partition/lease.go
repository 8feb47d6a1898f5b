package partition

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"jetstep/queue"
	"jetstep/state"
)

// leased is a job that an executor has.
type leased struct {
	token    uint64
	function uuid.UUID
	lane     queue.Lane
	since    int64 // milliseconds since 1970
}

// Lease implements queue.Queue.
func (n *Node) Lease(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	ready, pop := n.lanes[queue.LaneCall], (*queue.Ready[readyJob]).Pop
	switch lane {
	case queue.LaneWake:
		ready = n.lanes[queue.LaneWake]
	case queue.LaneFirst:
		pop = (*queue.Ready[readyJob]).PopIdle
	}
	for {
		job, err := pop(ready, ctx)
		if err != nil {
			return queue.Lease{}, err
		}
		if lease, ok := job.owner.lease(job.ref); ok {
			return lease, nil
		}
		ready.Done(job.function)
	}
}

// newToken is a token for a lease of a job of the partition, which it names: the run
// may be gone when the lease ends.
func (n *Node) newToken(partition int) uint64 {
	return n.leases.Add(1)*uint64(len(n.owners)) + uint64(partition)
}

// Release implements queue.Queue.
func (n *Node) Release(lease queue.Lease) {
	if o := n.owner(int(lease.Token % uint64(len(n.owners)))); o != nil {
		o.release(jobRef{Run: lease.RunID, Job: lease.Job.ID}, lease.Token)
	}
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
	if _, taken := o.leased[ref]; taken {
		return queue.Lease{}, false
	}
	if o.emptying != nil {
		o.withheld = append(o.withheld, ref)
		return queue.Lease{}, false
	}
	now := o.node.now()
	run, job := o.find(ref)
	if job == nil || job.Due > now {
		o.admission.gate.Finish(ref)
		o.admit()
		return queue.Lease{}, false
	}
	o.refreshLimits()
	if !o.mayBegin(run, job) {
		return queue.Lease{}, false
	}
	// Last, since it takes note that the run has begun.
	if !o.inTime(run, job, now) {
		return queue.Lease{}, false
	}
	token := o.node.newToken(o.id)
	o.leased[ref] = leased{token, run.FunctionID, queue.LaneOf(job.Kind), now}
	if job.Kind == state.JobStart && run.StartedAt == 0 {
		// Not yet in the log, and only for those who look on.
		o.node.history.RunStarted(run.ID, time.UnixMilli(now))
	}
	return queue.Lease{RunID: run.ID, FunctionID: run.FunctionID, Job: *job, Mark: mark, Token: token, Lasts: o.lasts}, true
}

// find looks a job up; it is nil when it is gone.
func (o *Owner) find(ref jobRef) (*state.Run, *state.Job) {
	run, ok := o.index.Run(ref.Run)
	if !ok {
		return nil, nil
	}
	job, ok := run.Job(ref.Job)
	if !ok {
		return run, nil
	}
	return run, job
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

// unlease notes that a lease has ended. Nothing happens when there is none.
func (o *Owner) unlease(ref jobRef) {
	if l, ok := o.leased[ref]; ok {
		delete(o.leased, ref)
		o.node.lanes[l.lane].Done(l.function)
		if o.emptying != nil && len(o.leased) == 0 {
			close(o.emptying)
		}
	}
}

// empty hands out no more jobs, and waits until those that are leased have ended. If
// they have not within a time, jobs are handed out again; it is not tried when one
// has lasted for longer already.
func (o *Owner) empty(ctx context.Context, within time.Duration) (empty bool) {
	emptied := make(chan struct{})
	o.mu.Lock()
	for _, l := range o.leased {
		if o.node.now()-l.since > within.Milliseconds() {
			o.mu.Unlock()
			return false
		}
	}
	o.emptying = emptied
	if len(o.leased) == 0 {
		close(emptied)
	}
	o.mu.Unlock()
	select {
	case <-emptied:
		return true
	case <-time.After(within):
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.leased) == 0 {
		return true
	}
	withheld := o.withheld
	o.emptying, o.withheld = nil, nil
	for _, ref := range withheld {
		o.offerAgain(ref)
	}
	return false
}

// offerAgain makes a job due again that was in the ready line and is not leased, if
// its run still has it.
func (o *Owner) offerAgain(ref jobRef) {
	o.admission.gate.Finish(ref)
	if o.failed != nil || o.closing {
		return
	}
	if run, job := o.find(ref); job != nil {
		o.schedule(run, *job, o.node.now())
	}
	o.admit()
}

// loseLeases ends all leases: the owner itself ends.
func (o *Owner) loseLeases() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ref := range o.leased {
		o.unlease(ref)
	}
}

// release ends a lease whose job was not concluded, if that lease still lasts:
// the job may have been leased again, after an earlier owner's lease was lost
// with it. The job is due again, if its run still has it.
func (o *Owner) release(ref jobRef, token uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leased[ref].token != token || token == 0 {
		return
	}
	o.unlease(ref)
	o.offerAgain(ref)
}
