package driver

import (
	"encoding/json"
	"fmt"

	"jetstep/jcs"
)

// RunError is the error object of a failed run (sdk-protocol §15.5), as it is
// stored and as inngest/function.finished carries it.
type RunError struct {
	Error   string // the SDK's own error text, else what the driver says
	Name    string
	Message string
	Stack   string          // "" if there is none
	Cause   json.RawMessage // nil if there is none
}

// JSON is the canonical form of the error object.
func (e *RunError) JSON() json.RawMessage {
	b := append(make([]byte, 0, 128+len(e.Message)+len(e.Stack)+len(e.Cause)), '{')
	b = appendOptional(b, "cause", e.Cause)
	b = jcs.AppendString(append(b, `"error":`...), e.Error)
	b = jcs.AppendString(append(b, `,"message":`...), e.Message)
	b = jcs.AppendString(append(b, `,"name":`...), e.Name)
	if e.Stack != "" {
		b = jcs.AppendString(append(b, `,"stack":`...), e.Stack)
	}
	return append(b, '}')
}

// MarshalJSON implements json.Marshaler.
func (e *RunError) MarshalJSON() ([]byte, error) { return e.JSON(), nil }

// maxNestedError is the longest JSON text, in bytes, that is looked into for
// an error object.
const maxNestedError = 32 << 10

// newRunError builds the error object from a failed call's output (§9.4):
// the object in its error or body, else the output itself, else its text.
// text stands in when the output has no error text of its own.
func newRunError(output json.RawMessage, text string) *RunError {
	e := &RunError{Error: text, Name: "Error", Message: "Function execution error"}
	fields := jcs.Object(output)
	if fields == nil {
		if message, ok := jcs.Text(output); ok && message != "" {
			e.Message = message
		}
		return e
	}
	for _, name := range []string{"error", "body"} {
		if inner := nestedObject(fields[name]); inner != nil {
			fields = inner
			break
		}
	}
	overwrite := func(into *string, name string) {
		if value, ok := jcs.Text(fields[name]); ok && value != "" {
			*into = value
		}
	}
	overwrite(&e.Error, "error")
	overwrite(&e.Name, "name")
	overwrite(&e.Message, "message")
	overwrite(&e.Stack, "stack")
	if cause := fields["cause"]; len(cause) > 0 && string(cause) != "null" {
		e.Cause = cause
	}
	return e
}

// nestedObject returns the members of raw if it is an object, or a string
// that holds one.
func nestedObject(raw json.RawMessage) map[string]json.RawMessage {
	if text, ok := jcs.Text(raw); ok {
		if len(text) > maxNestedError {
			return nil
		}
		raw = json.RawMessage(text)
	}
	return jcs.Object(raw)
}

// UserError is a step's error in the normalised form that is stored in its
// memo (sdk-protocol §11.3); other members that an SDK sends are dropped.
type UserError struct {
	Name    string
	Message string
	Stack   string          // "" if there is none
	Data    json.RawMessage // fallback value of some SDKs, nil if absent; the Go SDK needs its null back
	Cause   json.RawMessage // nil if there is none
	NoRetry bool            // set by the executor, never read from the SDK
}

// UnmarshalJSON reads an SDK's error. It takes what it finds: a bare string is
// a message, and a text of another type is kept as its JSON.
func (e *UserError) UnmarshalJSON(data []byte) error {
	*e = UserError{}
	if jcs.FirstByte(data) != '{' {
		e.Name, e.Message = "Error", jcs.LooseText(data)
		return nil
	}
	for name, value := range jcs.Members(data) {
		switch string(name) {
		case "name":
			e.Name = jcs.LooseText(value)
		case "message":
			e.Message = jcs.LooseText(value)
		case "stack":
			e.Stack = jcs.LooseText(value)
		case "data":
			e.Data = value
		case "cause":
			e.Cause = unlessNull(value)
		}
	}
	return nil
}

// JSON is the canonical form of the error.
func (e *UserError) JSON() json.RawMessage {
	b := append(make([]byte, 0, 96+len(e.Message)+len(e.Stack)+len(e.Data)+len(e.Cause)), '{')
	b = appendOptional(b, "cause", e.Cause)
	b = appendOptional(b, "data", e.Data)
	b = jcs.AppendString(append(b, `"message":`...), e.Message)
	b = jcs.AppendString(append(b, `,"name":`...), e.Name)
	if e.NoRetry {
		b = append(b, `,"noRetry":true`...)
	}
	if e.Stack != "" {
		b = jcs.AppendString(append(b, `,"stack":`...), e.Stack)
	}
	return append(b, '}')
}

// MarshalJSON implements json.Marshaler.
func (e *UserError) MarshalJSON() ([]byte, error) { return e.JSON(), nil }

func unlessNull(raw json.RawMessage) json.RawMessage {
	if jcs.IsNull(raw) {
		return nil
	}
	return raw
}

// appendOptional appends `"name":<canonical raw>,` unless raw is nil. A value
// with no canonical form, such as the number 1e999, is left out.
func appendOptional(b []byte, name string, raw json.RawMessage) []byte {
	if raw == nil {
		return b
	}
	canonical, err := jcs.Canonicalize(raw)
	if err != nil {
		return b
	}
	b = append(jcs.AppendString(b, name), ':')
	return append(append(b, canonical...), ',')
}

// FatalError fails the run at once, whatever attempts remain (§15.4).
type FatalError struct {
	Name    string // of the run's error, as InngestErrTimeoutTooLong
	Message string
}

func (e *FatalError) Error() string { return fmt.Sprintf("%s: %s", e.Name, e.Message) }

// RunError is the error object of the run that failed with e.
func (e *FatalError) RunError() *RunError {
	return &RunError{Error: e.Name, Name: e.Name, Message: e.Message}
}

// Names of errors that fail a run at once.
const (
	NameOverflowed        = "InngestErrFunctionOverflowed"
	NameStateOverflowed   = "InngestErrStateOverflowed"
	NameTimeoutTooLong    = "InngestErrTimeoutTooLong"
	NameInvalidExpression = "InvalidExpression"
	NameCompileError      = "CompileError"
)
