package executor

import (
	"slices"
	"time"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

// wake ends a sleep: its memo is null, and the same job goes on as the
// discovery that follows (sdk-protocol §12.5). A sleep that the original planned
// beside other steps does not name their group; that it is pending with them says it.
func wake(run *state.Run, job state.Job, now time.Time) *state.Transition {
	next := state.Job{
		ID: job.ID, Kind: state.JobEdge, Due: now.UnixMilli(), MaxAttempts: job.MaxAttempts, Outgoing: job.Step,
	}
	alone := job.Group == "" && !slices.Contains(run.Pending, job.Step)
	return &state.Transition{
		RunID: run.ID, Job: job.ID,
		Saves:       []state.Save{{Step: job.Step, Memo: driver.MemoNull}},
		Discoveries: []state.Discovery{{Job: next, Always: job.Race || alone}},
		Ended:       ended(run, job.Step, 0),
	}
}

// timeOut ends a wait for which nothing came in time (sdk-protocol §12.6-12.8).
func timeOut(run *state.Run, job state.Job, now time.Time) *state.Transition {
	t := &state.Transition{RunID: run.ID, Job: job.ID}
	wait, ok := run.Wait(job.Step)
	if !ok {
		return t // it was resumed; only the job is left
	}
	memo := driver.MemoNull
	if wait.Kind == state.WaitInvoke {
		memo = driver.MemoInvokeTimeout
	}
	id := function.TimeoutJob(run.Key(), job.Step)
	if job.Group != "" && !job.Race {
		id = function.CoalescedJob(run.ID.String(), job.Group)
	}
	t.Saves = []state.Save{{Step: job.Step, Memo: memo}}
	t.Unwaits = []string{job.Step}
	t.Ended = ended(run, job.Step, wait.Kind)
	t.Discoveries = []state.Discovery{{
		Job:    state.Job{ID: id, Kind: state.JobEdge, Due: now.UnixMilli(), MaxAttempts: job.MaxAttempts, Outgoing: job.Step},
		Always: job.Race || job.Group == "",
	}}
	return t
}
