package partition

import (
	"cmp"
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

// Held names the limit that a run of a partition served here waits for, as
// gate.Gate.Reason does; ok is false when none of its jobs waits for one.
func (n *Node) Held(id ulid.ULID) (constraint string, ok bool) {
	o := n.owner(n.partitionOfRun(id))
	if o == nil {
		return "", false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.admission.gate.Len() == 0 {
		return "", false
	}
	run, live := o.index.View(id)
	if !live {
		return "", false
	}
	for i := range run.Jobs {
		if limit, held := o.admission.gate.Reason(jobRef{Run: id, Job: run.Jobs[i].ID}); held {
			return limit, true
		}
	}
	return "", false
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
