package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"jetstep/jcs"
)

// OpCode tells what an SDK asks for. Names go over the wire; the numbers are
// used in stored data (sdk-protocol §11.1).
type OpCode uint8

// The catalogue of §11.1.
const (
	OpNone OpCode = iota
	OpStep
	OpStepRun
	OpStepError
	OpStepPlanned
	OpSleep
	OpWaitForEvent
	OpInvokeFunction
	OpAIGateway
	OpGateway
	OpWaitForSignal
	OpRunComplete
	OpStepFailed
	OpSyncRunComplete
	OpDiscoveryRequest
	OpDeferAdd
	OpDeferAbort
)

var opNames = [...]string{
	OpNone:             "None",
	OpStep:             "Step",
	OpStepRun:          "StepRun",
	OpStepError:        "StepError",
	OpStepPlanned:      "StepPlanned",
	OpSleep:            "Sleep",
	OpWaitForEvent:     "WaitForEvent",
	OpInvokeFunction:   "InvokeFunction",
	OpAIGateway:        "AIGateway",
	OpGateway:          "Gateway",
	OpWaitForSignal:    "WaitForSignal",
	OpRunComplete:      "RunComplete",
	OpStepFailed:       "StepFailed",
	OpSyncRunComplete:  "SyncRunComplete",
	OpDiscoveryRequest: "DiscoveryRequest",
	OpDeferAdd:         "DeferAdd",
	OpDeferAbort:       "DeferAbort",
}

// opsByName has every accepted spelling: exact case and all lower case.
var opsByName = func() map[string]OpCode {
	byName := make(map[string]OpCode, 2*len(opNames))
	for op, name := range opNames {
		byName[name] = OpCode(op)
		byName[strings.ToLower(name)] = OpCode(op)
	}
	return byName
}()

// ErrUnknownOpCode is wrapped by ParseOpCode.
var ErrUnknownOpCode = errors.New("does not belong to Opcode values")

// ParseOpCode reads a name of the catalogue, in exact or all lower case.
func ParseOpCode(name string) (OpCode, error) {
	if op, ok := opsByName[name]; ok {
		return op, nil
	}
	return OpNone, fmt.Errorf("%s %w", name, ErrUnknownOpCode)
}

// String is the name on the wire.
func (o OpCode) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("OpCode(%d)", uint8(o))
}

// MarshalText implements encoding.TextMarshaler.
func (o OpCode) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalJSON reads a name; numbers are refused although stored data has
// them (sdk-protocol §9.5).
func (o *OpCode) UnmarshalJSON(data []byte) error {
	if plain, ok := jcs.PlainString(data); ok {
		if op, ok := opsByName[string(plain)]; ok {
			*o = op
			return nil
		}
	}
	name, ok := jcs.Text(data)
	if !ok {
		// The text is fixed by §9.5.
		return fmt.Errorf("Opcode should be a string, got %s", data)
	}
	op, err := ParseOpCode(name)
	*o = op
	return err
}

// Plan tells whether the op only announces work that ends later; it takes
// part in coalescing (§14.3).
func (o OpCode) Plan() bool {
	switch o {
	case OpStepPlanned, OpSleep, OpWaitForEvent, OpInvokeFunction, OpAIGateway, OpGateway, OpWaitForSignal:
		return true
	}
	return false
}

// Sync tells whether the op leaves a run that checkpoints synchronous.
func (o OpCode) Sync() bool {
	switch o {
	case OpStep, OpStepRun, OpRunComplete, OpStepFailed, OpSyncRunComplete, OpDeferAdd, OpDeferAbort:
		return true
	}
	return false
}

// Lazy tells whether the op is no step: it neither forces step planning nor
// is it ever pending.
func (o OpCode) Lazy() bool { return o == OpDeferAdd || o == OpDeferAbort }

// Priority tells whether the op is handled before those that are not, so that
// waits exist before anything that could fulfil them.
func (o OpCode) Priority() bool { return o == OpWaitForEvent || o.Lazy() }

// ParallelMode says when parallel steps lead to a discovery (§14.5).
type ParallelMode uint8

// The modes of §14.5: wait for all, or continue after each.
const (
	ParallelNone ParallelMode = iota
	ParallelWait
	ParallelRace
)

// Opcode is one op of an SDK's answer (sdk-protocol §11.2).
type Opcode struct {
	Op          OpCode          `json:"op"`
	ID          string          `json:"id"` // hashed step id
	Name        string          `json:"name"`
	DisplayName string          `json:"displayName"`
	Opts        json.RawMessage `json:"opts"`  // nil if absent or null
	Data        json.RawMessage `json:"data"`  // raw, nil if absent
	Error       *UserError      `json:"error"` // nil if absent or null
	Timing      Timing          `json:"timing"`
	Userland    Userland        `json:"userland"`
	Metadata    json.RawMessage `json:"metadata"` // raw, for history only
}

// DisplayNameOrFallback is the name to show: displayName, name, or id.
func (o *Opcode) DisplayNameOrFallback() string {
	switch {
	case o.DisplayName != "":
		return o.DisplayName
	case o.Name != "":
		return o.Name
	}
	return o.ID
}

// ParallelMode is the op's opts.parallelMode.
func (o *Opcode) ParallelMode() ParallelMode {
	mode, _ := jcs.Text(o.option("parallelMode"))
	switch strings.ToLower(mode) {
	case "wait":
		return ParallelWait
	case "race":
		return ParallelRace
	}
	return ParallelNone
}

// Type is opts.type, as "step.sendEvent"; "" if the SDK names none.
func (o *Opcode) Type() string {
	text, _ := jcs.Text(o.option("type"))
	return text
}

// Input is what the step was given, for the history: the arguments of a step
// that runs, the body of an AI request; nil if the SDK does not say.
func (o *Opcode) Input() json.RawMessage {
	if o.Op == OpAIGateway {
		return unlessNull(o.option("body"))
	}
	return unlessNull(o.option("input"))
}

// option is a member of opts, whose name matches in any case; nil if there is
// none. It is asked for on every call, and so not decoded with the others.
func (o *Opcode) option(name string) (found json.RawMessage) {
	const shortest = len(`{"":0}`)
	if len(o.Opts) < shortest || o.Opts[0] != '{' {
		return nil
	}
	for member, value := range jcs.Members(o.Opts) {
		if len(member) == len(name) && strings.EqualFold(string(member), name) {
			found = value
		}
	}
	return found
}

// AI tells whether the op marks its run as one that uses AI.
func (o *Opcode) AI() bool { return o.Op == OpAIGateway || o.Type() == "step.ai.wrap" }

// looseString is a string that ignores JSON values of other types.
type looseString string

func (s *looseString) UnmarshalJSON(data []byte) error {
	text, _ := jcs.Text(data)
	*s = looseString(text)
	return nil
}
