package trace

import (
	"encoding/json"
	"time"
)

// Status is the state of a node in the words of the API (graphql §6).
type Status string

// The statuses of nodes.
const (
	Failed    Status = "FAILED"
	Queued    Status = "QUEUED"
	Running   Status = "RUNNING"
	Completed Status = "COMPLETED"
	Waiting   Status = "WAITING"
	Cancelled Status = "CANCELLED"
	Skipped   Status = "SKIPPED"
)

// Ended tells whether nothing more will happen to the node.
func (s Status) Ended() bool {
	return s == Failed || s == Completed || s == Cancelled || s == Skipped
}

// statusOf reads the attribute dynamic.status (graphql §14).
func statusOf(text string) Status {
	switch text {
	case "Completed", "TimedOut":
		return Completed
	case "Failed", "Errored":
		return Failed
	case "Cancelled":
		return Cancelled
	case "Scheduled", "Queued":
		return Queued
	case "Sleeping", "Waiting":
		return Waiting
	case "Skipped":
		return Skipped
	default:
		return Running
	}
}

// StepOp is the kind of a step in the words of the API; empty for none.
type StepOp string

// The kinds of steps.
const (
	OpInvoke  StepOp = "INVOKE"
	OpRun     StepOp = "RUN"
	OpSleep   StepOp = "SLEEP"
	OpWait    StepOp = "WAIT_FOR_EVENT"
	OpGateway StepOp = "AI_GATEWAY"
	OpSignal  StepOp = "WAIT_FOR_SIGNAL"
)

func stepOpOf(opcode string) StepOp {
	switch opcode {
	case "Step", "StepRun", "StepError", "StepPlanned":
		return OpRun
	case "AIGateway", "Gateway":
		return OpGateway
	case "InvokeFunction":
		return OpInvoke
	case "Sleep":
		return OpSleep
	case "WaitForEvent":
		return OpWait
	case "WaitForSignal":
		return OpSignal
	default:
		return ""
	}
}

// Node is one line of a trace as users see it (graphql §6, RunTraceSpan).
// Times are zero and pointers nil where there is nothing to show.
type Node struct {
	Name     string
	Status   Status
	Attempts int
	Duration *time.Duration // shown in milliseconds
	// OutputID is what an OutputRef encodes to; empty for none.
	OutputID string

	QueuedAt, ScheduledAt, StartedAt, EndedAt time.Time

	StepOp   StepOp
	StepID   string
	StepInfo StepInfo // nil for none
	StepType string

	IsRoot   bool
	SpanID   string
	ParentID *string
	TraceID  string
	GroupID  *string

	RunID, AppID, FunctionID    string
	DebugRunID, DebugSessionID  string
	SkipReason, SkipExistingRun *string

	Userland *Userland
	Metadata []Metadata
	Response *Response
	Children []*Node
}

// Response is what the SDK answered with.
type Response struct {
	StatusCode int
	Headers    json.RawMessage // an object of strings
}

// Userland describes a span of the user's own code.
type Userland struct {
	SpanName, SpanKind, ServiceName, ScopeName, ScopeVersion string
	ResourceAttributes, SpanAttributes                       string // JSON
}

// StepInfo is one of InvokeInfo, SleepInfo, WaitInfo, SignalInfo and RunInfo.
type StepInfo interface{ stepInfo() }

// InvokeInfo says what a step invoked.
type InvokeInfo struct {
	TriggeringEventID string
	FunctionID        string // the slug
	Timeout           time.Time
	ReturnEventID     *string
	RunID             *string
	TimedOut          *bool // nil while it is open
}

// SleepInfo says how long a step sleeps.
type SleepInfo struct{ Until time.Time }

// WaitInfo says for which event a step waits.
type WaitInfo struct {
	EventName    string
	Expression   *string
	Timeout      time.Time
	FoundEventID *string
	TimedOut     *bool // nil while it is open
}

// SignalInfo says for which signal a step waits.
type SignalInfo struct {
	Signal   string
	Timeout  time.Time
	TimedOut *bool // nil while it is open
}

// RunInfo says what kind of code a step ran, such as step.sendEvent.
type RunInfo struct{ Type *string }

func (InvokeInfo) stepInfo() {}
func (SleepInfo) stepInfo()  {}
func (WaitInfo) stepInfo()   {}
func (SignalInfo) stepInfo() {}
func (RunInfo) stepInfo()    {}
