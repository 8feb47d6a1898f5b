package driver

import (
	"encoding/json"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// DiscoveryStep is the StepID of a call that targets no step in particular:
// the SDK runs the function until new steps appear (sdk-protocol §7.6).
const DiscoveryStep = "step"

// VersionUndecided is the Version of a new run: the SDK's first 206 answer
// fixes it (sdk-protocol §7.5).
const VersionUndecided = -1

// Request is one call to an SDK endpoint (sdk-protocol §7). Its JSON parts are
// put into the body as they are, so they must be canonical (see Canonicalize).
type Request struct {
	URL        string    // the function's step URI
	AppID      uuid.UUID // used for trace state only
	FunctionID uuid.UUID
	RunID      ulid.ULID
	JobID      string // hashed
	RequestID  string // ULID text, "" to omit

	Generation  int // dispatches of this job, from 1; 0 to omit
	Attempt     int // from 0
	MaxAttempts int // retries + 1
	Version     int // stored with the run, VersionUndecided at first

	StepID       string   // DiscoveryStep or the id of a planned step; "" is DiscoveryStep
	Stack        []string // ids of finished steps in order of completion
	StackCurrent int      // 1 + index of the step that caused this call, else 0

	// DisableImmediateExecution makes the SDK report new steps and not run them.
	DisableImmediateExecution bool
	// NoCheckpoints makes the SDK run one step and answer. While it reports steps
	// by API, that of TypeScript takes a step's new arguments for its result.
	NoCheckpoints bool

	Events []json.RawMessage // each a canonical object with user; never empty
	Steps  []Memo
	Defers map[string]bool // hashed defer id to abortable

	// Reentry is not nil for a call of a durable endpoint; URL is then that of
	// the request which began the run.
	Reentry *Reentry

	// Trace context of W3C. Empty ones are made up, in one trace per run.
	Traceparent, Tracestate string
}

// Memo is the stored outcome of one step, or its replaced input (§13).
type Memo struct {
	ID   string
	Data json.RawMessage // canonical
}

func (r *Request) stepID() string {
	if r.StepID == "" {
		return DiscoveryStep
	}
	return r.StepID
}
