package partition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/executor"
	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/queue"
)

// tally counts calls that are being made, by key.
type tally struct {
	mu   sync.Mutex
	now  map[string]int
	most map[string]int
	met  sync.Cond // more are being made, or enough is open
	open bool
}

func newTally() *tally {
	c := &tally{now: map[string]int{}, most: map[string]int{}}
	c.met.L = &c.mu
	return c
}

// during counts a call; it lasts until as many are being made as may be, or
// until those that are left cannot be so many.
func (c *tally) during(key string, meet int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now[key]++
	c.most[key] = max(c.most[key], c.now[key])
	c.met.Broadcast()
	for c.now[key] < meet && !c.open {
		c.met.Wait()
	}
	c.open = c.open || meet > 0 && c.most[key] >= meet
	c.now[key]--
}

// letGo ends all calls.
func (c *tally) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
	c.met.Broadcast()
}

// TestLimitsWithAnExecutor: runs with parallel steps, sleeps, failures and
// cancels; at no time are more calls being made than each limit allows, and
// every run ends.
func TestLimitsWithAnExecutor(t *testing.T) {
	t.Parallel()
	const runs = 60
	s := newSite(t, 2)
	s.register(limited("fn", "begin", atOnce(`[{"limit":2,"key":"event.data.k"},{"limit":5}]`)))
	calls := newTally()
	s.execute(func(r *driver.Request) *driver.Response {
		var event struct {
			Data struct{ N, K int }
		}
		if err := json.Unmarshal(r.Events[0], &event); err != nil {
			panic(err)
		}
		calls.during(fmt.Sprint("key ", event.Data.K), 0)
		calls.during("all", 5)
		return stepByStep(r)
	}, nil)
	t.Cleanup(calls.letGo)
	var sent []*bus.Event
	for n := range runs {
		sent = append(sent, s.send("begin", fmt.Sprintf(`{"n":%d,"k":%d}`, n, n%4)))
	}
	for n, e := range sent {
		if n%10 == 9 {
			// It may have ended already.
			_ = s.node.Cancel(t.Context(), runIDOf(s, "fn", e))
		}
	}
	for _, e := range sent {
		s.ended(runIDOf(s, "fn", e))
	}
	calls.mu.Lock()
	defer calls.mu.Unlock()
	require.Equal(t, 5, calls.most["all"], "the limit is reached, and not exceeded")
	for k := range 4 {
		require.LessOrEqual(t, calls.most[fmt.Sprint("key ", k)], 2)
		require.Positive(t, calls.most[fmt.Sprint("key ", k)])
	}
	s.eventually(func() bool {
		clean := true
		for p := range s.bus.Partitions() {
			s.in(p, func(o *Owner) { clean = clean && o.admission.gate.Idle() && len(o.leased) == 0 })
		}
		return clean
	}, "a slot leaked")
}

// stepByStep answers for a function that plans two steps, one of which fails
// at first for some runs, sleeps, and ends.
func stepByStep(r *driver.Request) *driver.Response {
	sum := fnv.New32()
	_, _ = sum.Write(r.RunID[:])
	switch {
	case r.StepID != "" && r.Attempt == 0 && sum.Sum32()%3 == 0:
		return answerSteps(2, driver.Opcode{Op: driver.OpStepError, ID: r.StepID, Error: &driver.UserError{Name: "Error", Message: "again"}})
	case r.StepID != "":
		return answerSteps(2, driver.Opcode{Op: driver.OpStepRun, ID: r.StepID, Data: json.RawMessage(`1`)})
	case len(r.Stack) == 0:
		return answerSteps(2, driver.Opcode{Op: driver.OpStepPlanned, ID: "a"}, driver.Opcode{Op: driver.OpStepPlanned, ID: "b"})
	case len(r.Stack) == 2:
		return answerSteps(2, driver.Opcode{Op: driver.OpSleep, ID: "z", Name: "10ms"})
	}
	return answerDone(`1`)
}

