package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/queue"
	"jetstep/queue/gate"
	"jetstep/state"
)

// Foreign is another queue whose runs end beside those of this one (--drain-redis).
// Its methods are asked under an owner's lock: they must be quick, and do no I/O.
type Foreign interface {
	// Claimed tells whether the key of a start has a run there, and which.
	Claimed(fn uuid.UUID, idempotency string) (run ulid.ULID, taken bool)
	// Singleton is the live run there that holds a function's singleton for the
	// text of its key, "" without one.
	Singleton(fn uuid.UUID, text string) (run ulid.ULID, held bool)
	// Charged is the theoretical arrival time of a throttle or rate limit there, in
	// the limit's unit, as it was before starts there were counted here; 0 is nothing.
	Charged(key state.GateKey) float64
	// Cancel ends a run there, soon, because another takes its singleton.
	Cancel(run, by ulid.ULID)
	// Granted says that a job of this process was admitted which waited before:
	// the next report is answered with it.
	Granted()
}

// Of reports, in milliseconds.
const (
	// foreignSettle is how long a new owner waits for reports before it admits
	// anything: processes report more than once in that time.
	foreignSettle = 2500
	// foreignLapse is after how long without a report a process is taken for
	// dead. Its calls count no more, as those of an owner that is gone.
	foreignLapse = 15_000
)

// ForeignReportEvery is how often, in milliseconds, a process reports what it
// executes, at least.
const ForeignReportEvery = 1000

// errForeignReport is a report that cannot have come from ForeignReport.
var errForeignReport = errors.New("report without a process")

// CountedIn is the partition whose owner counts the limits of a function's
// jobs; limited is false when nothing limits them.
func (n *Node) CountedIn(fn uuid.UUID) (partition int, limited bool) {
	found, _, ok := n.bus.Registry().Catalog().Executable(fn)
	if !ok || gate.PlanOf(found) == nil {
		return 0, false
	}
	spread, _ := found.FlowPartitionKey()
	return n.partitionOf(spread), true
}

// ReportForeign tells the owner of a partition, wherever it is, what this
// process executes of another queue, and returns the ids of those jobs that it
// asked for and may execute now. Those count from then on.
func (n *Node) ReportForeign(ctx context.Context, p int, r *queue.ForeignReport) (granted []string, err error) {
	if o := n.owner(p); o != nil {
		granted, err = o.foreignReport(r)
	} else {
		var a answer
		a, err = n.ask(ctx, p, question{Kind: askForeign, Foreign: r})
		granted = a.Granted
	}
	if err != nil {
		return nil, fmt.Errorf("report to partition %d: %w", p, err)
	}
	return granted, nil
}

func (o *Owner) foreignReport(r *queue.ForeignReport) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.usable(); err != nil {
		return nil, err
	}
	if r.From == "" {
		return nil, errForeignReport
	}
	o.refreshLimits()
	o.foreign.report(o.node.now(), r)
	o.admit()
	return o.foreign.granted(r.From), nil
}

// foreigners are the jobs and runs of another queue that this partition counts, in
// memory only: a new owner is told again. mu of the owner guards them.
type foreigners struct {
	gate  *gate.Gate
	plan  func(uuid.UUID) *gate.Plan
	jobs  map[jobRef]*foreigner
	runs  map[ulid.ULID]*foreignRun
	heard map[string]heard // by process
}

// heard is when a process reported last, in milliseconds, and with which number.
type heard struct {
	at int64
	n  uint64
}

// foreigner is a job of another queue.
type foreigner struct {
	queue.ForeignJob
	from    string
	allowed bool // it counts, and may be executed
}

func newForeigners(g *gate.Gate, plan func(uuid.UUID) *gate.Plan) foreigners {
	return foreigners{
		gate: g, plan: plan, jobs: map[jobRef]*foreigner{}, runs: map[ulid.ULID]*foreignRun{}, heard: map[string]heard{},
	}
}

func (f *foreigner) ref() jobRef { return jobRef{Run: f.RunID, Job: f.ID} }

// gateJob is the job as the gate sees it. Older runs are first, as of those here.
func (f *foreigner) gateJob() gate.Job {
	return gate.Job{
		Ref: f.ref(), Start: f.Start, Score: int64(f.RunID.Time()) - int64(f.Priority)*1000, Priority: f.Priority,
		Due: f.Due, Keys: f.Keys, Foreign: true,
	}
}

// report takes note of all that a process has and wants.
func (s *foreigners) report(now int64, r *queue.ForeignReport) {
	if last, known := s.heard[r.From]; known && r.N <= last.n {
		return
	}
	s.heard[r.From] = heard{now, r.N}
	s.hold(r)
	listed := make(map[jobRef]struct{}, len(r.Jobs))
	for i := range r.Jobs {
		f := &foreigner{ForeignJob: r.Jobs[i], from: r.From}
		listed[f.ref()] = struct{}{}
		s.take(f)
	}
	for ref, f := range s.jobs {
		if _, still := listed[ref]; f.from == r.From && !still {
			s.drop(ref)
		}
	}
	s.release(r.From, r.Runs)
}

