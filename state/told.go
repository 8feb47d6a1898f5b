package state

import (
	"encoding/json"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Called says what one call of a function was and what it answered. Like the
// other facts of this file it is for the history: nothing follows from it. It
// stands in the record of the transition that the answer led to, in front of
// that transition's facts, which have what finished steps returned and how the
// run ended.
type Called struct {
	RunID      ulid.ULID
	FunctionID uuid.UUID
	Job        Job    // as it was leased; Generation counts from 0
	RequestID  string // ULID
	URL        string

	// Times are in milliseconds since 1970. LeasedAt is when the executor got
	// the job, StartedAt when the request was sent.
	LeasedAt, StartedAt, EndedAt int64

	Status  int             // HTTP status, 0 if no answer came
	Size    int             // bytes of the body
	Headers json.RawMessage `json:",omitempty"` // an object, name to string; nil for none
	SDK     string          // "inngest-js:v4.24.0"; may be empty

	// Result is what became of the call.
	Result CallResult
	// Output is what the function returned, or the error object of a call that
	// failed; nil when it is that of the RunFinished in the same record, or
	// there is none.
	Output json.RawMessage `json:",omitempty"`
	// RetryAt is when the job is tried again, in milliseconds; 0 when it is not.
	RetryAt int64
	Ops     []CalledOp
	About   About
}

// About is what every entry of a history repeats of its run.
type About struct {
	EventID     ulid.ULID // internal id of the run's first event, zero for none
	Idempotency string    // see Run.Key
}

// About is what the history's entries repeat of the run.
func (r *Run) About() About {
	about := About{Idempotency: r.Idempotency}
	if len(r.EventIDs) > 0 {
		about.EventID = r.EventIDs[0]
	}
	return about
}

func (a *About) code(c *coder) {
	c.rareULID(&a.EventID)
	c.string(&a.Idempotency)
}

// CallResult is what became of a call.
type CallResult uint8

// The results of a call.
const (
	CallSteps  CallResult = iota // the function asked for what Ops says
	CallDone                     // the function returned
	CallFailed                   // the function failed, or could not be called
)

// CalledOp is one op of an answer (sdk-protocol §11.2), as far as it is shown.
type CalledOp struct {
	Op            string          // its name, as "StepRun"
	ID            string          // hashed step id
	Name          string          // displayed
	UserID        string          // as the user wrote it; may be empty
	UserIndex     int             // its repetition
	Type          string          // opts.type, as "step.sendEvent"; may be empty
	Start, End    int64           // when the step ran, in milliseconds; 0 if not told
	Sleep         int64           // duration of a sleep, in milliseconds
	Expires       int64           // of a wait, in milliseconds since 1970
	Wait          string          // event name, signal name, or the invoked function
	If            string          // of a wait for an event, as the user wrote it
	Input         json.RawMessage `json:",omitempty"`
	Error         json.RawMessage `json:",omitempty"` // of a step that will be retried
	Metadata      json.RawMessage `json:",omitempty"` // a list of sdk-protocol §20.6
	GatewayStatus int             // HTTP status of a request made for the step
	GatewaySize   int             // bytes of its body
}

// Reported says which steps a call reported while it lasted (sdk-protocol
// §18.1). What they returned is in the RunChanged of the same record.
type Reported struct {
	RunID      ulid.ULID
	FunctionID uuid.UUID
	JobID      string // of the call, "" if unknown
	Attempt    int    // of that job
	Ops        []CalledOp
}

// StepEnded says how a step ended that slept or waited. What it returned is in
// the RunChanged of the same record.
type StepEnded struct {
	RunID      ulid.ULID
	FunctionID uuid.UUID
	Step       string
	// Kind is what it waited for, 0 for a sleep.
	Kind     WaitKind
	TimedOut bool
	// EventID is the internal id of the event that ended the wait, or of the
	// invoked run's finished event; zero for none.
	EventID ulid.ULID
	// ChildRunID is the invoked run, zero when unknown.
	ChildRunID ulid.ULID
	About      About
}

// Carried begins a record of state that was known before: what follows
// repeats it, because the log's oldest part is about to go.
type Carried struct{}

func (o *Called) tag() uint8 { return tagCalled }
func (o *Called) code(c *coder) {
	c.ulid(&o.RunID)
	c.uuid(&o.FunctionID)
	codeJob(c, &o.Job)
	c.string(&o.RequestID)
	c.string(&o.URL)
	c.int64(&o.LeasedAt)
	c.int64(&o.StartedAt)
	c.int64(&o.EndedAt)
	c.int(&o.Status)
	c.int(&o.Size)
	codeRaw(c, &o.Headers)
	c.string(&o.SDK)
	c.uint8((*uint8)(&o.Result))
	codeRaw(c, &o.Output)
	c.int64(&o.RetryAt)
	list(c, &o.Ops, codeCalledOp)
	o.About.code(c)
}

func codeCalledOp(c *coder, o *CalledOp) {
	c.block(func(c *coder) {
		c.string(&o.Op)
		c.string(&o.ID)
		c.string(&o.Name)
		c.string(&o.UserID)
		c.int(&o.UserIndex)
		c.string(&o.Type)
		c.int64(&o.Start)
		c.int64(&o.End)
		c.int64(&o.Sleep)
		c.int64(&o.Expires)
		c.string(&o.Wait)
		c.string(&o.If)
		codeRaw(c, &o.Input)
		codeRaw(c, &o.Error)
		codeRaw(c, &o.Metadata)
		c.int(&o.GatewayStatus)
		c.int(&o.GatewaySize)
	})
}

func (o *Reported) tag() uint8 { return tagReported }
func (o *Reported) code(c *coder) {
	c.ulid(&o.RunID)
	c.uuid(&o.FunctionID)
	c.string(&o.JobID)
	c.int(&o.Attempt)
	list(c, &o.Ops, codeCalledOp)
}

func (o *StepEnded) tag() uint8 { return tagStepEnded }
func (o *StepEnded) code(c *coder) {
	c.ulid(&o.RunID)
	c.uuid(&o.FunctionID)
	c.string(&o.Step)
	c.uint8((*uint8)(&o.Kind))
	c.bool(&o.TimedOut)
	c.rareULID(&o.EventID)
	c.rareULID(&o.ChildRunID)
	o.About.code(c)
}

func (o *Carried) tag() uint8  { return tagCarried }
func (o *Carried) code(*coder) {}

// isTold tells the tags of the facts of this file.
func isTold(tag uint8) bool {
	switch tag {
	case tagCalled, tagReported, tagStepEnded, tagCarried, tagRecalled:
		return true
	}
	return false
}

// Nothing follows from what is told.
func (o *Called) apply(*Index, int64)    {}
func (o *Reported) apply(*Index, int64)  {}
func (o *StepEnded) apply(*Index, int64) {}
func (o *Carried) apply(*Index, int64)   {}
