package gate

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue/gcra"
	"jetstep/state"
)

// The model: a world of functions with random limits, whose runs take random
// time, fail, sleep, work in parallel, are cancelled, and survive restarts and
// changes of limits. The world counts naively what is in flight, and asks of
// every admission whether it was allowed and the right one, and of every job
// that waits whether it has to.

// TestModel lets many worlds pass a few virtual hours.
func TestModel(t *testing.T) {
	t.Parallel()
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			w.pass()
			require.Greater(t, w.admissions, 100)
		})
	}
}

// life is a run of the model.
type life struct {
	id       ulid.ULID
	fn       int
	keys     []state.FlowKey
	priority int
	steps    int // left
	born     int64
	jobs     int // made so far
	open     int // jobs that are not done
	recorded bool
	placed   bool // counts as a run in progress
	over     bool
}

// work is a job of the model.
type work struct {
	ref   Ref
	run   *life
	start bool
	due   int64
	order int // of offering
	call  int // number of the call in flight

	limitedAs string // see class
	known     int    // of which generation of limits, negative for start jobs
}

// world is the reference: lists, and no cleverness.
type world struct {
	*testing.T
	dice      *rand.Rand
	gate      *Gate
	now       int64
	functions []function.Function
	plans     map[uuid.UUID]*Plan
	runs      map[ulid.ULID]*life
	held      []*work
	flying    []*work
	tats      map[state.GateKey]float64
	agenda    []event
	offers    int
	calls     int
	limits    int // generation of the limits

	admissions int
}

// event is what happens at a time.
type event struct {
	at int64
	do func()
}

const (
	modelEnd   = 3 * 3600 * 1000 // no new runs after that
	modelGiven = 1000 * 3600 * 1000
)

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		T: t, dice: rand.New(rand.NewPCG(seed, 7)), now: 1_700_000_000_000, limits: 1,
		plans: map[uuid.UUID]*Plan{}, runs: map[ulid.ULID]*life{}, tats: map[state.GateKey]float64{},
	}
	w.gate = New(w.rate)
	for n := range 2 + w.dice.IntN(4) {
		fn := function.Function{ID: uuid.UUID{15: byte(n + 1)}}
		w.limit(&fn)
		w.functions = append(w.functions, fn)
		w.plans[fn.ID] = planOrNone(&fn)
	}
	return w
}

func planOrNone(fn *function.Function) *Plan {
	if p := PlanOf(fn); p != nil {
		return p
	}
	return &Plan{Function: fn.ID}
}

func (w *world) rate(key state.GateKey, _ gcra.Limit) float64 { return w.tats[key] }

var modelKeys = []string{"event.data.a", "event.data.b", "event.data.c"}

// limit gives a function limits by chance.
func (w *world) limit(fn *function.Function) {
	fn.Concurrency, fn.Throttle = &function.Concurrency{}, nil
	for range w.dice.IntN(3) {
		l := function.StepLimit{Limit: 1 + w.dice.IntN(5), Scope: function.ScopeFunction}
		if w.dice.IntN(3) > 0 {
			l.Key = modelKeys[w.dice.IntN(len(modelKeys))]
			l.Hash = function.Hash(l.Key)
			l.Scope = []function.Scope{function.ScopeFunction, function.ScopeEnvironment, function.ScopeAccount}[w.dice.IntN(3)]
		}
		fn.Concurrency.Steps = append(fn.Concurrency.Steps, l)
	}
	if w.dice.IntN(3) == 0 {
		l := function.RunLimit{Limit: 1 + w.dice.IntN(6)}
		if w.dice.IntN(2) == 0 {
			l.Key = modelKeys[w.dice.IntN(len(modelKeys))]
			l.ID = function.Hash(l.Key)
		}
		fn.Concurrency.Runs = []function.RunLimit{l}
	}
	if w.dice.IntN(3) == 0 {
		fn.Throttle = &function.Throttle{
			Limit: uint(1 + w.dice.IntN(5)), Burst: uint(w.dice.IntN(3)), Period: []string{"7s", "1m", "10m"}[w.dice.IntN(3)],
		}
		if w.dice.IntN(2) == 0 {
			fn.Throttle.Key = modelKeys[w.dice.IntN(len(modelKeys))]
		}
	}
}

