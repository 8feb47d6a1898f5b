package queue

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// While runs of another queue end beside those of this one, limits count both.
// This queue decides: a process tells it what it executes of the other one, and
// what it would like to.

// ForeignJob is a due call of another queue, of a function with limits.
type ForeignJob struct {
	// ID is the job's, unique in the other queue with its run.
	ID         string    `json:"id"`
	RunID      ulid.ULID `json:"run_id"`
	FunctionID uuid.UUID `json:"function_id"`
	// Running tells that the job is being executed: it counts, whatever limits
	// allow. Otherwise the process asks for it.
	Running bool `json:"running,omitempty"`
	// Start tells that the job starts its run: it has neither paid the throttle nor
	// taken a place among the runs of its function, unless the run is in Runs.
	Start bool `json:"start,omitempty"`
	// Due is when it became due, in milliseconds since 1970.
	Due int64 `json:"due"`
	// Priority is the run's, in seconds.
	Priority int `json:"priority,omitempty"`
	// Keys are the values of the function's key expressions. That of a limit on runs
	// may be named as function.RunSemaphore names it.
	Keys []state.FlowKey `json:"keys,omitempty"`
}

// ForeignRun is a run of another queue that has its place among the runs of its
// function in progress, until it ends.
type ForeignRun struct {
	RunID      ulid.ULID       `json:"run_id"`
	FunctionID uuid.UUID       `json:"function_id"`
	Keys       []state.FlowKey `json:"keys,omitempty"` // as of jobs
}

// ForeignReport is everything that a process executes, or would like to, of
// another queue, as far as one partition counts it: what a report does not list
// any more is over.
type ForeignReport struct {
	From string `json:"from"` // the process
	// N orders the reports of a process: an earlier one says nothing any more.
	N    uint64       `json:"n"`
	Jobs []ForeignJob `json:"jobs,omitempty"`
	// Runs are those in progress that the process knows of. Several may know of one.
	Runs []ForeignRun `json:"runs,omitempty"`
}
