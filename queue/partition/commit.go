package partition

import (
	"fmt"
	"slices"

	"jetstep/function"
	"jetstep/state"
)

// How soon, in ms, a run with nothing to go on with is called again: twice as
// late after each call that brings it no further, up to the longest.
const (
	redriveDelay    int64 = 100
	maxRedriveDelay int64 = 60_000
)

// conclude applies an executor's transition, if its job is still the run's.
func (t *tx) conclude(tr *state.Transition) error {
	run, ok := t.o.index.Run(tr.RunID)
	if !ok {
		return state.ErrRunNotFound
	}
	if tr.Job != "" {
		job, ok := run.Job(tr.Job)
		if !ok {
			t.o.unlease(jobRef{Run: run.ID, Job: tr.Job})
			t.o.executed(jobRef{Run: run.ID, Job: tr.Job})
			return nil // dropped meanwhile: a timeout that lost to its event
		}
		if job.Kind != tr.Kind || tr.Then == state.JobRetry && job.Generation != tr.Generation {
			return nil // concluded by someone else already
		}
	}
	reported := t.o.node.bus.LastEvent()
	if _, known := t.o.checkpoints[run.ID]; tr.Job == "" && !known {
		t.o.checkpoints[run.ID] = reported
	}
	t.transition(run, tr)
	if tr.Job == "" && !t.gone(run) {
		t.o.checkpoints[run.ID] = reported
	} else {
		delete(t.o.checkpoints, tr.RunID)
	}
	return nil
}

// transition turns a transition into facts, against the run as it is now.
func (t *tx) transition(run *state.Run, tr *state.Transition) {
	change := &state.RunChanged{RunID: run.ID}
	t.changeFlags(run, tr, change)
	saved := t.changeSteps(run, tr, change)
	t.changeJobs(run, tr, change)
	waits := t.changeWaits(run, tr, change)
	t.changeDefers(run, tr, change)
	t.changeEndpoint(run, tr, change)
	if tr.MetadataSize > 0 {
		change.MetadataSize = run.MetadataSize + tr.MetadataSize
	}
	t.tell(tr, change)
	t.do(change)
	for _, send := range waits {
		send()
		if t.gone(run) {
			return // a wait of this very partition ended the run
		}
	}
	if tr.Finish != nil {
		t.finish(run, tr.Finish)
		return
	}
	t.discover(run, tr, saved)
}

// tell records what a transition says for the history, in front of the change.
// A report of steps that are known is one that was repeated.
func (t *tx) tell(tr *state.Transition, change *state.RunChanged) {
	if tr.Called != nil {
		t.do(tr.Called)
	}
	known := len(tr.Saves) > 0 && len(change.Steps)+len(change.WaitsPut)+len(change.DefersPut) == 0
	if tr.Reported != nil && !known {
		t.do(tr.Reported)
	}
	if tr.Ended != nil {
		t.do(tr.Ended)
	}
}

func (t *tx) gone(run *state.Run) bool {
	_, live := t.o.index.Run(run.ID)
	return !live
}

func (t *tx) changeFlags(run *state.Run, tr *state.Transition, change *state.RunChanged) {
	if run.StartedAt == 0 {
		change.StartedAt = tr.StartedAt
	}
	if tr.Version != nil && run.Version == state.Undecided {
		change.Version = tr.Version
	}
	if tr.ForcePlan && !run.ForcePlan {
		force := true
		change.ForcePlan = &force
	}
	change.HasAI = tr.HasAI && !run.HasAI
	change.Pending = tr.Pending
}

// changeSteps notes the steps that finished; those that had before are left
// out. It returns the newly finished ones.
func (t *tx) changeSteps(run *state.Run, tr *state.Transition, change *state.RunChanged) []string {
	var saved []string
	for _, s := range tr.Saves {
		if _, finished := run.Memo(s.Step); finished || slices.Contains(saved, s.Step) {
			continue
		}
		change.Steps = append(change.Steps, state.Step{ID: s.Step, Memo: s.Memo})
		saved = append(saved, s.Step)
	}
	return saved
}

