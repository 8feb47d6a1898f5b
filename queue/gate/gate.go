// Package gate owns which due jobs may be executed now, given the limits that
// users put on their functions: throttles, step concurrency by function,
// environment and account, and runs in progress (flow-control §§14, 15).
//
// Jobs with the same limits and the same values of keys share a bucket, ordered
// by score, so that only the first job of a bucket is ever looked at. A bucket
// stands in the line of the first limit that refuses it, and nothing is charged
// while one refuses. What an ended job frees is offered to the line of the
// limit that it frees; a bucket whose job was admitted goes to the end of its
// line, so that a key with a deep backlog does not starve others.
//
// It guarantees that no limit is ever exceeded by what it admitted, and that
// nothing waits that all limits would let pass. It is a pure structure for one
// goroutine at a time: it has no clock, does no I/O, and starts empty; its
// owner records what must outlive the process. It must not know what a job is.
package gate

import (
	"math"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/queue/gcra"
	"jetstep/queue/heap"
	"jetstep/state"
)

// Ref identifies a job.
type Ref struct {
	Run ulid.ULID
	Job string
}

// Job is a due job as the gate sees it.
type Job struct {
	Ref
	// Start tells that the job starts its run: throttles and limits on runs
	// count only such jobs.
	Start bool
	// Score orders the jobs of a bucket, the least first, in milliseconds.
	Score int64
	// Priority moves the bucket forward in line while this job is its first, in
	// seconds.
	Priority int
	// Due is when the job became due, in milliseconds since 1970.
	Due int64
	// Keys are the values of the function's key expressions.
	Keys []state.FlowKey
	// Foreign tells that another queue hands the job out. Such jobs take turns
	// with the others.
	Foreign bool
}

// Admission says that a job may be executed. It holds its slots until Finish.
type Admission struct {
	Ref
	Function uuid.UUID
	Score    int64
	// Charged tells that the job passed a throttle or took a place among the
	// function's runs, which it must not do again after a restart: that is to
	// be recorded before the job is handed out.
	Charged bool
	// Throttle is the new theoretical arrival time of a throttle, if one was
	// charged.
	Throttle *Charge
}

// Charge moves the theoretical arrival time of a throttle on, in milliseconds
// since 1970.
type Charge struct {
	Key state.GateKey
	TAT float64
}

// Rates finds the theoretical arrival time of a throttle, in milliseconds, as
// far as it counts for a limit; 0 when nothing was charged that still matters.
type Rates func(key state.GateKey, limit gcra.Limit) float64

// Gate holds jobs until their limits let them pass.
type Gate struct {
	rates       Rates
	constraints map[Key]*constraint
	buckets     map[string]*bucket
	jobs        map[Ref]place
	runs        map[ulid.ULID]holder
	held        int // jobs not admitted

	trying line                   // buckets whose first job may perhaps pass
	dirty  []*constraint          // may have room for one of their lines
	timers heap.Heap[*constraint] // throttles with lines, by when they have room
	seq    uint64                 // of jobs
	turn   uint64                 // of buckets
	key    []byte                 // room to build a bucket's key in
}

// place is where a job is: in a bucket, or admitted.
type place struct {
	bucket *bucket // nil once admitted
	slots  *slots
	seq    uint64
}

// slots are what the admitted jobs of a bucket hold each.
type slots struct {
	function uuid.UUID
	on       []*constraint
}

// holder is a run that has its place among its function's runs.
type holder struct {
	function uuid.UUID
	on       *constraint
}

// New makes an empty gate.
func New(rates Rates) *Gate {
	return &Gate{
		rates:       rates,
		constraints: map[Key]*constraint{},
		buckets:     map[string]*bucket{},
		jobs:        map[Ref]place{},
		runs:        map[ulid.ULID]holder{},
	}
}

// Offer puts a due job before the gate. A job that is there already, held or
// admitted, stays as it is.
func (g *Gate) Offer(plan *Plan, job *Job) {
	if _, known := g.jobs[job.Ref]; known {
		return
	}
	g.seq++
	b := g.bucketOf(plan, job)
	g.jobs[job.Ref] = place{bucket: b, slots: b.slots, seq: g.seq}
	g.held++
	b.add(item{ref: job.Ref, score: job.Score, priority: job.Priority, seq: g.seq})
	switch {
	case b.in == nil:
		b.since, b.turn = job.Due, g.nextTurn()
		b.stand(&g.trying)
	case b.in == &g.trying:
		b.since = min(b.since, job.Due)
		b.moved()
	case b.jobs[0].seq == g.seq:
		b.moved()
	}
}

// Adopt counts a job that is executed without having been admitted, because
// its function had no limits when it was handed out. A job that is known stays
// as it is.
func (g *Gate) Adopt(plan *Plan, job *Job) {
	if _, known := g.jobs[job.Ref]; known {
		return
	}
	b := g.bucketOf(plan, job)
	g.jobs[job.Ref] = place{slots: b.slots}
	b.slots.take()
	g.dropEmpty(b)
}

