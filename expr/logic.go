package expr

import (
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// replaceLogic plans the logic operators, which give one of their operands as
// in JavaScript (expressions.md §9). Evaluating the second operand only when
// it decides cannot be observed, as errors are values.
func replaceLogic(node interpreter.Interpretable) (interpreter.Interpretable, error) {
	call, ok := node.(interpreter.InterpretableCall)
	if !ok {
		return node, nil
	}
	args := call.Args()
	switch call.Function() {
	case callAnd:
		return &and{logic{call.ID(), args}}, nil
	case callOr:
		return &or{logic{call.ID(), args}}, nil
	case callConditional:
		return &conditional{logic{call.ID(), args}}, nil
	default:
		return node, nil
	}
}

type logic struct {
	id   int64
	args []interpreter.Interpretable
}

// ID is the operator's node.
func (l *logic) ID() int64 { return l.id }

// and gives the first falsy operand, else the last.
type and struct{ logic }

func (n *and) Eval(vars interpreter.Activation) (v ref.Val) {
	for _, arg := range n.args {
		if v = arg.Eval(vars); !truthy(v) {
			return v
		}
	}
	return v
}

// or gives the first truthy operand, else the last.
type or struct{ logic }

func (n *or) Eval(vars interpreter.Activation) (v ref.Val) {
	for _, arg := range n.args {
		if v = arg.Eval(vars); truthy(v) {
			return v
		}
	}
	return v
}

// conditional accepts a condition of any type.
type conditional struct{ logic }

func (n *conditional) Eval(vars interpreter.Activation) ref.Val {
	if truthy(n.args[0].Eval(vars)) {
		return n.args[1].Eval(vars)
	}
	return n.args[2].Eval(vars)
}
