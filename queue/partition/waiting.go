package partition

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/queue/gate"
)

// tellEvery is how often a function is told of whose runs wait, in ms.
const tellEvery = 10_000

// tellWaiting says which functions have runs that wait for a limit.
func (o *Owner) tellWaiting(now int64) {
	a := &o.admission
	if a.gate.Len() == 0 || now < a.toldAt+tellEvery {
		return
	}
	a.toldAt = now
	told := map[uuid.UUID]bool{}
	list := a.gate.Waiting()
	slices.SortStableFunc(list, func(a, b gate.Waiting) int { return cmp.Compare(b.Jobs, a.Jobs) })
	for _, w := range list {
		if !told[w.Function] { // the limit that most wait for
			told[w.Function] = true
			o.log.Info("runs wait for a limit", "function_id", w.Function, "constraint", w.Limit, "count", w.Jobs)
		}
	}
}

// Held names the limit that a run waits for, as gate.Gate.Reason does; ok is false
// when none of its jobs waits for one.
func (n *Node) Held(ctx context.Context, id ulid.ULID) (constraint string, ok bool) {
	if o := n.owner(n.partitionOfRun(id)); o != nil {
		for _, limit := range o.heldJobs(id) {
			return limit, true
		}
		return "", false
	}
	for _, limit := range n.HeldJobs(ctx, id) {
		return limit, true
	}
	return "", false
}

// HeldJobs names the limits that jobs of a run wait for, by job id, as Held
// does for the run. Whom the process that serves the run does not answer is told
// of none.
func (n *Node) HeldJobs(ctx context.Context, id ulid.ULID) map[string]string {
	p := n.partitionOfRun(id)
	if o := n.owner(p); o != nil {
		return maps.Collect(o.heldJobs(id))
	}
	a, err := n.ask(ctx, p, question{Kind: askHeld, RunID: id})
	if err != nil {
		n.log.Debug("what a run waits for is not known", "run_id", id, "error", err)
	}
	return a.Held
}

// heldJobs are the jobs of a run that wait, by id, with what they wait for. The
// owner is locked meanwhile.
func (o *Owner) heldJobs(id ulid.ULID) iter.Seq2[string, string] {
	return func(yield func(job, limit string) bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.admission.gate.Len() == 0 {
			return
		}
		run, live := o.index.View(id)
		if !live {
			return
		}
		for i := range run.Jobs {
			job := run.Jobs[i].ID
			if limit, held := o.admission.gate.Reason(jobRef{Run: id, Job: job}); held && !yield(job, limit) {
				return
			}
		}
	}
}

// Waiting counts the jobs that wait for a limit, by function and limit, in the
// partitions served here. It looks at every value of a key that jobs wait for.
func (n *Node) Waiting() []gate.Waiting {
	var all []gate.Waiting
	for p := range n.owners {
		o := n.owner(p)
		if o == nil {
			continue
		}
		o.mu.Lock()
		more := o.admission.gate.Waiting()
		o.mu.Unlock()
		for _, w := range more {
			i := slices.IndexFunc(all, func(have gate.Waiting) bool { return have.Function == w.Function && have.Limit == w.Limit })
			if i < 0 {
				all = append(all, w)
			} else {
				all[i].Jobs += w.Jobs
			}
		}
	}
	return all
}
