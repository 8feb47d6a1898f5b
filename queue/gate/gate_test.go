package gate

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue/gcra"
	"jetstep/state"
)

// desk is a gate with one function, whose jobs are named by a key value and a
// number.
type desk struct {
	*testing.T
	gate *Gate
	plan *Plan
	now  int64
}

const keyed = "event.data.k"

func newDesk(t *testing.T, fn function.Function) *desk {
	fn.ID = uuid.UUID{15: 1}
	d := &desk{T: t, gate: New(func(state.GateKey, gcra.Limit) float64 { return 0 }), plan: PlanOf(&fn), now: 1_700_000_000_000}
	require.NotNil(t, d.plan)
	return d
}

// byKey limits steps by key, and in all if total is not 0.
func byKey(limit, total int) function.Function {
	steps := []function.StepLimit{{Limit: limit, Key: keyed, Scope: function.ScopeFunction, Hash: function.Hash(keyed)}}
	if total > 0 {
		steps = append(steps, function.StepLimit{Limit: total, Scope: function.ScopeFunction})
	}
	return function.Function{Concurrency: &function.Concurrency{Steps: steps}}
}

func jobOf(value string, n int) Job {
	return Job{
		Ref: Ref{Run: ulid.ULID{14: byte(n >> 8), 15: byte(n)}, Job: value}, Score: int64(n), Start: true,
		Keys: []state.FlowKey{{Expr: function.Hash(keyed), Value: function.Hash(value)}},
	}
}

func (d *desk) offer(value string, numbers ...int) {
	for _, n := range numbers {
		j := jobOf(value, n)
		j.Due = d.now
		d.gate.Offer(d.plan, &j)
	}
}

func (d *desk) finish(value string, n int) { d.gate.Finish(jobOf(value, n).Ref) }

// admits lists what passes now, as "a1".
func (d *desk) admits() (names []string) {
	for {
		a, ok := d.gate.Next(d.now)
		if !ok {
			return names
		}
		names = append(names, fmt.Sprint(a.Job, int(a.Run[14])<<8|int(a.Run[15])))
	}
}

func TestKeysTakeTurns(t *testing.T) {
	t.Parallel()
	d := newDesk(t, byKey(2, 3))
	d.offer("a", 1, 2, 3, 4, 5)
	require.Equal(t, []string{"a1", "a2"}, d.admits())
	d.now++
	d.offer("b", 11, 12)
	d.offer("c", 21)
	require.Equal(t, []string{"b11"}, d.admits())
	d.finish("b", 11)
	require.Equal(t, []string{"c21"}, d.admits(), "b had its turn")
	d.finish("a", 1)
	require.Equal(t, []string{"a3"}, d.admits(), "its last turn was before that of b")
	d.finish("a", 2)
	require.Equal(t, []string{"b12"}, d.admits())
	d.finish("b", 12)
	require.Equal(t, []string{"a4"}, d.admits())
	d.finish("c", 21)
	require.Empty(t, d.admits(), "no more than two of a")
	require.Equal(t, 1, d.gate.Len())
}

// A key that waits for its own slot does not take, when it frees one, what
// others have waited for longer.
func TestAFullKeyDoesNotPassOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, byKey(1, 2))
	d.offer("a", 1, 2, 3, 4)
	require.Equal(t, []string{"a1"}, d.admits())
	d.now++
	d.offer("b", 11, 12, 13)
	d.offer("c", 21, 22)
	require.Equal(t, []string{"b11"}, d.admits())
	d.now++
	d.finish("a", 1)
	require.Equal(t, []string{"a2"}, d.admits())
	for _, turn := range []struct {
		ended int
		of    string
		next  string
	}{{11, "b", "c21"}, {2, "a", "b12"}, {21, "c", "a3"}, {12, "b", "c22"}, {3, "a", "b13"}, {22, "c", "a4"}} {
		d.now++
		d.finish(turn.of, turn.ended)
		require.Equal(t, []string{turn.next}, d.admits())
	}
}

func TestScoreOrdersWithinAKey(t *testing.T) {
	t.Parallel()
	d := newDesk(t, byKey(1, 0))
	d.offer("a", 5, 3, 9, 1)
	require.Equal(t, []string{"a1"}, d.admits())
	d.offer("a", 4, 2)
	for _, n := range []int{2, 3, 4, 5, 9} {
		d.gate.Finish(d.only().Ref)
		require.Equal(t, []string{fmt.Sprint("a", n)}, d.admits())
	}
}

// only is the one admitted job.
func (d *desk) only() (j Job) {
	found := 0
	for ref, p := range d.gate.jobs {
		if p.bucket == nil {
			j.Ref = ref
			found++
		}
	}
	require.Equal(d, 1, found)
	return j
}

// A high priority moves a key forward in the line of keys.
func TestPriorityMovesAKeyForward(t *testing.T) {
	t.Parallel()
	d := newDesk(t, byKey(5, 1))
	d.offer("a", 1)
	require.Equal(t, []string{"a1"}, d.admits())
	d.offer("b", 11)
	require.Empty(t, d.admits())
	d.now += 5000
	d.offer("c", 21)
	require.Empty(t, d.admits())
	urgent := jobOf("c", 22)
	urgent.Score, urgent.Priority, urgent.Due = 22-6000, 6, d.now
	d.gate.Offer(d.plan, &urgent)
	require.Empty(t, d.admits())
	d.finish("a", 1)
	require.Equal(t, []string{"c22"}, d.admits())
	d.finish("c", 22)
	require.Equal(t, []string{"b11"}, d.admits())
	d.finish("b", 11)
	require.Equal(t, []string{"c21"}, d.admits())
}

