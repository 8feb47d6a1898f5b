package state

import (
	"context"
	"encoding/json"

	"github.com/oklog/ulid/v2"
)

// Store keeps live runs. Every implementation must pass the conformance suite
// in state/statetest.
type Store interface {
	// Load returns a view of a live run, or ErrRunNotFound.
	Load(ctx context.Context, id ulid.ULID) (*Run, error)
	// Commit makes a transition durable, whole or not at all, and returns
	// what came of it. ErrRunNotFound means that the run ended meanwhile: the
	// transition is void. Committing a transition again is harmless.
	Commit(ctx context.Context, t *Transition) error
}

// Transition is the outcome of one job: everything that follows from it.
// A store applies it to the run as the run is at that moment, which may have
// moved on since it was loaded: saves of finished steps, jobs and waits that
// already exist are passed over, and Discoveries look at what is then pending.
type Transition struct {
	RunID ulid.ULID
	// Job is the leased job this concludes, "" for none (a checkpoint).
	Job string
	// Kind and Generation are the leased job's. The transition is void when the
	// job has gone on as another kind (a sleep as the discovery after it), and
	// a retry when the job was dispatched again since.
	Kind       JobKind
	Generation int
	// Then says what becomes of that job.
	Then JobOutcome
	// RetryAt is when a retried job is due, in milliseconds.
	RetryAt int64
	// Mark is the lease's event position (queue.Lease).
	Mark uint64

	StartedAt int64 // when the first request was made, in milliseconds; 0 = it was earlier
	Version   *int  // fixes the request version
	ForcePlan bool  // sets the flag
	HasAI     bool
	ResetJob  string // job whose attempts start again at 0 (checkpoint)

	Pending     []string // planned together, to be stored before any job
	Saves       []Save
	DropJobs    []string // ids of jobs no longer needed
	Jobs        []Job    // new jobs, passed over when their step is known
	Discoveries []Discovery
	Waits       []NewWait
	Unwaits     []string // steps whose wait ended
	Defers      []Defer
	AbortDefers []string // ids of defers
	Finish      *Finish

	// Of a run that its app began (Endpoint) and that is Sync: Detach lets it go
	// on by itself, as any transition with a Job does; Patience is when it will
	// if the app reports nothing more, in milliseconds, 0 for no change.
	Detach   bool
	Patience int64
	// MetadataSize is how much was attached to steps, in bytes.
	MetadataSize int

	// For the history, see Called, Reported and StepEnded; nil for none. They
	// are recorded with the transition, or not at all.
	Called   *Called
	Reported *Reported
	Ended    *StepEnded
}

// JobOutcome says what becomes of a concluded job.
type JobOutcome uint8

// The outcomes of a job.
const (
	JobDone  JobOutcome = iota // it is removed
	JobRetry                   // it is due again at RetryAt, next attempt
)

// Save is a finished step to be remembered. A step saved before keeps its
// first memo.
type Save struct {
	Step string
	Memo json.RawMessage `json:",omitempty"` // canonical JSON
}

// Discovery is a request to call the function again.
type Discovery struct {
	// Job is the job to add. It is left out while steps of the run are pending
	// (sdk-protocol §14.3), and when the step it follows had finished before.
	Job Job
	// Always adds the job whatever is pending (race mode, steps of no group).
	Always bool
	// IfIdle adds the job only when the run has nothing else to go on with.
	IfIdle bool
}

// NewWait is a wait with all that is needed to arm it.
type NewWait struct {
	Wait    Wait
	Timeout Job // of kind JobPause
	// If is the interpolated expression of an event wait.
	If string
	// Invoke is the callee's event (name inngest/function.invoked).
	Invoke *Outgoing
	// Replace lets a signal wait displace the present waiter.
	Replace bool
}

// Outgoing is an event to be published.
type Outgoing struct {
	ID   string // user-visible id, "" for the internal one
	Name string
	Data json.RawMessage `json:",omitempty"`
	User json.RawMessage `json:",omitempty"`
	V    string
	Meta json.RawMessage `json:",omitempty"`
	// Correlation is the invoke that the event answers: the end of the run that
	// it made. "" for other events.
	Correlation string `json:",omitempty"`
}

// Finish ends a run.
type Finish struct {
	Status Status
	Output json.RawMessage `json:",omitempty"` // nil = none
	// Error is the error object of a failed run (sdk-protocol §15.5).
	Error json.RawMessage `json:",omitempty"`
}