// pass lets everything happen until nothing is left to do.
func (w *world) pass() {
	end := w.now + modelEnd
	w.at(w.now, func() { w.arrive(end) })
	w.at(w.now+w.span(1000_000), func() { w.upset(end) })
	for len(w.agenda)+len(w.held) > 0 {
		next := int64(math.MaxInt64)
		for _, e := range w.agenda {
			next = min(next, e.at)
		}
		due, timed := w.gate.NextAt()
		require.True(w, timed || next < math.MaxInt64, "%d jobs wait for nothing", len(w.held))
		if timed && due < next {
			require.GreaterOrEqual(w, due, w.now, "the time is not in the past")
			w.now = due
		} else {
			w.now = next
			w.happen()
		}
		w.pump()
		require.Less(w, w.now, end+modelGiven, "runs do not end")
	}
	require.Empty(w, w.flying)
	require.Zero(w, w.gate.Len())
	require.Empty(w, w.gate.jobs)
	require.Empty(w, w.gate.runs)
	require.Empty(w, w.gate.buckets)
	require.Empty(w, w.gate.constraints, "a slot leaked")
	require.Empty(w, w.gate.timers)
}

// happen does what is on the agenda for now.
func (w *world) happen() {
	all := w.agenda
	w.agenda = nil
	for _, e := range all {
		if e.at == w.now {
			e.do()
		} else {
			w.agenda = append(w.agenda, e)
		}
	}
}

func (w *world) at(at int64, do func()) { w.agenda = append(w.agenda, event{at, do}) }

func (w *world) span(most int64) int64 { return 1 + w.dice.Int64N(most) }

// arrive starts a burst of runs, and says when the next one comes.
func (w *world) arrive(end int64) {
	for range 1 + w.dice.IntN(12) {
		r := &life{fn: w.dice.IntN(len(w.functions)), steps: 1 + w.dice.IntN(4), born: w.now}
		if w.dice.IntN(3) == 0 {
			r.priority = w.dice.IntN(601) - 300
		}
		for _, key := range modelKeys {
			if w.dice.IntN(8) > 0 { // otherwise registered later
				r.keys = append(r.keys, state.FlowKey{Expr: function.Hash(key), Value: function.Hash(fmt.Sprint(w.dice.IntN(3)))})
			}
		}
		r.id[0], r.id[1], r.id[2] = byte(len(w.runs)>>16), byte(len(w.runs)>>8), byte(len(w.runs))
		w.runs[r.id] = r
		w.offer(w.job(r), true)
	}
	if next := w.now + w.span(300_000); next < end {
		w.at(next, func() { w.arrive(end) })
	}
}

// upset cancels, restarts or changes limits.
func (w *world) upset(end int64) {
	switch w.dice.IntN(6) {
	case 0:
		w.restart()
	case 1, 2:
		w.register()
	default:
		w.cancel()
	}
	if next := w.now + w.span(600_000); next < end {
		w.at(next, func() { w.upset(end) })
	}
}

func (w *world) job(r *life) *work {
	r.jobs++
	r.open++
	return &work{ref: Ref{r.id, fmt.Sprint(r.jobs)}, run: r}
}

// offer makes a job due.
func (w *world) offer(j *work, start bool) {
	if j.run.over {
		return
	}
	w.offers++
	j.start, j.due, j.order = start, w.now, w.offers
	w.held = append(w.held, j)
	g := w.seen(j)
	w.gate.Offer(w.plans[w.functions[j.run.fn].ID], &g)
	w.gate.Offer(w.plans[w.functions[j.run.fn].ID], &g) // again, which is harmless
}

// seen is the job as the gate sees it.
func (w *world) seen(j *work) Job {
	return Job{
		Ref: j.ref, Start: j.start && !j.run.recorded, Score: j.score(), Priority: j.run.priority, Due: j.due, Keys: j.run.keys,
	}
}

func (j *work) score() int64 { return j.run.born - int64(j.run.priority)*1000 }

