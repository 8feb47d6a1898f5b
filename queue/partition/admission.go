package partition

import (
	"math"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/queue"
	"jetstep/queue/gate"
	"jetstep/queue/gcra"
	"jetstep/state"
)

// admission lets due jobs of functions with limits pass when their limits
// allow it (package gate). Slots for steps are held from there until the
// executor is done with the job, and live in memory only: a call that was lost
// with its process holds none. Starts that were throttled, or took a place
// among the runs of their function, are recorded before they are handed out.
// mu of the owner guards it.
type admission struct {
	gate    *gate.Gate
	catalog *bus.Catalog             // that plans are of
	plans   map[uuid.UUID]*gate.Plan // by function, nil for one without limits
	// recording are runs whose admission is not durable yet.
	recording map[ulid.ULID]struct{}
	toldAt    int64 // when it was last told what waits
	opens     int64 // nothing is admitted before that time, in milliseconds
}

func newAdmission(o *Owner) admission {
	return admission{
		gate:      gate.New(o.throttled),
		catalog:   o.node.bus.Registry().Catalog(),
		plans:     map[uuid.UUID]*gate.Plan{},
		recording: map[ulid.ULID]struct{}{},
	}
}

// throttled implements gate.Rates.
func (o *Owner) throttled(key state.GateKey, limit gcra.Limit) float64 {
	now := o.node.now()
	return limit.Carried(float64(now), o.rate(key, now))
}

// plan is how the jobs of a function are limited, nil for not at all.
func (a *admission) plan(fn uuid.UUID) *gate.Plan {
	plan, known := a.plans[fn]
	if !known {
		plan = planIn(a.catalog, fn)
		a.plans[fn] = plan
	}
	return plan
}

// planIn also finds the limits of functions that their app no longer has.
func planIn(catalog *bus.Catalog, fn uuid.UUID) *gate.Plan {
	found, _, ok := catalog.Executable(fn)
	if !ok {
		return nil
	}
	return gate.PlanOf(found)
}

// refreshLimits puts limits in force that were registered since it was last
// asked.
func (o *Owner) refreshLimits() {
	a := &o.admission
	catalog := o.node.bus.Registry().Catalog()
	if catalog == a.catalog {
		return
	}
	a.catalog = catalog
	changed := map[uuid.UUID]*gate.Plan{}
	for fn, old := range a.plans {
		plan := planIn(catalog, fn)
		if plan.Equal(old) {
			continue
		}
		a.plans[fn] = plan
		if plan == nil {
			plan = &gate.Plan{Function: fn}
		}
		changed[fn] = plan
	}
	if len(changed) == 0 {
		return
	}
	a.gate.Refresh(changed, jobSource{o})
	o.foreign.adopt(changed)
	for ref, l := range o.leased {
		if plan := changed[l.function]; plan != nil && l.lane == queue.LaneCall {
			job := o.describe(ref)
			a.gate.Adopt(plan, &job)
		}
	}
}

// jobSource tells the gate about jobs and runs as they are now.
type jobSource struct{ o *Owner }

func (s jobSource) Job(ref gate.Ref) (gate.Job, bool) {
	if f := s.o.foreign.jobs[ref]; f != nil {
		return f.gateJob(), true
	}
	run, job := s.o.find(ref)
	if job == nil {
		return gate.Job{}, false
	}
	return gateJob(run, job), true
}

func (s jobSource) Keys(id ulid.ULID) []state.FlowKey {
	if run, ok := s.o.index.View(id); ok && run.Flow != nil {
		return run.Flow.Keys
	}
	return s.o.foreign.keysOf(id)
}

// describe is a job whose run may be gone.
func (o *Owner) describe(ref jobRef) gate.Job {
	job, _ := jobSource{o}.Job(ref)
	job.Ref = ref
	return job
}

// holdPlace gives a loaded run that was admitted its place among its
// function's runs.
func (o *Owner) holdPlace(run *state.Run) {
	if run.Flow == nil || !run.Flow.Admitted {
		return
	}
	if plan := o.admission.plan(run.FunctionID); plan != nil {
		o.admission.gate.HoldRun(plan, run.ID, run.Flow.Keys)
	}
}

// gateJob is a job of a live run as the gate sees it.
func gateJob(run *state.Run, job *state.Job) gate.Job {
	j := gate.Job{Ref: jobRef{Run: run.ID, Job: job.ID}, Score: score(run, job), Due: job.Due}
	j.Start = job.Kind == state.JobStart && run.StartedAt == 0 && (run.Flow == nil || !run.Flow.Admitted)
	if run.Flow != nil {
		j.Priority, j.Keys = run.Flow.Priority, run.Flow.Keys
	}
	return j
}

// score orders the calls of a function: older runs first, moved by their
// priority, in milliseconds (flow-control §13). Of runs that events of one
// request started, those that have begun go on before others begin.
func score(run *state.Run, job *state.Job) int64 {
	score := int64(run.ID.Time())
	if job.Kind != state.JobStart || job.Generation > 0 {
		score--
	}
	if run.Flow != nil {
		score -= int64(run.Flow.Priority) * 1000
	}
	return score
}