func (t *tx) changeJobs(run *state.Run, tr *state.Transition, change *state.RunChanged) {
	if tr.Job != "" {
		t.endLease(jobRef{Run: run.ID, Job: tr.Job})
		job, _ := run.Job(tr.Job)
		if tr.Then == state.JobRetry {
			again := *job
			again.Attempt++
			again.Generation++
			again.Due = tr.RetryAt
			change.JobsPut = append(change.JobsPut, again)
		} else {
			change.JobsDone = append(change.JobsDone, tr.Job)
		}
	}
	for _, id := range tr.DropJobs {
		if job, ok := run.Job(id); ok {
			t.o.dropTimer(job, t.now)
			change.JobsDone = append(change.JobsDone, id)
		}
	}
	if job, ok := run.Job(tr.ResetJob); ok && tr.ResetJob != "" && job.Attempt > 0 {
		again := *job
		again.Attempt = 0
		change.JobsPut = append(change.JobsPut, again)
	}
	for _, job := range tr.Jobs {
		_, finished := run.Memo(job.Step)
		_, exists := run.Job(job.ID)
		if !finished && (!exists || job.ID == tr.Job) {
			change.JobsPut = append(change.JobsPut, job)
		}
	}
}

// changeWaits notes new and ended waits, and returns what is to be sent about
// them once the run itself is changed.
func (t *tx) changeWaits(run *state.Run, tr *state.Transition, change *state.RunChanged) []func() {
	var sends []func()
	for _, step := range tr.Unwaits {
		if wait, ok := run.Wait(step); ok {
			change.WaitsDone = append(change.WaitsDone, step)
			w := *wait
			sends = append(sends, func() { t.disarm(run, w) })
		}
	}
	for i := range tr.Waits {
		w := &tr.Waits[i]
		_, finished := run.Memo(w.Wait.Step)
		_, exists := run.Wait(w.Wait.Step)
		if finished || exists {
			continue
		}
		change.WaitsPut = append(change.WaitsPut, w.Wait)
		change.JobsPut = append(change.JobsPut, w.Timeout)
		sends = append(sends, func() { t.arm(run, w, t.o.since(run, tr)) })
	}
	return sends
}

// arm tells those who can end a wait about it.
func (t *tx) arm(run *state.Run, w *state.NewWait, since uint64) {
	switch w.Wait.Kind {
	case state.WaitEvent:
		t.send(t.o.node.partitionOf(w.Wait.Name), state.Message{Kind: state.MessageWatch, Watch: &state.Watch{
			ID: state.WatchID(run.ID, w.Wait.Step), Event: w.Wait.Name, If: w.If,
			RunID: run.ID, Step: w.Wait.Step, Since: since, Expires: w.Timeout.Due,
		}})
	case state.WaitInvoke:
		if size := len(w.Invoke.Data) + len(w.Invoke.User); size > t.o.node.eventLimit {
			text := fmt.Sprintf("the payload of the invoked function is too large: %d bytes, at most %d", size, t.o.node.eventLimit)
			t.send(t.o.id, state.Message{Kind: state.MessageResume, RunID: run.ID, Step: w.Wait.Step, Memo: state.InvokeErrorMemo("Error", text)})
			return
		}
		e := t.newEvent(w.Invoke.Name, w.Invoke.Data)
		e.User, e.V = w.Invoke.User, w.Invoke.V
		t.publish(e)
	case state.WaitSignal:
		t.send(t.o.node.partitionOf(signalKey(w.Wait.Name)), state.Message{
			Kind: state.MessageSignalWait, RunID: run.ID, Step: w.Wait.Step, Name: w.Wait.Name, Flag: w.Replace,
		})
	}
}

