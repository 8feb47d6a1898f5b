package trace

import (
	"encoding/json"
	"time"
)

// Row is one row of the table spans (database §11.1): a span, or an extension
// that knows more about the span with the same DynamicID.
type Row struct {
	SpanID    string
	TraceID   string
	ParentID  string // a SpanID or a DynamicID; NoParent or empty for a run
	DynamicID string
	Name      string // database §11.2

	Start, End time.Time

	Attributes json.RawMessage // an object, or a JSON string that holds one
	Output     json.RawMessage // nil for SQL NULL, as the others below
	Input      json.RawMessage

	RunID, AppID, FunctionID   string
	DebugRunID, DebugSessionID string
}

// Names of rows (database §11.2).
const (
	NameRun       = "executor.run"
	NameDiscovery = "executor.step.discovery"
	NameExecution = "executor.execution"
	NameStep      = "executor.step"
	NameNonStep   = "executor.nonstep"
	NameDefer     = "executor.defer"
	NameMetadata  = "metadata"
	NameUserland  = "userland"
	NameExtension = "EXTEND"
)

const executorPrefix = "executor."