// pump admits all that may pass, and looks at what may not.
func (w *world) pump() {
	for {
		a, ok := w.gate.Next(w.now)
		if !ok {
			break
		}
		w.admitted(a)
	}
	require.Equal(w, len(w.held), w.gate.Len())
	seen := map[string]bool{}
	for _, j := range w.held {
		if class := w.class(j); !seen[class] {
			seen[class] = true
			require.NotEmpty(w, w.refusal(j), "%s is held for no reason", j.ref.Job)
		}
		_, held := w.gate.Reason(j.ref)
		require.True(w, held)
		require.False(w, w.gate.Admitted(j.ref))
	}
}

// answered is the end of a call.
func (w *world) answered(j *work, call int) {
	if j.call != call {
		return // of a process that is gone
	}
	w.flying = slices.DeleteFunc(w.flying, func(f *work) bool { return f == j })
	r := j.run
	switch {
	case r.over:
	case w.dice.IntN(6) == 0: // it failed
		w.gate.Finish(j.ref)
		w.at(w.now+w.span(30_000), func() { w.offer(j, j.start) })
		return
	default:
		r.open--
		w.goOn(r)
	}
	w.gate.Finish(j.ref)
	w.gate.Finish(j.ref) // again, which is harmless
}

// goOn makes what follows a finished job.
func (w *world) goOn(r *life) {
	switch {
	case r.open > 0: // in parallel
	case r.steps == 0:
		w.end(r)
	default:
		r.steps--
		for range 1 + w.dice.IntN(3) {
			j := w.job(r)
			if w.dice.IntN(3) == 0 {
				w.at(w.now+w.span(900_000), func() { w.offer(j, false) }) // a sleep
			} else {
				w.offer(j, false)
			}
		}
	}
}

// end ends a run. Calls in flight go on.
func (w *world) end(r *life) {
	r.over = true
	w.gate.EndRun(r.id)
	w.held = slices.DeleteFunc(w.held, func(j *work) bool {
		if j.run == r {
			w.gate.Finish(j.ref)
		}
		return j.run == r
	})
}

// cancel ends some runs from outside.
func (w *world) cancel() {
	var live []*life
	for _, j := range append(slices.Clone(w.held), w.flying...) {
		if !j.run.over && !slices.Contains(live, j.run) {
			live = append(live, j.run)
		}
	}
	for _, r := range live {
		if w.dice.IntN(4) == 0 {
			w.end(r)
		}
	}
}

// restart begins a new process, with what is recorded. Calls in flight are
// lost, and made again.
func (w *world) restart() {
	w.gate = New(w.rate)
	for _, r := range w.runs {
		if !r.over && r.recorded {
			r.placed = w.plans[w.functions[r.fn].ID].runs != nil
			w.gate.HoldRun(w.plans[w.functions[r.fn].ID], r.id, r.keys)
			w.gate.HoldRun(w.plans[w.functions[r.fn].ID], r.id, r.keys) // again, which is harmless
		} else {
			r.placed = false
		}
	}
	again := append(slices.Clone(w.held), w.flying...)
	w.held, w.flying = nil, nil
	slices.SortFunc(again, func(a, b *work) int { return cmp.Compare(a.order, b.order) })
	for _, j := range again {
		j.call = 0
		w.offer(j, j.start)
	}
}

// register changes the limits of some functions.
func (w *world) register() {
	w.limits++
	changed := map[uuid.UUID]*Plan{}
	for i := range w.functions {
		if w.dice.IntN(2) == 0 {
			w.limit(&w.functions[i])
			plan := planOrNone(&w.functions[i])
			changed[plan.Function], w.plans[plan.Function] = plan, plan
		}
	}
	w.gate.Refresh(changed, w)
}

// Job implements Source.
func (w *world) Job(ref Ref) (Job, bool) {
	for _, j := range append(slices.Clone(w.held), w.flying...) {
		if j.ref == ref {
			return w.seen(j), !j.run.over
		}
	}
	w.Fatalf("asked for %v, which the gate cannot know", ref)
	return Job{}, false
}

// Keys implements Source.
func (w *world) Keys(run ulid.ULID) []state.FlowKey { return w.runs[run].keys }
