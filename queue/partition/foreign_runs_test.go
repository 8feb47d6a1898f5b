package partition

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// runsKeyed limits the runs in progress by a key; runsAtOnce all of them.
func runsKeyed() func(*function.Function) {
	return atOnce(`{"fn":[{"limit":1,"key":"event.data.k"}]}`)
}

func runsAtOnce(limit string) func(*function.Function) {
	return atOnce(`{"fn":[{"limit":` + limit + `}]}`)
}

// with is the report of jobs and of runs in progress.
func (a *asker) with(runs []queue.ForeignRun, jobs ...queue.ForeignJob) []string {
	a.t.Helper()
	p, limited := a.node.CountedIn(function.FunctionID("fn", "fn"))
	require.True(a.t, limited)
	a.n++
	granted, err := a.node.ReportForeign(a.t.Context(), p, &queue.ForeignReport{From: a.from, N: a.n, Jobs: jobs, Runs: runs})
	require.NoError(a.t, err)
	return granted
}

// starts are jobs that start their runs.
func starts(jobs ...queue.ForeignJob) []queue.ForeignJob {
	for i := range jobs {
		jobs[i].Start = true
	}
	return jobs
}

// progressing are the runs of jobs.
func progressing(jobs ...queue.ForeignJob) []queue.ForeignRun {
	var runs []queue.ForeignRun
	for _, j := range jobs {
		runs = append(runs, queue.ForeignRun{RunID: j.RunID, FunctionID: j.FunctionID, Keys: j.Keys})
	}
	return runs
}

// TestForeignRunsCount: a run elsewhere has its place from its start to its end, also
// while nothing of it is executed.
func TestForeignRunsCount(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", runsAtOnce(`2`)))
	a := &asker{s, s.node, "test", 0}
	s.settle()
	one, two, three := foreignJob(1), foreignJob(2), foreignJob(3)
	require.Empty(t, a.with(progressing(one)))
	require.Len(t, a.with(progressing(one), starts(two, three)...), 1, "one has a place")
	began := append(running(starts(two)...), starts(three)...)
	require.Empty(t, a.with(progressing(one, two), began...))
	s.numbered("begin", "", 1)
	s.waits(2)
	a.with(progressing(two))
	lease := s.call()
	require.Empty(t, a.with(progressing(two), starts(three)...), "the place is taken here")
	s.commit(complete(lease, `1`))
	s.eventually(func() bool { return len(a.with(progressing(two), starts(three)...)) == 1 })
	s.numbered("begin", "", 2)
	s.waits(1)
	a.with(progressing(two)) // three is not wanted: it never began
	s.commit(complete(s.call(), `1`))
	a.with(nil)
	s.eventually(func() bool {
		idle := false
		s.in(0, func(o *Owner) { idle = o.admission.gate.Idle() && len(o.foreign.runs) == 0 })
		return idle
	}, "a place leaked")
}

// TestForeignRunsOfSeveral: a run counts once, whoever tells of it, until nobody does;
// its start, when it is made anew, does not wait for itself.
func TestForeignRunsOfSeveral(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", runsAtOnce(`1`)))
	one, other := &asker{s, s.node, "one", 0}, &asker{s, s.node, "other", 0}
	s.settle()
	run := progressing(foreignJob(1))
	one.with(run)
	other.with(run)
	s.numbered("begin", "", 1)
	s.waits(1)
	one.with(nil)
	s.waits(1)
	require.Equal(t, []string{"foreign-1"}, other.with(run, starts(foreignJob(1))...))
	s.waits(1)
	s.advance(foreignLapse * time.Millisecond) // it has died
	require.Equal(t, s.run("fn", 1), s.call().RunID)
}

// TestForeignRunsByKey: a key is counted by its expression, whatever it is called.
func TestForeignRunsByKey(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	fn := function.FunctionID("fn", "fn")
	s.register(limited("fn", "begin", runsKeyed()))
	a := &asker{s, s.node, "test", 0}
	s.settle()
	key := state.FlowKey{Expr: function.RunSemaphore(fn, "event.data.k"), Value: function.Hash("a")}
	other := state.FlowKey{Expr: key.Expr, Value: function.Hash("c")}
	runs := []queue.ForeignRun{{RunID: ulid.ULID{5: 1}, FunctionID: fn, Keys: []state.FlowKey{key}}}
	a.with(runs)
	s.numbered("begin", `,"k":"a"`, 1)
	s.waits(1)
	s.numbered("begin", `,"k":"b"`, 2)
	require.Equal(t, s.run("fn", 2), s.call().RunID)
	require.Equal(t, []string{"foreign-3"}, a.with(runs, starts(foreignJob(2, key), foreignJob(3, other))...))
	s.waits(2)
}

// TestForeignRunsNewLimits: a limit on runs counts those in progress from the moment
// it is registered, and again when it is changed.
func TestForeignRunsNewLimits(t *testing.T) {
	t.Parallel()
	s, _ := shared(t, 1)
	s.register(limited("fn", "begin", atOnce(`5`)))
	a := &asker{s, s.node, "test", 0}
	s.settle()
	key := state.FlowKey{Expr: function.Hash("event.data.k"), Value: function.Hash("a")}
	runs := progressing(foreignJob(1, key))
	a.with(runs)
	s.register(limited("fn", "begin", runsAtOnce(`1`)))
	a.with(runs)
	s.numbered("begin", `,"k":"b"`, 1)
	s.waits(1)
	s.register(limited("fn", "begin", runsKeyed()))
	a.with(runs)
	require.Equal(t, s.run("fn", 1), s.call().RunID)
	s.numbered("begin", `,"k":"a"`, 2)
	s.waits(1)
	a.with(nil)
	require.Equal(t, s.run("fn", 2), s.call().RunID)
}
