package partition

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/queue"
	"jetstep/queue/gate"
	"jetstep/state"
)

// foreignRun is a run of another queue that has its place among the runs of its
// function, as long as a process says so.
type foreignRun struct {
	queue.ForeignRun
	by map[string]struct{} // processes
}

// hold gives runs their places that a process knows to be in progress. A place is
// had by the run: it counts once, whoever tells of it, and whether the start that
// took it was admitted here or before.
func (s *foreigners) hold(r *queue.ForeignReport) {
	for i := range r.Runs {
		run := s.runs[r.Runs[i].RunID]
		if run == nil {
			run = &foreignRun{ForeignRun: r.Runs[i], by: map[string]struct{}{}}
			s.runs[run.RunID] = run
			s.holdPlace(run)
		}
		run.by[r.From] = struct{}{}
	}
}

func (s *foreigners) holdPlace(run *foreignRun) {
	if plan := s.plan(run.FunctionID); plan != nil {
		s.gate.HoldRun(plan, run.RunID, run.Keys)
	}
}

// release takes the places of runs back of which a process told, and tells no more.
func (s *foreigners) release(from string, still []queue.ForeignRun) {
	listed := make(map[ulid.ULID]struct{}, len(still))
	for i := range still {
		listed[still[i].RunID] = struct{}{}
	}
	for id, run := range s.runs {
		_, told := run.by[from]
		if _, goesOn := listed[id]; !told || goesOn {
			continue
		}
		if delete(run.by, from); len(run.by) == 0 {
			delete(s.runs, id)
			s.gate.EndRun(id)
		}
	}
}

// neverBegan takes back the place of a start that was admitted and then not wanted.
func (s *foreigners) neverBegan(f *foreigner) {
	if _, holds := s.runs[f.RunID]; f.Start && f.allowed && !holds {
		s.gate.EndRun(f.RunID)
	}
}

// holdChanged gives runs their places where limits on runs are new.
func (s *foreigners) holdChanged(changed map[uuid.UUID]*gate.Plan) {
	for _, run := range s.runs {
		if changed[run.FunctionID] != nil {
			s.holdPlace(run)
		}
	}
}

// keysOf are the values of the key expressions of a run that has its place.
func (s *foreigners) keysOf(id ulid.ULID) []state.FlowKey {
	if run := s.runs[id]; run != nil {
		return run.Keys
	}
	for ref, f := range s.jobs {
		if ref.Run == id {
			return f.Keys
		}
	}
	return nil
}