// Slow calls of one function hold all workers; another one's run does not wait
// for them.
func TestABacklogOfSlowCallsDelaysNobody(t *testing.T) {
	t.Parallel()
	const workers, backlog = 4, 200
	s := newSite(t, 2)
	s.register(on("slow", "slow"), on("fast", "fast"))
	release, once := make(chan struct{}), sync.Once{}
	letGo := func() { once.Do(func() { close(release) }) }
	held := make(chan struct{}, backlog)
	s.execute(func(r *driver.Request) *driver.Response {
		if r.FunctionID == function.FunctionID("slow", "slow") {
			held <- struct{}{}
			<-release
		}
		return answerDone(`1`)
	}, func(cfg *executor.Config) { cfg.Workers = workers })
	t.Cleanup(letGo)
	for n := range backlog {
		s.send("slow", fmt.Sprintf(`{"n":%d}`, n))
	}
	for range workers {
		<-held
	}
	for range 5 {
		e := s.send("fast", `{}`)
		s.ended(runIDOf(s, "fast", e))
	}
	require.Empty(t, s.rec.finishedOf("slow"))
	letGo()
	s.eventually(func() bool { return len(s.rec.finishedOf("slow")) == backlog })
}

// finishedOf are the runs of a function that have ended.
func (r *recorder) finishedOf(slug string) (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.finished {
		if run := r.scheduled[id]; run != nil && run.Slug == slug {
			ids = append(ids, id.String())
		}
	}
	return ids
}

// LaneFirst gives no second job of a function.
func TestLaneFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("one", "one"), on("two", "two"))
	s.numbered("one", "", 1, 2)
	s.eventually(func() bool { return s.node.Stats().Ready == 2 })
	first := s.lease(queue.LaneFirst)
	s.numbered("two", "", 3)
	require.Equal(t, "two", s.load(s.lease(queue.LaneFirst).RunID).Slug)
	s.replaceOwner(0)
	s.eventually(func() bool { return s.node.Stats().Ready >= 3 })
	a, b := s.lease(queue.LaneFirst), s.lease(queue.LaneFirst)
	require.NotEqual(t, a.FunctionID, b.FunctionID, "leases end with their owner")
	s.commit(complete(a, `1`))
	s.commit(complete(b, `1`))
	require.Equal(t, first.FunctionID, s.lease(queue.LaneFirst).FunctionID)
}

// What waits for a limit is told, and not all the time.
func TestTellsWhatWaits(t *testing.T) {
	t.Parallel()
	var text lockedBuffer
	s := newSiteIn(t, busConfig(t, 1), func(n *Node) { n.log = slog.New(slog.NewTextHandler(&text, nil)) })
	s.register(limited("fn", "begin", atOnce(`1`)))
	s.numbered("begin", "", 1, 2, 3)
	s.call()
	s.waits(2)
	line := fmt.Sprintf(`msg="runs wait for a limit" partition=0 function_id=%s constraint=concurrency count=`, function.FunctionID("fn", "fn"))
	s.advance(tellEvery * time.Millisecond)
	s.eventually(func() bool { return text.count(line) > 0 })
	before := text.count(line)
	for range 3 {
		s.in(0, func(o *Owner) { o.tellWaiting(o.admission.toldAt + tellEvery - 1) })
	}
	require.Equal(t, before, text.count(line))
	s.in(0, func(o *Owner) { o.tellWaiting(o.admission.toldAt + tellEvery) })
	require.Equal(t, before+1, text.count(line+"2"))
}

// lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(text))
}

// Priority orders the jobs of a limit, and of a function without one.
func TestPriorityOrdersCalls(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []string{`1`, `"none"`} {
		t.Run(concurrency, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 1)
			s.register(limited("fn", "begin", func(fn *function.Function) {
				atOnce(concurrency)(fn)
				fn.Priority = &function.Priority{Run: "event.data.p"}
			}))
			s.numbered("begin", `,"p":0`, 0)
			first := s.call()
			for n, p := range []int{0, 100, -100, 50} {
				s.numbered("begin", fmt.Sprintf(`,"p":%d`, p), n+1)
			}
			s.eventually(func() bool { return len(s.runs("fn")) == 5 && s.node.Stats().Held+s.node.Stats().Ready == 4 })
			s.commit(complete(first, `1`))
			for _, n := range []int{2, 4, 1, 3} {
				lease := s.call()
				require.Equal(t, s.run("fn", n), lease.RunID, "number %d", n)
				s.commit(complete(lease, `1`))
			}
		})
	}
}