// take counts or offers a job. A job that another process has stays that one's,
// until it is executed by this one: then it has lost it.
func (s *foreigners) take(f *foreigner) {
	ref := f.ref()
	have := s.jobs[ref]
	switch {
	case have == nil:
	case f.Running && !have.allowed:
		s.drop(ref)
	case f.Running:
		have.from, have.Running = f.from, true
		return
	default:
		return
	}
	s.jobs[ref] = f
	if _, paid := s.runs[f.RunID]; paid {
		f.Start = false
	}
	plan, job := s.plan(f.FunctionID), f.gateJob()
	switch {
	case f.Running && plan != nil:
		f.allowed = true
		s.gate.Adopt(plan, &job)
	case plan != nil:
		s.gate.Offer(plan, &job)
	default:
		f.allowed = true
	}
}

// drop ends a job: it counts no more, or waits no more.
func (s *foreigners) drop(ref jobRef) {
	f := s.jobs[ref]
	delete(s.jobs, ref)
	s.gate.Finish(ref)
	s.neverBegan(f)
}

// expire drops the jobs of processes that report no more.
func (s *foreigners) expire(now int64) {
	for from, h := range s.heard {
		if now < h.at+foreignLapse {
			continue
		}
		delete(s.heard, from)
		s.release(from, nil)
		for ref, f := range s.jobs {
			if f.from == from {
				s.drop(ref)
			}
		}
	}
}

// allow says that a job has passed, and that this is recorded.
func (s *foreigners) allow(ref jobRef) (from string) {
	f := s.jobs[ref]
	if f == nil {
		return ""
	}
	f.allowed = true
	return f.from
}

// granted are the jobs that a process asked for and may execute, in order.
func (s *foreigners) granted(from string) []string {
	var ids []string
	for _, f := range s.jobs {
		if f.from == from && f.allowed && !f.Running {
			ids = append(ids, f.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// adopt counts what is being executed, or in progress, where new limits count it.
func (s *foreigners) adopt(changed map[uuid.UUID]*gate.Plan) {
	s.holdChanged(changed)
	for _, f := range s.jobs {
		if plan := changed[f.FunctionID]; plan != nil && f.allowed {
			job := f.gateJob()
			job.Start = false
			s.gate.Adopt(plan, &job)
		}
	}
}

// passForeign lets a job of another queue pass that the gate admitted; false
// for one of this queue. What it was charged is recorded first.
func (o *Owner) passForeign(t *tx, passed *gate.Admission, recording *[]jobRef) (*tx, bool) {
	if _, foreign := o.foreign.jobs[passed.Ref]; !foreign {
		return t, false
	}
	if passed.Throttle == nil {
		o.allowForeign(passed.Ref)
		return t, true
	}
	if t == nil {
		t = o.begin()
	}
	t.charge(passed.Throttle)
	*recording = append(*recording, passed.Ref)
	return t, true
}

func (o *Owner) allowForeign(ref jobRef) {
	if o.foreign.allow(ref) == o.node.name && o.node.foreign != nil {
		o.node.foreign.Granted()
	}
}

// foreignRecorded is what follows when the charges of foreign jobs are durable.
func (o *Owner) foreignRecorded(refs []jobRef) func(error) {
	if len(refs) == 0 {
		return nil
	}
	return func(err error) {
		if err != nil {
			return // the owner ends, and its successor is asked again
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, ref := range refs {
			o.allowForeign(ref)
		}
	}
}

// foreignHolder is the run of another queue that holds a singleton, zero for none.
func (n *Node) foreignHolder(fn uuid.UUID, text string) (run ulid.ULID) {
	if n.foreign != nil {
		run, _ = n.foreign.Singleton(fn, text)
	}
	return run
}

// cancelForeign ends the run of another queue that held a singleton, if one did.
func (n *Node) cancelForeign(holder, by ulid.ULID) {
	if n.foreign != nil && holder != (ulid.ULID{}) {
		n.foreign.Cancel(holder, by)
	}
}

// rate is the theoretical arrival time of a throttle or rate limit, in its unit, as
// far as it counts at a moment, in milliseconds: what was charged here, or in another
// queue before.
func (o *Owner) rate(key state.GateKey, at int64) float64 {
	tat, _ := o.index.Rate(key, at)
	if o.node.foreign != nil {
		tat = max(tat, o.node.foreign.Charged(key))
	}
	return tat
}

// foreignClaim is the run of another queue that has a start's key.
func (n *Node) foreignClaim(s *state.Start) (run ulid.ULID, taken bool) {
	if n.foreign == nil {
		return run, false
	}
	return n.foreign.Claimed(s.FunctionID, s.Idempotency)
}
