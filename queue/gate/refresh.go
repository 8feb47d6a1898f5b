package gate

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// Source describes jobs and runs again after a change of limits.
type Source interface {
	// Job describes a job; ok is false when it is gone.
	Job(ref Ref) (job Job, ok bool)
	// Keys are the values of a run's key expressions.
	Keys(run ulid.ULID) []state.FlowKey
}

// known is a job that the gate has a place for.
type known struct {
	ref   Ref
	place place
}

// Refresh puts new limits in force. plans holds those functions whose limits
// changed, with an empty plan for a function that has none any more. What was
// admitted stays so, and counts where the new limits count it. The cost is
// that of offering every job of these functions again.
func (g *Gate) Refresh(plans map[uuid.UUID]*Plan, source Source) {
	var affected []known
	for ref, p := range g.jobs {
		if plans[p.slots.function] != nil {
			affected = append(affected, known{ref, p})
		}
	}
	slices.SortFunc(affected, func(a, b known) int { return cmp.Compare(a.place.seq, b.place.seq) })
	for _, k := range affected {
		g.Finish(k.ref)
	}
	g.refreshRuns(plans, source)
	for _, k := range affected {
		plan := plans[k.place.slots.function]
		job, live := source.Job(k.ref)
		switch admitted := k.place.bucket == nil; {
		case admitted:
			// The call is made, whatever became of the job.
			job.Ref, job.Start = k.ref, false
			g.Adopt(plan, &job)
		case live:
			g.Offer(plan, &job)
		}
	}
}

// refreshRuns counts the runs in progress where the new limits count them. A
// limit that is gone goes on counting, in case that it comes back.
func (g *Gate) refreshRuns(plans map[uuid.UUID]*Plan, source Source) {
	for run, h := range g.runs {
		plan := plans[h.function]
		if plan == nil || plan.runs == nil {
			continue
		}
		if r := plan.runs; r.key.Expr != h.on.key.Expr {
			h.on.used--
			g.mark(h.on)
			g.dropUnused(h.on)
			g.takeRun(run, h.function, g.constraintOf(r, source.Keys(run)))
		}
	}
}
