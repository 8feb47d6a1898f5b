package partition

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// timeouts look out for runs that do not start, or not finish, in time
// (flow-control §17). What a run's deadline is follows from the run and the
// function's present configuration, so that nothing of it is recorded: a timer
// only says when to look. mu of the owner guards it.
type timeouts struct {
	timers queue.Timers
	stale  int // timers of runs that ended, about
	// began is when the first call of a run was handed out, until the log says
	// so: for runs with timeouts only.
	began map[ulid.ULID]int64
}

// limits are a function's timeouts in milliseconds, 0 for none.
type limits struct{ start, finish int64 }

func limitsOf(cfg *function.Timeouts) limits {
	// A text that cannot be read is none: registration refuses it.
	start, _ := cfg.StartLimit()
	finish, _ := cfg.FinishLimit()
	return limits{max(start.Milliseconds(), 0), max(finish.Milliseconds(), 0)}
}

// deadline is when the run is cancelled, in milliseconds, 0 for never. began
// is when it was first called, as far as the run does not say so, 0 for not
// yet. The time to start begins when the run may.
func (l limits) deadline(run *state.Run, began int64) int64 {
	if run.StartedAt != 0 {
		began = run.StartedAt
	}
	switch {
	case began > 0 && l.finish > 0:
		return began + l.finish
	case began == 0 && l.start > 0 && (run.Flow == nil || run.Flow.BatchID == ulid.ULID{}):
		for i := range run.Jobs {
			if run.Jobs[i].Kind == state.JobStart {
				return max(run.QueuedAt, run.Jobs[i].Due) + l.start
			}
		}
	}
	return 0
}

// timeoutsOf are those of a function, nil when it has none.
func (n *Node) timeoutsOf(fn uuid.UUID) *function.Timeouts {
	if found, _, ok := n.bus.Registry().Catalog().Executable(fn); ok {
		return found.Timeouts
	}
	return nil
}

// deadline is that of a live run by what is known now.
func (o *Owner) deadline(run *state.Run) int64 {
	cfg := o.node.timeoutsOf(run.FunctionID)
	if cfg == nil {
		return 0
	}
	return limitsOf(cfg).deadline(run, o.timeouts.began[run.ID])
}

// watchTimeouts sets a timer for the run's deadline, if it has one.
func (o *Owner) watchTimeouts(run *state.Run) {
	due := o.deadline(run)
	if due == 0 {
		return
	}
	o.timeouts.timers.Add(queue.Timer{Due: due, RunID: run.ID})
	o.wakeBy(due)
}

// inTime tells whether a job that is to be handed out may still be executed; a
// run whose time is over is cancelled instead. The time to finish runs from
// the first job, of which the log tells only when its call has ended.
func (o *Owner) inTime(run *state.Run, job *state.Job, now int64) bool {
	cfg := o.node.timeoutsOf(run.FunctionID)
	if cfg == nil {
		return true
	}
	began, again := o.timeouts.began[run.ID]
	if due := limitsOf(cfg).deadline(run, began); due > 0 && due <= now {
		o.cancelOverdue(run)
		return false
	}
	if job.Kind == state.JobStart && run.StartedAt == 0 && !again {
		if o.timeouts.began == nil {
			o.timeouts.began = map[ulid.ULID]int64{}
		}
		o.timeouts.began[run.ID] = now
		o.watchTimeouts(run)
	}
	return true
}

// startedTimeouts notes that the log tells when the run started.
func (o *Owner) startedTimeouts(id ulid.ULID) {
	if _, watched := o.timeouts.began[id]; watched {
		delete(o.timeouts.began, id)
		return
	}
	// Another owner handed it out.
	if run, ok := o.index.Run(id); ok {
		o.watchTimeouts(run)
	}
}

// endTimeouts notes that a run ends. Its timers stay until they are due, or
// until such timers are half of all.
func (o *Owner) endTimeouts(run *state.Run, now int64) {
	w := &o.timeouts
	if w.timers.Len() > 0 {
		w.stale += o.pendingTimeouts(run, now)
	}
	delete(w.began, run.ID)
	if w.stale < staleFloor || w.stale < w.timers.Len()/2 {
		return
	}
	w.stale = 0
	w.timers.Keep(func(t queue.Timer) bool { return t.RunID != run.ID && o.index.Live(t.RunID) })
}

// pendingTimeouts is how many timers of the run are due later, by the present
// configuration.
func (o *Owner) pendingTimeouts(run *state.Run, now int64) (n int) {
	cfg := o.node.timeoutsOf(run.FunctionID)
	if cfg == nil {
		return 0
	}
	l := limitsOf(cfg)
	if l.start > 0 && run.QueuedAt+l.start > now {
		n++
	}
	if began := max(run.StartedAt, o.timeouts.began[run.ID]); began > 0 && l.finish > 0 && began+l.finish > now {
		n++
	}
	return n
}

// timeoutsAtOnce bounds how many timers are served under one hold of the lock.
const timeoutsAtOnce = 1024

// fireTimeouts cancels the runs whose time is over, and returns when to look
// again (0 = never). A run whose time was made longer meanwhile gets a timer
// for its new deadline.
func (o *Owner) fireTimeouts(now int64) (next int64) {
	for range timeoutsAtOnce {
		if o.writer.full() {
			return now + whenFull
		}
		timer, ok := o.timeouts.timers.Pop(now)
		if !ok {
			next, _ = o.timeouts.timers.Next()
			return next
		}
		run, live := o.index.Run(timer.RunID)
		if !live {
			o.timeouts.stale = max(o.timeouts.stale-1, 0)
			continue
		}
		switch due := o.deadline(run); {
		case due > now:
			o.timeouts.timers.Add(queue.Timer{Due: due, RunID: run.ID})
		case due > 0:
			o.cancelOverdue(run)
			continue
		}
		o.settle(run, now) // looking has decoded it
	}
	return now
}

// cancelOverdue ends a run whose time is over.
func (o *Owner) cancelOverdue(run *state.Run) {
	o.log.Info("run timed out: it is cancelled", "run_id", run.ID, "function_id", run.Slug, "started", run.StartedAt != 0)
	t := o.begin()
	t.cancel(run, ulid.ULID{})
	t.commit(nil)
}