// disarm takes back what arm said. After a resume it finds nothing to do.
func (t *tx) disarm(run *state.Run, w state.Wait) {
	switch w.Kind {
	case state.WaitEvent:
		t.send(t.o.node.partitionOf(w.Name), state.Message{Kind: state.MessageUnwatch, Name: state.WatchID(run.ID, w.Step)})
	case state.WaitSignal:
		t.send(t.o.node.partitionOf(signalKey(w.Name)), state.Message{
			Kind: state.MessageSignalUnwait, RunID: run.ID, Step: w.Step, Name: w.Name,
		})
	}
}

// signalKey spreads signals over partitions apart from events.
func signalKey(name string) string { return "signal:" + name }

func (t *tx) changeDefers(run *state.Run, tr *state.Transition, change *state.RunChanged) {
	for _, d := range tr.Defers {
		if !slices.ContainsFunc(run.Defers, func(have state.Defer) bool { return have.ID == d.ID }) {
			change.DefersPut = append(change.DefersPut, d)
		}
	}
	for _, id := range tr.AbortDefers {
		for _, d := range slices.Concat(run.Defers, change.DefersPut) {
			if d.ID == id && d.Status == state.DeferAfterRun {
				d.Status = state.DeferAborted
				change.DefersPut = append(change.DefersPut, d)
				break
			}
		}
	}
}

// discover adds the jobs that call the function again, by the rules of
// sdk-protocol §14: after a newly finished step, and not while others of its
// group are pending. A run with nothing to go on with is always called again.
func (t *tx) discover(run *state.Run, tr *state.Transition, saved []string) {
	run, ok := t.o.index.Run(run.ID)
	if !ok {
		return
	}
	change := &state.RunChanged{RunID: run.ID}
	for _, d := range tr.Discoveries {
		if d.IfIdle && len(run.Jobs)+len(run.Waits)+len(change.JobsPut) > 0 {
			continue
		}
		if len(run.Pending) > 0 && run.Version >= 2 && !d.Always {
			continue
		}
		if follows := d.Job.Outgoing; len(tr.Saves) > 0 && follows != "" && !slices.Contains(saved, follows) {
			continue
		}
		if _, exists := run.Job(d.Job.ID); exists || slices.ContainsFunc(change.JobsPut, func(j state.Job) bool { return j.ID == d.Job.ID }) {
			continue
		}
		change.JobsPut = append(change.JobsPut, d.Job)
	}
	if len(change.JobsPut) > 0 {
		if run.ForcePlan && run.Version >= 2 {
			force := false
			change.ForcePlan = &force
		}
		t.do(change)
	}
	if len(run.Jobs) == 0 && len(run.Waits) == 0 {
		tries := 0
		if tr.Job != "" && len(saved) == 0 {
			tries = tr.Generation + 1 // this one's; retries of it count, too
		}
		t.redrive(run, tries)
	}
}

// redrive calls a run again that has nothing to go on with (sdk-protocol
// §14.6). tries is how many calls have led to nothing one after the other; the
// job's generation keeps it.
func (t *tx) redrive(run *state.Run, tries int) {
	job := state.Job{
		ID:          function.Hash("redrive-" + t.o.node.newID().String()),
		Kind:        state.JobEdge,
		Due:         t.now + min(redriveDelay<<min(max(tries-1, 0), 16), maxRedriveDelay),
		MaxAttempts: t.o.node.attempts(run),
		Generation:  tries,
	}
	if n := len(run.Steps); n > 0 {
		job.Outgoing = run.Steps[n-1].ID
	}
	t.do(&state.RunChanged{RunID: run.ID, JobsPut: []state.Job{job}})
}

// since is the EVENTS sequence above which an event counts for a wait that a
// job created: what was known when the job was leased, or when the same call
// last reported a finished step.
func (o *Owner) since(run *state.Run, tr *state.Transition) uint64 {
	return max(tr.Mark, o.checkpoints[run.ID])
}
