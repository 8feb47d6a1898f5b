package state

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// ErrRunNotFound is returned for a run that never was or has ended: its state
// is gone (sdk-protocol §16.1).
var ErrRunNotFound = errors.New("run not found")

// Undecided is the request version of a run whose SDK has not spoken yet.
const Undecided = -1

// Run is a live run: everything needed to call its SDK and to end it. A Run
// got from a Store is a view that later transitions do not change.
type Run struct {
	ID              ulid.ULID
	FunctionID      uuid.UUID
	FunctionVersion int
	Slug            string
	// Idempotency is the "I" of sdk-protocol §4.5; see Key.
	Idempotency string

	// Events are the input, as canonical JSON with "user" always present;
	// EventIDs are their internal ids.
	Events   []json.RawMessage
	EventIDs []ulid.ULID
	// Trigger is the name of the first event.
	Trigger string
	// Correlations name, for each event of an invoke, the waiting step of the
	// parent ("<run>.<step>"), parallel to Events; nil when there is none.
	Correlations []string
	Cron         string // the schedule that started the run, "" otherwise

	QueuedAt  int64 // milliseconds since 1970
	StartedAt int64 // 0 until the first request

	Version   int  // request version, Undecided at first
	ForcePlan bool // the SDK must plan, not run, newly found steps
	HasAI     bool

	Steps   []Step   // finished steps in order of completion
	Inputs  []Step   // stored inputs of steps not in the stack (rerun)
	Pending []string // planned together and not finished (sdk-protocol §14.3)
	Jobs    []Job
	Waits   []Wait
	Defers  []Defer
	// Cancels are the names of the events that cancel the run; the i-th is
	// watched as CancelWatchID(ID, i).
	Cancels []string

	// Flow is nil for a run of a function without flow control. It is never
	// changed, only replaced.
	Flow *Flow

	// Size is the number of bytes of events and memos.
	Size int

	// Original is the run that this one makes again, zero for none.
	Original ulid.ULID

	// Endpoint is nil but for a run that its app began.
	Endpoint *Endpoint
	// MetadataSize is the number of bytes of what was attached to the run.
	MetadataSize int

	// Debug is nil but for a run that somebody makes again to look into it.
	Debug *Debug
}

// Debug names what a run was made for by somebody who looks into a function:
// lists leave such runs out (graphql §18). Either may be zero.
type Debug struct{ Session, Run ulid.ULID }

func (d *Debug) code(c *coder) {
	c.rareULID(&d.Session)
	c.rareULID(&d.Run)
}

// Step is a finished step and its memo (sdk-protocol §13).
type Step struct {
	ID   string
	Memo json.RawMessage `json:",omitempty"` // canonical JSON
}

// Defer is a deferred function run requested by the run (sdk-protocol §12.14).
type Defer struct {
	ID     string
	Slug   string
	Status DeferStatus
	Input  json.RawMessage `json:",omitempty"`
	UserID string          // as the user wrote the id; may be empty
	Meta   json.RawMessage `json:",omitempty"` // of the event that starts it
}

// DeferStatus is numbered as in sdk-protocol §22.
type DeferStatus uint8

// The statuses of a defer.
const (
	DeferAfterRun DeferStatus = 2
	DeferAborted  DeferStatus = 3
	DeferRejected DeferStatus = 4
)

// Payload is the number of bytes of events and memos; Size keeps it.
func (r *Run) Payload() (size int) {
	for _, event := range r.Events {
		size += len(event)
	}
	for _, steps := range [...][]Step{r.Steps, r.Inputs} {
		for i := range steps {
			size += len(steps[i].Memo)
		}
	}
	return size
}

// Key is the run key "K" of sdk-protocol §4.5, from which job ids are made.
func (r *Run) Key() string {
	if r.Idempotency == "" {
		return r.FunctionID.String() + ":" + r.ID.String()
	}
	return r.FunctionID.String() + ":" + r.Idempotency
}

// Memo finds a finished step's memo.
func (r *Run) Memo(step string) (json.RawMessage, bool) {
	if i := r.stepIndex(step); i >= 0 {
		return r.Steps[i].Memo, true
	}
	return nil, false
}

// StackIndex is the step's place in order of completion, -1 if not finished.
func (r *Run) StackIndex(step string) int { return r.stepIndex(step) }

func (r *Run) stepIndex(step string) int {
	// From the end: what is asked for is mostly the newest.
	for i := len(r.Steps) - 1; i >= 0; i-- {
		if r.Steps[i].ID == step {
			return i
		}
	}
	return -1
}

// Job finds a job by its id.
func (r *Run) Job(id string) (*Job, bool) {
	for i := range r.Jobs {
		if r.Jobs[i].ID == id {
			return &r.Jobs[i], true
		}
	}
	return nil, false
}

// Wait finds what the step waits for.
func (r *Run) Wait(step string) (*Wait, bool) {
	for i := range r.Waits {
		if r.Waits[i].Step == step {
			return &r.Waits[i], true
		}
	}
	return nil, false
}

// IsPending tells whether the step was planned and has not finished.
func (r *Run) IsPending(step string) bool { return slices.Contains(r.Pending, step) }

// view is a copy that shares only what is append-only or immutable.
func (r *Run) view() *Run {
	c := *r
	c.Steps = r.Steps[:len(r.Steps):len(r.Steps)]
	c.Pending = slices.Clone(r.Pending)
	c.Jobs = slices.Clone(r.Jobs)
	c.Waits = slices.Clone(r.Waits)
	c.Defers = slices.Clone(r.Defers)
	return &c
}
