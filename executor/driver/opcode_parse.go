package driver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"jetstep/jcs"
)

// Limits of an answer (sdk-protocol §21).
const (
	// MaxStepOutput bounds a step's output with its {"data":…} wrapper, bytes.
	MaxStepOutput = 4 << 20
	// MaxStepInput bounds a step's input, bytes.
	MaxStepInput = 4 << 20
	// MaxOps is the most ops one answer, and steps one run, may have.
	MaxOps = 1000
)

// ParseOps reads the ops of a 206 answer: an array, or one op as an object.
// The ops keep parts of body. The texts of its errors are those of
// sdk-protocol §9.5.
func ParseOps(body []byte) ([]Opcode, error) {
	raws, err := splitOps(body)
	if err != nil {
		return nil, readError(err)
	}
	ops := make([]Opcode, len(raws))
	for i, raw := range raws {
		if string(raw) == "null" {
			return nil, fmt.Errorf("error validating generator opcode %d: opcode cannot be null", i)
		}
		op := &ops[i]
		if err := op.UnmarshalJSON(raw); err != nil {
			return nil, readError(err)
		}
		if err := op.validate(); err != nil {
			return nil, fmt.Errorf("error validating generator opcode %s: %w", op.ID, err)
		}
	}
	return ops, nil
}

func readError(err error) error {
	return fmt.Errorf("error reading generator opcode response: %w", err)
}

func splitOps(body []byte) ([]json.RawMessage, error) {
	first := jcs.FirstByte(body)
	switch {
	case first == 0 && len(bytes.TrimSpace(body)) == 0:
		return nil, errors.New("no response data")
	case first != '[' && first != '{':
		return nil, errors.New("expected JSON object or array")
	case !json.Valid(body):
		// Only encoding/json can say what is wrong.
		return nil, json.Unmarshal(body, new(json.RawMessage))
	case first == '{':
		return []json.RawMessage{body}, nil
	}
	return slices.Collect(jcs.Elements(body)), nil
}

// UnmarshalJSON reads one op. Unknown members are ignored: SDKs leak their
// internals into checkpointed ops.
func (o *Opcode) UnmarshalJSON(data []byte) error {
	*o = Opcode{}
	if jcs.FirstByte(data) != '{' {
		return fmt.Errorf("opcode should be an object, got %.32s", data)
	}
	for name, value := range jcs.Members(data) {
		if err := o.set(string(name), value); err != nil {
			return err
		}
	}
	return nil
}

func (o *Opcode) set(name string, value json.RawMessage) error {
	switch name {
	case "op":
		return o.Op.UnmarshalJSON(value)
	case "id":
		return setText(&o.ID, name, value)
	case "name":
		return setText(&o.Name, name, value)
	case "displayName":
		o.DisplayName = jcs.LooseText(value)
	case "opts":
		o.Opts = unlessNull(value)
	case "data":
		o.Data = value
	case "error":
		if !jcs.IsNull(value) {
			o.Error = new(UserError)
			return o.Error.UnmarshalJSON(value)
		}
	case "timing":
		return o.Timing.UnmarshalJSON(value)
	case "userland":
		return o.Userland.UnmarshalJSON(value)
	case "metadata":
		o.Metadata = unlessNull(value)
	}
	return nil
}

func setText(into *string, name string, value json.RawMessage) error {
	text, ok := jcs.Text(value)
	if !ok && !jcs.IsNull(value) {
		return fmt.Errorf("opcode %s should be a string, got %.32s", name, value)
	}
	*into = text
	return nil
}

func (o *Opcode) validate() error {
	if o.outputSize() > MaxStepOutput {
		return errors.New("step output size is greater than the limit")
	}
	if o.inputSize() > MaxStepInput {
		return errors.New("step input size is greater than the limit")
	}
	return nil
}

func (o *Opcode) outputSize() int {
	if o.Error != nil {
		return len(`{"error":}`) + len(o.Error.JSON())
	}
	return len(`{"data":}`) + len(o.Data)
}

func (o *Opcode) inputSize() int {
	if len(o.Opts) <= MaxStepInput {
		return 0 // what is inside is shorter still
	}
	opts := jcs.Object(o.Opts)
	switch o.Op {
	case OpStep, OpStepRun:
		return len(opts["input"])
	case OpAIGateway:
		return len(opts["body"])
	}
	return 0
}

// Timing is when a step ran, as the SDK says. The zero value is unknown.
type Timing struct {
	Start    time.Time
	Duration time.Duration
}

// UnmarshalJSON reads {"a":<unix ns>,"b":<ns>}. Timing is for display: what
// cannot be read is unknown, not an error.
func (t *Timing) UnmarshalJSON(data []byte) error {
	*t = Timing{}
	if jcs.FirstByte(data) != '{' {
		return nil
	}
	for name, value := range jcs.Members(data) {
		switch string(name) {
		case "a":
			if ns := integerIn(value); ns > 0 {
				t.Start = time.Unix(0, ns).UTC()
			}
		case "b":
			t.Duration = time.Duration(max(integerIn(value), 0))
		}
	}
	return nil
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (t Timing) MarshalJSON() ([]byte, error) {
	start := int64(0)
	if !t.Start.IsZero() {
		start = t.Start.UnixNano()
	}
	return fmt.Appendf(nil, `{"a":%d,"b":%d}`, start, int64(t.Duration)), nil
}

// integerIn is the integer part of a number, 0 if raw is none or too large.
func integerIn(raw json.RawMessage) int64 {
	if whole, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return whole
	}
	if f, err := strconv.ParseFloat(string(raw), 64); err == nil && math.Abs(f) < math.MaxInt64 {
		return int64(f)
	}
	return 0
}

// Userland is the step's id as the user wrote it, before hashing.
type Userland struct {
	ID    string `json:"id"`
	Index int    `json:"index,omitempty"` // of the repetition, from 0
}

// UnmarshalJSON reads {"id","index"} and ignores anything else: it is for
// display and metadata only.
func (u *Userland) UnmarshalJSON(data []byte) error {
	*u = Userland{}
	if jcs.FirstByte(data) != '{' {
		return nil
	}
	for name, value := range jcs.Members(data) {
		switch string(name) {
		case "id":
			u.ID, _ = jcs.Text(value)
		case "index":
			u.Index = int(integerIn(value))
		}
	}
	return nil
}