// due puts a job that is due into its lane, or before the gate when limits
// count it; admit has to follow.
func (o *Owner) due(run *state.Run, job *state.Job) {
	lane := queue.LaneOf(job.Kind)
	ref := jobRef{Run: run.ID, Job: job.ID}
	if lane != queue.LaneCall {
		o.node.push(o, lane, run.FunctionID, job.Due, ref)
		return
	}
	if plan := o.admission.plan(run.FunctionID); plan != nil {
		j := gateJob(run, job)
		o.admission.gate.Offer(plan, &j)
		return
	}
	o.node.push(o, lane, run.FunctionID, score(run, job), ref)
}

// admit hands out what the gate lets pass. It is to be called after jobs
// became due or ended, outside of decisions: it may make a record of its own.
func (o *Owner) admit() {
	a := &o.admission
	now := o.node.now()
	if now < a.opens {
		return // tick looks again then
	}
	var t *tx
	var recording []jobRef
	for {
		passed, ok := a.gate.Next(now)
		if !ok {
			break
		}
		var foreign bool
		if t, foreign = o.passForeign(t, &passed, &recording); foreign {
			continue
		}
		if !passed.Charged {
			o.node.push(o, queue.LaneCall, passed.Function, passed.Score, passed.Ref)
			continue
		}
		if t == nil {
			t = o.begin()
		}
		t.admit(&passed)
	}
	if t != nil {
		t.commit(o.foreignRecorded(recording))
	}
	if at, ok := a.gate.NextAt(); ok {
		o.wakeBy(at)
	}
}

// admit records that a run may start.
func (t *tx) admit(passed *gate.Admission) {
	t.do(&state.RunAdmitted{RunID: passed.Run})
	if c := passed.Throttle; c != nil {
		t.charge(c)
	}
	t.o.admission.recording[passed.Run] = struct{}{}
}

// charge records what a throttle was charged.
func (t *tx) charge(c *gate.Charge) {
	t.do(&state.RateCharged{Key: c.Key, TAT: c.TAT, Expires: int64(math.Ceil(c.TAT))})
}

// admitted hands out the start of a run whose admission is durable.
func (o *Owner) admitted(id ulid.ULID) {
	delete(o.admission.recording, id)
	run, ok := o.index.Run(id)
	if !ok {
		return // cancelled meanwhile, which freed its slots
	}
	for i := range run.Jobs {
		job := &run.Jobs[i]
		if ref := (jobRef{Run: id, Job: job.ID}); job.Kind == state.JobStart && o.admission.gate.Admitted(ref) {
			o.node.push(o, queue.LaneCall, run.FunctionID, score(run, job), ref)
		}
	}
}

// mayBegin tells whether a call that a worker asks for has passed the gate. One
// that came into its lane before its function had limits goes back to it.
func (o *Owner) mayBegin(run *state.Run, job *state.Job) bool {
	if queue.LaneOf(job.Kind) != queue.LaneCall {
		return true
	}
	if _, early := o.admission.recording[run.ID]; early {
		return false
	}
	if o.admission.plan(run.FunctionID) == nil || o.admission.gate.Admitted(jobRef{Run: run.ID, Job: job.ID}) {
		return true
	}
	o.due(run, job)
	o.admit()
	return false
}

// executed frees the slots of a job that an executor is done with. If the job
// is due again, it waits for slots like others.
func (o *Owner) executed(ref jobRef) {
	if !o.admission.gate.Admitted(ref) {
		return
	}
	o.admission.gate.Finish(ref)
	run, job := o.find(ref)
	if _, again := o.leased[ref]; job != nil && !again && job.Due <= o.node.now() {
		o.due(run, job)
	}
}

// leaveGate takes what a fact ends from the gate, before it is applied. Calls
// that are being made keep their slots until the executor is done.
func (t *tx) leaveGate(op state.Op) {
	switch op := op.(type) {
	case *state.RunChanged:
		for _, id := range op.JobsDone {
			t.dropFromGate(jobRef{Run: op.RunID, Job: id})
		}
	case *state.RunFinished:
		if run, ok := t.o.index.Run(op.RunID); ok {
			for i := range run.Jobs {
				t.dropFromGate(jobRef{Run: run.ID, Job: run.Jobs[i].ID})
			}
		}
		t.o.admission.gate.EndRun(op.RunID)
		delete(t.o.admission.recording, op.RunID)
	}
}

func (t *tx) dropFromGate(ref jobRef) {
	if _, leased := t.o.leased[ref]; !leased && ref != t.concluded {
		t.o.admission.gate.Finish(ref)
	}
}

// endLease ends the lease of the job that a transition concludes. Its slots
// are freed when the record is durable, so that what follows in the same run
// is in line by then.
func (t *tx) endLease(ref jobRef) {
	t.o.unlease(ref)
	t.concluded = ref
}
