package executor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/state"
)

func TestWake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		job     state.Job
		pending []string
		always  bool
	}{
		"alone":                            {state.Job{ID: "25z2v3tlk7qtb", Kind: state.JobSleep, MaxAttempts: 2, Step: stepZ, Attempt: 3, Generation: 4}, nil, true},
		"beside":                           {state.Job{ID: "25z2v3tlk7qtb", Kind: state.JobSleep, MaxAttempts: 2, Step: stepZ}, []string{"other"}, true},
		"in a group":                       {state.Job{ID: "25z2v3tlk7qtb", Kind: state.JobSleep, MaxAttempts: 2, Step: stepZ, Group: groupP1P2}, nil, false},
		"of a group that it does not name": {state.Job{ID: "25z2v3tlk7qtb", Kind: state.JobSleep, MaxAttempts: 2, Step: stepZ}, []string{"other", stepZ}, false},
		"in a race":                        {state.Job{ID: "25z2v3tlk7qtb", Kind: state.JobSleep, MaxAttempts: 2, Step: stepZ, Group: groupP1P2, Race: true}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := newRun()
			run.Pending = c.pending
			require.Equal(t, &state.Transition{
				RunID: goldenRun, Job: "25z2v3tlk7qtb", Saves: []state.Save{{Step: stepZ, Memo: raw(`null`)}},
				Discoveries: []state.Discovery{next("25z2v3tlk7qtb", state.JobEdge, stepZ, c.always)},
				Ended:       &state.StepEnded{RunID: goldenRun, FunctionID: goldenFn, Step: stepZ, About: run.About()},
			}, wake(run, c.job, at), "the same job, with attempts of its own")
		})
	}
}

func TestTimeOut(t *testing.T) {
	t.Parallel()
	timeoutID, eventID := "2dgrgx4hjv8u2", "1vwzwzzff7a4q" // captured: K-w-timeout, and that of the group
	invoke := `{"error":{"error":"InngestInvokeTimeoutError: Timed out waiting for invoked function to complete","message":"Timed out waiting for invoked function to complete","name":"InngestInvokeTimeoutError"}}`
	for name, c := range map[string]struct {
		kind   state.WaitKind
		group  string
		race   bool
		memo   string
		id     string
		always bool
	}{
		"event":      {state.WaitEvent, "", false, `null`, timeoutID, true},
		"signal":     {state.WaitSignal, "", false, `null`, timeoutID, true},
		"invoke":     {state.WaitInvoke, "", false, invoke, timeoutID, true},
		"in a group": {state.WaitEvent, groupP1P2, false, `null`, eventID, false},
		"in a race":  {state.WaitEvent, groupP1P2, true, `null`, timeoutID, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := newRun()
			run.Waits = []state.Wait{{Kind: c.kind, Step: stepW}}
			job := state.Job{ID: "w", Kind: state.JobPause, MaxAttempts: 2, Step: stepW, Group: c.group, Race: c.race}
			require.Equal(t, &state.Transition{
				RunID: goldenRun, Job: "w", Saves: []state.Save{{Step: stepW, Memo: raw(c.memo)}}, Unwaits: []string{stepW},
				Discoveries: []state.Discovery{next(c.id, state.JobEdge, stepW, c.always)},
				Ended:       &state.StepEnded{RunID: goldenRun, FunctionID: goldenFn, Step: stepW, Kind: c.kind, TimedOut: true, About: run.About()},
			}, timeOut(run, job, at))
		})
	}
	require.Equal(t, &state.Transition{RunID: goldenRun, Job: "w"}, timeOut(newRun(), state.Job{ID: "w", Step: stepW}, at), "it was resumed")
}
