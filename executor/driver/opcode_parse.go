package driver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
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
// The texts of its errors are those of sdk-protocol §9.5.
func ParseOps(body []byte) ([]Opcode, error) {
	ops, err := decodeOps(bytes.TrimSpace(body))
	if err != nil {
		return nil, fmt.Errorf("error reading generator opcode response: %w", err)
	}
	valid := make([]Opcode, len(ops))
	for i, op := range ops {
		if op == nil {
			return nil, fmt.Errorf("error validating generator opcode %d: opcode cannot be null", i)
		}
		if err := op.validate(); err != nil {
			return nil, fmt.Errorf("error validating generator opcode %s: %w", op.ID, err)
		}
		if string(op.Opts) == "null" {
			op.Opts = nil
		}
		valid[i] = *op
	}
	return valid, nil
}

func decodeOps(body []byte) ([]*Opcode, error) {
	if len(body) == 0 {
		return nil, errors.New("no response data")
	}
	var err error
	var ops []*Opcode
	switch body[0] {
	case '[':
		err = json.Unmarshal(body, &ops)
	case '{':
		ops = []*Opcode{{}}
		err = json.Unmarshal(body, ops[0])
	default:
		return nil, errors.New("expected JSON object or array")
	}
	return ops, err
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
	opts := objectIn(o.Opts)
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
	var wire struct{ A, B json.Number }
	if json.Unmarshal(data, &wire) != nil {
		return nil
	}
	if ns := nanoseconds(wire.A); ns > 0 {
		t.Start = time.Unix(0, ns).UTC()
	}
	t.Duration = time.Duration(max(nanoseconds(wire.B), 0))
	return nil
}

func nanoseconds(n json.Number) int64 {
	if whole, err := n.Int64(); err == nil {
		return whole
	}
	if f, err := n.Float64(); err == nil && math.Abs(f) < math.MaxInt64 {
		return int64(f)
	}
	return 0
}

// Userland is the step's id as the user wrote it, before hashing.
type Userland struct {
	ID    string
	Index int // of the repetition, from 0
}

// UnmarshalJSON reads {"id","index"} and ignores anything else: it is for
// display and metadata only.
func (u *Userland) UnmarshalJSON(data []byte) error {
	*u = Userland{}
	var wire struct {
		ID    looseString `json:"id"`
		Index json.Number `json:"index"`
	}
	if json.Unmarshal(data, &wire) != nil {
		return nil
	}
	u.ID = string(wire.ID)
	if index, err := wire.Index.Int64(); err == nil {
		u.Index = int(index)
	}
	return nil
}
