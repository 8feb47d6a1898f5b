package trace_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
)

const (
	runULID = "01M8AFNA89V4FR54NKFFTV1PNK"
	someID  = "00000000-0000-4000-b000-000000000000"
)

// zero is when the runs of these tests begin.
var zero = time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC)

// attrs are attributes without their prefix.
type attrs map[string]any

// sketch is a run in rows; times are seconds after zero.
type sketch []trace.Row

// add appends a row. Attributes queued, started and ended are seconds too.
func (s *sketch) add(name, id, dynamic, parent string, second int, a attrs) {
	full := map[string]any{}
	for key, value := range a {
		switch key {
		case "queued_at", "started_at", "ended_at", "step.wait.expiry":
			value = fmt.Sprint(zero.Add(time.Duration(value.(int)) * time.Second).UnixMilli())
		}
		full["_inngest."+key] = value
	}
	raw, err := json.Marshal(full)
	if err != nil {
		panic(err) // of a test's own literals
	}
	row := trace.Row{
		SpanID: id, DynamicID: dynamic, ParentID: parent, Name: name, TraceID: "t", RunID: runULID, AppID: someID, FunctionID: someID,
		Start: zero.Add(time.Duration(second) * time.Second), End: zero.Add(time.Duration(second) * time.Second), Attributes: raw,
	}
	if _, ok := a["out"]; ok {
		row.Output = json.RawMessage(`{"data":1}`)
	}
	*s = append(*s, row)
}

// running is a run that has started.
func running() *sketch {
	s := &sketch{}
	s.add(trace.NameRun, "root", "root", trace.NoParent, 0, attrs{"queued_at": 0, "dynamic.status": "Queued", "function.slug": "app-fn"})
	s.add(trace.NameExtension, "root2", "root", trace.NoParent, 1, attrs{"started_at": 1, "dynamic.status": "Running"})
	return s
}

func (s *sketch) end(second int, status string) *sketch {
	s.add(trace.NameExtension, "rootend", "root", trace.NoParent, second, attrs{"ended_at": second, "dynamic.status": status, "out": true})
	return s
}

// request is a call of the SDK with its answer; attempts share a discovery.
func (s *sketch) request(discovery string, attempt, second int, a attrs) *sketch {
	if attempt == 0 {
		s.add(trace.NameDiscovery, discovery, discovery, "root", second, attrs{"queued_at": second})
	}
	id := fmt.Sprint(discovery, "x", attempt)
	s.add(trace.NameExecution, id, id, discovery, second, attrs{
		"queued_at": second, "started_at": second, "step.attempt": attempt, "step.max_attempts": 2, "dynamic.status": "Running", "job.group.id": "g" + discovery,
	})
	if a != nil {
		a["ended_at"] = second + 1
		s.add(trace.NameExtension, id+"e", id, discovery, second+1, a)
	}
	return s
}

func stepError(status string) attrs {
	return attrs{"dynamic.status": status, "step.id": "s1", "step.name": "flaky", "step.op": "StepError", "out": true}
}

func functionError(retryable bool) attrs {
	a := attrs{"dynamic.status": "Failed", "is.function.output": true, "out": true}
	if retryable {
		a["retryable"] = true
	}
	return a
}

