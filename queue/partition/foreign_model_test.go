package partition

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/queue/gate"
	"jetstep/queue/gcra"
	"jetstep/state"
)

// TestForeignModel: jobs of this queue and of another one share limits by key,
// while processes report now and then, die and come again, and owners change. The
// model counts naively what is executed.
func TestForeignModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := newForeignModel(t, seed)
			for m.now < modelTime {
				m.step(true)
			}
			for end := m.now + modelTime; m.now < end && !m.done(); {
				m.step(false)
			}
			require.True(t, m.done(), "%d here and %d there wait for nothing", len(m.held), m.processes())
			require.Greater(t, m.ran[false], 100)
			require.Greater(t, m.ran[true], 100)
			require.True(t, m.s.gate.Idle(), "a slot leaked")
			require.Empty(t, m.s.jobs)
		})
	}
}

const (
	modelTime  = 20 * 60_000 // milliseconds
	modelStep  = 100
	modelLimit = 3
)

// modelProcess is a process that executes jobs of the other queue.
type modelProcess struct {
	name     string
	n        uint64
	jobs     []queue.ForeignJob
	reportAt int64
}

type foreignModel struct {
	*testing.T
	dice  *rand.Rand
	now   int64
	opens int64
	plan  *gate.Plan
	s     foreigners
	peers []*modelProcess
	held  map[gate.Ref]gate.Job // of this queue
	fly   map[gate.Ref]gate.Job
	jobs  int
	ran   map[bool]int // by whether it is foreign
}

func newForeignModel(t *testing.T, seed uint64) *foreignModel {
	fn := function.Function{ID: uuid.UUID{15: 1}, Concurrency: &function.Concurrency{Steps: []function.StepLimit{
		{Limit: modelLimit, Key: "k", Scope: function.ScopeFunction, Hash: "k"}, {Limit: modelLimit + 2, Scope: function.ScopeFunction},
	}}}
	m := &foreignModel{
		T: t, dice: rand.New(rand.NewPCG(seed, 1)), plan: gate.PlanOf(&fn), now: 1,
		held: map[gate.Ref]gate.Job{}, fly: map[gate.Ref]gate.Job{}, ran: map[bool]int{},
	}
	m.s = m.owner()
	m.peers = []*modelProcess{{name: "p0"}, {name: "p1"}}
	return m
}

func (m *foreignModel) owner() foreigners {
	g := gate.New(func(state.GateKey, gcra.Limit) float64 { return 0 })
	return newForeigners(g, func(uuid.UUID) *gate.Plan { return m.plan })
}

func (m *foreignModel) chance(in int) bool { return m.dice.IntN(in) == 0 }

// keys are those of one of two values.
func (m *foreignModel) keys() []state.FlowKey {
	return []state.FlowKey{{Expr: "k", Value: fmt.Sprint(m.dice.IntN(2))}}
}

func (m *foreignModel) ref() gate.Ref {
	m.jobs++
	return gate.Ref{Run: ulid.ULID{13: byte(m.jobs >> 16), 14: byte(m.jobs >> 8), 15: byte(m.jobs)}, Job: fmt.Sprint(m.jobs)}
}

func (m *foreignModel) step(more bool) {
	m.now += modelStep
	if more && m.chance(6) {
		j := gate.Job{Ref: m.ref(), Score: m.now, Due: m.now, Keys: m.keys()}
		m.held[j.Ref] = j
		m.s.gate.Offer(m.plan, &j)
	}
	for _, p := range m.peers {
		if more && len(p.jobs) < 20 && m.chance(8) {
			ref := m.ref()
			p.jobs = append(p.jobs, queue.ForeignJob{ID: ref.Job, RunID: ref.Run, FunctionID: uuid.UUID{15: 1}, Due: m.now, Keys: m.keys()})
		}
	}
	m.upset(more)
	m.end()
	for _, p := range m.peers {
		if m.now >= p.reportAt {
			m.report(p)
		}
	}
	m.s.expire(m.now)
	m.pump()
	m.check()
}

// upset kills a process, or the owner.
func (m *foreignModel) upset(more bool) {
	if more && m.chance(600) {
		p := m.peers[m.dice.IntN(len(m.peers))]
		m.jobs++
		for i := range p.jobs {
			p.jobs[i].Running = false // who comes after it finds them
		}
		p.name, p.n, p.reportAt = fmt.Sprint("p", m.jobs), 0, m.now+m.dice.Int64N(5000)
	}
	if m.chance(900) {
		m.s, m.opens = m.owner(), m.now+foreignSettle
		for ref, j := range m.fly {
			m.held[ref] = j // the call is lost
		}
		clear(m.fly)
		for _, j := range m.held {
			m.s.gate.Offer(m.plan, &j)
		}
	}
}

// end ends calls that are being made.
func (m *foreignModel) end() {
	for ref := range m.fly {
		if m.chance(20) {
			delete(m.fly, ref)
			m.s.gate.Finish(ref)
		}
	}
	for _, p := range m.peers {
		p.jobs = slices.DeleteFunc(p.jobs, func(j queue.ForeignJob) bool { return j.Running && m.chance(20) })
	}
}

// report tells the owner everything, in an order by chance.
func (m *foreignModel) report(p *modelProcess) {
	p.n++
	p.reportAt = m.now + modelStep + m.dice.Int64N(ForeignReportEvery)
	r := &queue.ForeignReport{From: p.name, N: p.n, Jobs: slices.Clone(p.jobs)}
	m.dice.Shuffle(len(r.Jobs), func(i, j int) { r.Jobs[i], r.Jobs[j] = r.Jobs[j], r.Jobs[i] })
	m.s.report(m.now, r)
	m.pump()
	granted := m.s.granted(p.name)
	for i := range p.jobs {
		if slices.Contains(granted, p.jobs[i].ID) {
			p.jobs[i].Running = true
			m.ran[true]++
		}
	}
}

func (m *foreignModel) pump() {
	for m.now >= m.opens {
		a, ok := m.s.gate.Next(m.now)
		if !ok {
			return
		}
		if m.s.jobs[a.Ref] != nil {
			m.s.allow(a.Ref)
			continue
		}
		m.fly[a.Ref] = m.held[a.Ref]
		delete(m.held, a.Ref)
		m.ran[false]++
	}
}

// check counts what is executed.
func (m *foreignModel) check() {
	counts := map[string]int{}
	for _, j := range m.fly {
		counts[j.Keys[0].Value]++
		counts["all"]++
	}
	for _, p := range m.peers {
		for _, j := range p.jobs {
			if j.Running {
				counts[j.Keys[0].Value]++
				counts["all"]++
			}
		}
	}
	for key, n := range counts {
		if key == "all" {
			require.LessOrEqual(m, n, modelLimit+2)
			continue
		}
		require.LessOrEqual(m, n, modelLimit, "key %s at %d", key, m.now)
	}
}

// processes is how many jobs they have.
func (m *foreignModel) processes() (jobs int) {
	for _, p := range m.peers {
		jobs += len(p.jobs)
	}
	return jobs
}

func (m *foreignModel) done() bool {
	return len(m.held)+len(m.fly)+m.processes()+len(m.s.jobs) == 0
}