// HoldRun gives a run its place among the function's runs, as one that was
// admitted before a restart, or by another queue.
func (g *Gate) HoldRun(plan *Plan, run ulid.ULID, keys []state.FlowKey) {
	if _, held := g.runs[run]; held || plan.runs == nil {
		return
	}
	g.takeRun(run, plan.Function, g.constraintOf(plan.runs, keys))
}

func (g *Gate) takeRun(run ulid.ULID, function uuid.UUID, on *constraint) {
	on.used++
	g.runs[run] = holder{function, on}
}

// Finish ends a job: it gives back what it holds, or is no longer held.
// Nothing happens for a job that is not known.
func (g *Gate) Finish(ref Ref) {
	p, known := g.jobs[ref]
	if !known {
		return
	}
	delete(g.jobs, ref)
	if p.bucket == nil {
		g.free(p.slots)
		return
	}
	g.held--
	p.bucket.forget(g, ref)
	g.dropEmpty(p.bucket)
}

// EndRun takes the run's place among its function's runs back.
func (g *Gate) EndRun(run ulid.ULID) {
	h, held := g.runs[run]
	if !held {
		return
	}
	delete(g.runs, run)
	g.giveBack(h.on)
}

// free gives back the slots of an admitted job.
func (g *Gate) free(s *slots) {
	for _, c := range s.on {
		g.giveBack(c)
	}
}

func (g *Gate) giveBack(c *constraint) {
	c.used--
	g.mark(c)
	g.dropUnused(c)
}

// Next admits a job, if one may pass at now, in milliseconds since 1970. It is
// to be called until ok is false whenever something was offered or ended, and
// at NextAt.
func (g *Gate) Next(now int64) (a Admission, ok bool) {
	g.ring(now)
	for len(g.trying.waiting) > 0 || g.call(now) {
		if a, ok := g.try(g.trying.waiting[0], now); ok {
			return a, true
		}
	}
	return Admission{}, false
}

// call lets those try who wait for constraints that have room again, as many
// as there is room for. All of them try in the order in which they have waited,
// whichever constraint they waited for.
func (g *Gate) call(now int64) (any bool) {
	for _, c := range g.dirty {
		for _, l := range c.lines {
			for free := l.free(now); free > 0 && len(l.waiting) > 0; free-- {
				b := l.waiting[0]
				b.leave()
				b.stand(&g.trying)
				any = true
			}
		}
	}
	if any {
		return true // and look again afterwards: they may be refused by others
	}
	for i, c := range g.dirty {
		g.dirty[i] = nil
		c.dirty = false
		g.arm(c, now)
	}
	g.dirty = g.dirty[:0]
	return false
}

// try admits the first job of a bucket, or puts the bucket in the line of the
// limit that refuses it.
func (g *Gate) try(b *bucket, now int64) (a Admission, ok bool) {
	for i := range b.needs {
		if l := b.needs[i]; !l.room(now) {
			b.leave()
			b.stand(l)
			g.arm(l.on, now)
			return a, false
		}
	}
	first := b.take(g)
	a = Admission{Ref: first.ref, Function: b.slots.function, Score: first.score}
	g.jobs[first.ref] = place{slots: b.slots}
	g.held--
	for _, l := range b.needs {
		switch l.on.key.Kind {
		case Throttled:
			l.on.tat, _, _ = l.rate.Admit(float64(now), l.on.tat)
			a.Charged, a.Throttle = true, &Charge{Key: l.on.rateKey, TAT: l.on.tat}
		case Runs:
			if _, held := g.runs[first.ref.Run]; !held {
				g.takeRun(first.ref.Run, b.slots.function, l.on)
			}
			a.Charged = true
		}
	}
	b.slots.take()
	b.since, b.turn = now, g.nextTurn()
	if !g.dropEmpty(b) {
		b.moved()
	}
	return a, true
}

func (g *Gate) nextTurn() uint64 {
	g.turn++
	return g.turn
}

// take charges the slots for one job.
func (s *slots) take() {
	for _, c := range s.on {
		c.used++
	}
}

// mark notes that a constraint may have room for those who wait for it.
func (g *Gate) mark(c *constraint) {
	if !c.dirty && c.waited() {
		c.dirty = true
		g.dirty = append(g.dirty, c)
	}
}

// arm sets the time at which a throttle with a line has room again.
func (g *Gate) arm(c *constraint, now int64) {
	at := math.Inf(1)
	for _, l := range c.lines {
		if c.key.Kind == Throttled && len(l.waiting) > 0 {
			_, _, retry := l.rate.Admit(float64(now), c.tat)
			at = min(at, retry)
		}
	}
	if math.IsInf(at, 1) {
		return
	}
	c.roomAt = int64(math.Ceil(at))
	if c.timer == heap.Nowhere {
		g.timers.Push(c)
	} else {
		g.timers.Fix(c.timer)
	}
}

// ring marks the throttles that have room by now.
func (g *Gate) ring(now int64) {
	for len(g.timers) > 0 && g.timers[0].roomAt <= now {
		g.mark(g.timers.Pop())
	}
}

// NextAt is when Next is to be called again though nothing ended, in
// milliseconds since 1970; ok is false when it need not.
func (g *Gate) NextAt() (at int64, ok bool) {
	if len(g.timers) == 0 {
		return 0, false
	}
	return g.timers[0].roomAt, true
}