// TestInFlight has the runs in flight that were captured (graphql §15), and
// others of their kind.
func TestInFlight(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		rows            *sketch
		legacy, preview string
	}{
		"scheduled": {&sketch{(*running())[0]}, `
app-fn RUNNING 0 - -`, `
executor.run QUEUED 0 - output`},
		"first request": {running().request("d", 0, 2, nil), `
app-fn RUNNING 0 - -
  execute RUNNING 0 - -
    Attempt 0 RUNNING 0 - -`, `
Run RUNNING 0 - output
  Discovery step RUNNING 0 - -
    Attempt 0 RUNNING 0 - -`},
		"step failed once": {running().request("d", 0, 2, stepError("Errored")), `
app-fn RUNNING 0 - -
  flaky RUNNING 0 RUN -
    Attempt 0 FAILED 0 RUN output
    Attempt 1 QUEUED 1 RUN -`, `
Run RUNNING 0 - output
  flaky FAILED 0 RUN output
    Attempt 0 FAILED 0 RUN output`},
		"step failed for good": {running().request("d", 0, 2, stepError("Errored")).request("d", 1, 4, stepError("Errored")), `
app-fn RUNNING 0 - -
  flaky FAILED 2 RUN output
    Attempt 0 FAILED 0 RUN output
    Attempt 1 FAILED 1 RUN output
  Queued step QUEUED 0 - -`, `
Run RUNNING 0 - output
  flaky FAILED 1 RUN output
    Attempt 0 FAILED 0 RUN output
    Attempt 1 FAILED 1 RUN output`},
		"function failed once": {running().request("d", 0, 2, functionError(true)), `
app-fn RUNNING 0 - -
  execute RUNNING 0 - -
    Attempt 0 FAILED 0 - output
    Attempt 1 QUEUED 1 - -`, `
Run RUNNING 0 - output
  Finalization FAILED 0 - -
    Attempt 0 FAILED 0 - output`},
		"function failed without retries": {running().request("d", 0, 2, functionError(false)).end(4, "Failed"), `
app-fn FAILED 0 - output
  function error FAILED 1 - output
    Attempt 0 FAILED 0 - output`, `
Run FAILED 0 - output
  Finalization FAILED 0 - -
    Attempt 0 FAILED 0 - output`},
		"function succeeded at last": {running().request("d", 0, 2, functionError(true)).
			request("d", 1, 4, attrs{"dynamic.status": "Completed", "is.function.output": true, "out": true}).end(6, "Completed"), `
app-fn COMPLETED 0 - output
  function success COMPLETED 1 - output
    Attempt 0 FAILED 0 - output
    Attempt 1 COMPLETED 1 - output`, `
Run COMPLETED 0 - output
  Finalization COMPLETED 1 - -
    Attempt 0 FAILED 0 - output
    Attempt 1 COMPLETED 1 - output`},
		"step done, next is queued": {running().request("d", 0, 2, attrs{"dynamic.status": "Completed", "step.id": "s1", "step.name": "first", "step.op": "StepRun", "out": true}), `
app-fn RUNNING 0 - -
  first COMPLETED 0 RUN output
  Queued step QUEUED 0 - -`, `
Run RUNNING 0 - output
  first COMPLETED 0 RUN output`},
		"waiting after a failed attempt": {waitingAfterFailure(), `
app-fn RUNNING 0 - -
  dummy WAITING 0 WAIT_FOR_EVENT -
    Attempt 0 FAILED 0 - output
    Attempt 1 WAITING 1 WAIT_FOR_EVENT -`, `
Run RUNNING 0 - output
  Finalization COMPLETED 1 WAIT_FOR_EVENT -
    Attempt 0 FAILED 0 - output
    Attempt 1 COMPLETED 1 WAIT_FOR_EVENT -
  dummy WAITING 1 WAIT_FOR_EVENT -`},
		"sleeping": {sleeping(3600), `
app-fn RUNNING 0 - -
  long RUNNING 0 SLEEP -
    Attempt 0 RUNNING 0 SLEEP -`, `
Run RUNNING 0 - output
  long WAITING 0 SLEEP -`},
		"slept, by the clock": {sleeping(1), `
app-fn RUNNING 0 - -
  long COMPLETED 0 SLEEP -
  Queued step QUEUED 0 - -`, `
Run RUNNING 0 - output
  long WAITING 0 SLEEP -`},
		"two sleeps at once": {twoSleeps(), `
app-fn RUNNING 0 - -
  a RUNNING 0 SLEEP -
    Attempt 0 RUNNING 0 SLEEP -
  b RUNNING 0 SLEEP -
    Attempt 0 RUNNING 0 SLEEP -`, `
Run RUNNING 0 - output
  a WAITING 0 SLEEP -
  b WAITING 0 SLEEP -`},
		"cancelled while a retry was pending": {running().request("d", 0, 2, stepError("Errored")).end(4, "Cancelled"), `
app-fn CANCELLED 0 - output
  flaky FAILED 1 RUN output
    Attempt 0 FAILED 0 RUN output`, `
Run CANCELLED 0 - output
  flaky FAILED 0 RUN output
    Attempt 0 FAILED 0 RUN output`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, err := trace.Assemble(*c.rows)
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(c.legacy), strings.Join(lines(run.Legacy("0123", zero.Add(time.Minute)), 0), "\n"), "legacy")
			require.Equal(t, strings.TrimSpace(c.preview), strings.Join(lines(run.Preview(), 0), "\n"), "preview")
		})
	}
}

func waitingAfterFailure() *sketch {
	wait := func() attrs {
		return attrs{"step.id": "w", "step.name": "dummy", "step.op": "WaitForEvent", "step.wait.expiry": 900, "step.wait_for_event.name": "x"}
	}
	announced := wait()
	announced["dynamic.status"], announced["executor.drop"] = "Completed", true
	s := running().request("d", 0, 2, functionError(true)).request("d", 1, 4, announced)
	step := wait()
	step["dynamic.status"], step["started_at"], step["step.attempt"], step["job.group.id"] = "Waiting", 5, 1, "gd"
	s.add(trace.NameStep, "w1", "w1", "root", 5, step)
	return s
}

func sleeping(seconds int) *sketch {
	s := running().request("d", 0, 2, attrs{"dynamic.status": "Completed", "executor.drop": true, "step.id": "z", "step.op": "Sleep"})
	s.sleep("z", "long", seconds)
	return s
}

func (s *sketch) sleep(id, name string, seconds int) {
	s.add(trace.NameStep, id+"1", id, "root", 3, attrs{
		"dynamic.status": "Sleeping", "queued_at": 3, "started_at": 3, "step.id": id, "step.name": name, "step.op": "Sleep",
		"step.sleep.duration": seconds * 1000, "job.group.id": "gd",
	})
}

func twoSleeps() *sketch {
	s := running().request("d", 0, 2, attrs{"dynamic.status": "Completed", "executor.drop": true})
	s.sleep("a", "a", 3600)
	s.sleep("b", "b", 3600)
	return s
}

// TestQueuedChild has what clients read of an attempt that is to come.
func TestQueuedChild(t *testing.T) {
	t.Parallel()
	run, err := trace.Assemble(*running().request("d", 0, 2, stepError("Errored")))
	require.NoError(t, err)
	group := run.Legacy("0123", zero).Children[0]
	require.Equal(t, "steprun-gd", group.SpanID)
	require.True(t, group.EndedAt.IsZero())
	failed, queued := group.Children[0], group.Children[1]
	require.Equal(t, "queued", queued.SpanID)
	require.Equal(t, failed.SpanID, *queued.ParentID)
	require.Equal(t, failed.EndedAt, queued.QueuedAt)
	require.Zero(t, *queued.Duration)
	require.True(t, queued.StartedAt.IsZero())
}