// Dead jobs cost their key no turn, and take no room for long.
func TestForgottenJobs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, byKey(1, 1))
	d.offer("a", 0)
	require.Equal(t, []string{"a0"}, d.admits())
	for n := range 1000 {
		d.offer("a", n+1)
	}
	d.offer("b", 2000)
	require.Empty(t, d.admits())
	for n := range 990 {
		d.finish("a", 991-n) // not the first
	}
	d.finish("a", 1)
	require.Equal(t, 10, d.gate.Len())
	require.Equal(t, []Waiting{{d.plan.Function, "concurrency", 10}}, d.gate.Waiting())
	var deep *bucket
	for _, b := range d.gate.buckets {
		if b.live > 1 {
			deep = b
		}
	}
	require.Less(t, len(deep.jobs), 200)
	d.now++
	d.finish("a", 0)
	require.Equal(t, []string{"a992"}, d.admits(), "the first is dead, and its turn is not lost")
	d.finish("a", 992)
	require.Equal(t, []string{"b2000"}, d.admits())
	d.finish("b", 2000)
	require.Equal(t, []string{"a993"}, d.admits())
	for n := range 8 {
		d.finish("a", 993+n)
	}
	require.Empty(t, d.admits())
	require.Empty(t, d.gate.jobs)
	require.Empty(t, d.gate.buckets)
	require.Empty(t, d.gate.constraints)
}

func TestThrottleSaysWhen(t *testing.T) {
	t.Parallel()
	d := newDesk(t, function.Function{Throttle: &function.Throttle{Limit: 2, Period: "3s"}})
	_, timed := d.gate.NextAt()
	require.False(t, timed)
	d.offer("", 1, 2, 3, 4)
	require.Equal(t, []string{"1", "2"}, d.admits())
	reason, held := d.gate.Reason(jobOf("", 4).Ref)
	require.True(t, held)
	require.Equal(t, "throttle", reason)
	for _, n := range []string{"3", "4"} {
		at, timed := d.gate.NextAt()
		require.True(t, timed)
		require.Equal(t, d.now+1500, at)
		d.now = at - 1
		require.Empty(t, d.admits())
		d.now++
		require.Equal(t, []string{n}, d.admits())
	}
	_, timed = d.gate.NextAt()
	require.False(t, timed)
}

// A job that is no start is not throttled, and does not wait for those that
// are.
func TestOnlyStartsAreThrottled(t *testing.T) {
	t.Parallel()
	d := newDesk(t, function.Function{Throttle: &function.Throttle{Limit: 1, Period: "1m"}})
	d.offer("", 1, 2)
	step := jobOf("", 3)
	step.Start = false
	d.gate.Offer(d.plan, &step)
	require.ElementsMatch(t, []string{"1", "3"}, d.admits())
}

// What is executed already counts when it gets to be known.
func TestAdopt(t *testing.T) {
	t.Parallel()
	d := newDesk(t, byKey(1, 0))
	j := jobOf("a", 1)
	d.gate.Adopt(d.plan, &j)
	d.gate.Adopt(d.plan, &j)
	require.True(t, d.gate.Admitted(j.Ref))
	d.offer("a", 2)
	require.Empty(t, d.admits())
	_, held := d.gate.Reason(j.Ref)
	require.False(t, held)
	d.finish("a", 1)
	require.Equal(t, []string{"a2"}, d.admits())
}

// Functions that share a limit may allow different numbers.
func TestDifferentNumbersOfASharedLimit(t *testing.T) {
	t.Parallel()
	g := New(func(state.GateKey, gcra.Limit) float64 { return 0 })
	plan := func(n byte, limit int) *Plan {
		return PlanOf(&function.Function{ID: uuid.UUID{15: n}, Concurrency: &function.Concurrency{Steps: []function.StepLimit{
			{Limit: limit, Key: `"all"`, Hash: function.Hash(`"all"`), Scope: function.ScopeAccount},
		}}})
	}
	few, many := plan(1, 1), plan(2, 3)
	for n := range 4 {
		a, b := Job{Ref: Ref{Job: fmt.Sprint("few", n)}}, Job{Ref: Ref{Job: fmt.Sprint("many", n)}}
		g.Offer(many, &b)
		g.Offer(few, &a)
	}
	flying := map[string]bool{}
	admit := func() (n int) {
		for {
			a, ok := g.Next(1)
			if !ok {
				return n
			}
			flying[a.Job] = true
			n++
		}
	}
	require.Equal(t, 3, admit())
	require.Equal(t, []Waiting{
		{few.Function, "concurrency of the account by \"all\"", 8 - 3 - manyLeft(flying)}, {many.Function, "concurrency of the account by \"all\"", manyLeft(flying)},
	}, g.Waiting())
	for g.Len() > 0 || len(flying) > 0 {
		for job := range flying {
			g.Finish(Ref{Job: job})
			delete(flying, job)
			break
		}
		admit()
		require.LessOrEqual(t, len(flying), 3)
	}
	require.Empty(t, g.constraints)
}

func manyLeft(flying map[string]bool) int {
	left := 4
	for job := range flying {
		if job[0] == 'm' {
			left--
		}
	}
	return left
}
