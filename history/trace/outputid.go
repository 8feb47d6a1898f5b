package trace

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// OutputRef says where an output is stored. Clients hold it as an opaque text
// and hand it back (graphql §11).
type OutputRef struct {
	AccountID  string `json:"acctID"`
	EnvID      string `json:"wsID"`
	AppID      string `json:"appID"`
	FunctionID string `json:"fnID"`
	TraceID    string `json:"tid"`           // of the table traces, else empty
	SpanID     string `json:"sid"`           // of the row with the output
	RunID      string `json:"rid,omitempty"` // of the table spans, as all below
	Preview    bool   `json:"preview,omitempty"`
	InputID    string `json:"in_sid,omitempty"` // of the row with the input
}

const nilUUID = "00000000-0000-0000-0000-000000000000"

// What is wrong with an output id; the texts are those of the original.
var (
	ErrNoSpanID  = errors.New("spanID is required to retrieve output")
	ErrNoTraceID = errors.New("traceID is required to retrieve output")
	ErrNoSpanIDs = errors.New("span ID or input span ID is required to retrieve output")
	ErrNoRunID   = errors.New("run ID is required to retrieve span output")
)

func outputID(s *span, withInput bool) string {
	ref := OutputRef{SpanID: s.outputFrom, RunID: s.first.RunID}
	if withInput {
		ref.InputID = s.inputFrom
	}
	return ref.Encode()
}

// Encode is the opaque form of a reference into the table spans.
func (r OutputRef) Encode() string {
	r.AccountID, r.EnvID, r.AppID, r.FunctionID, r.Preview = nilUUID, nilUUID, nilUUID, nilUUID, true
	text, _ := json.Marshal(r) // of strings
	return base64.StdEncoding.EncodeToString(text)
}

// ParseOutputID reads an output id and checks that it is complete.
func ParseOutputID(id string) (OutputRef, error) {
	var ref OutputRef
	text, err := base64.StdEncoding.DecodeString(id)
	if err != nil {
		return ref, fmt.Errorf("error parsing span identifier: %w", err)
	}
	if err := json.Unmarshal(text, &ref); err != nil {
		return ref, fmt.Errorf("error parsing span identifier: %w", err)
	}
	return ref, ref.check()
}

func (r OutputRef) check() error {
	switch {
	case r.Preview && r.SpanID == "" && r.InputID == "":
		return ErrNoSpanIDs
	case r.Preview && r.RunID == "":
		return ErrNoRunID
	case !r.Preview && r.TraceID == "":
		return ErrNoTraceID
	case !r.Preview && r.SpanID == "":
		return ErrNoSpanID
	default:
		return nil
	}
}
