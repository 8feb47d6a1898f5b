package expr

import (
	"strings"
	"sync"

	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Names under which calls are planned that CEL would plan in its own way.
const (
	callEquals       = "@equals"
	callNotEquals    = "@not_equals"
	callAnd          = "@and"
	callOr           = "@or"
	callConditional  = "@conditional"
	callLoopContinue = "@loop_continue"
	callStrictNot    = "@strict_not"
)

// dispatcher finds the implementation of each call. All of them accept errors
// as arguments and apply the rules for missing values (expressions.md §6)
// before CEL's own implementation.
type dispatcher struct {
	overloads map[string]*functions.Overload
}

var dialect = sync.OnceValue(func() *dispatcher {
	d := &dispatcher{overloads: map[string]*functions.Overload{}}
	for name, declaration := range environment().Functions() {
		bindings, err := declaration.Bindings()
		if err != nil {
			panic("expr: " + err.Error()) // the declarations are constants
		}
		for _, binding := range bindings {
			if binding.Operator == name {
				d.overloads[name] = lenient(name, binding)
			}
		}
	}
	d.overloads[callEquals] = d.overloads[operators.Equals]
	d.overloads[callNotEquals] = d.overloads[operators.NotEquals]
	// The logic operators are replaced when a program is planned; the planner
	// only needs to see that the functions exist.
	for _, name := range []string{callAnd, callOr, callConditional} {
		d.overloads[name] = lenient(name, nil)
	}
	d.overloads[callLoopContinue] = &functions.Overload{Operator: callLoopContinue, NonStrict: true, Unary: loopContinue}
	d.overloads[callStrictNot] = &functions.Overload{Operator: callStrictNot, Unary: strictNot}
	return d
})

// FindOverload gives unknown functions an implementation too, since they must
// see missing arguments; qualified names never are functions.
func (d *dispatcher) FindOverload(name string) (*functions.Overload, bool) {
	if overload, ok := d.overloads[name]; ok {
		return overload, true
	}
	if strings.Contains(name, ".") {
		return nil, false
	}
	return lenient(name, nil), true
}

// has tells whether the function exists.
func (d *dispatcher) has(name string) bool {
	_, ok := d.overloads[name]
	return ok
}

// Add is part of the planner's interface; the dialect is complete.
func (d *dispatcher) Add(...*functions.Overload) error { return nil }

// OverloadIds lists the implemented functions.
func (d *dispatcher) OverloadIds() []string {
	names := make([]string, 0, len(d.overloads))
	for name := range d.overloads {
		names = append(names, name)
	}
	return names
}

// lenient wraps CEL's implementation of a function, which is nil for a
// function that does not exist.
func lenient(name string, natural *functions.Overload) *functions.Overload {
	whenMissing := missingRule(name)
	overload := &functions.Overload{
		Operator:  name,
		NonStrict: true,
		Unary: func(arg ref.Val) ref.Val {
			if isFatal(arg) {
				return arg
			}
			if isMissing(arg) {
				return whenMissing(arg, nil)
			}
			return invoke(name, natural, arg)
		},
		Binary: func(left, right ref.Val) ref.Val {
			if isFatal(left) {
				return left
			}
			if isFatal(right) {
				return right
			}
			if isMissing(left) || isMissing(right) {
				return whenMissing(left, right)
			}
			return invoke(name, natural, left, right)
		},
	}
	if natural == nil || natural.Function != nil {
		overload.Function = func(args ...ref.Val) ref.Val {
			// The rules for missing values look at two arguments only.
			for _, arg := range args[:min(len(args), 2)] {
				if isFatal(arg) {
					return arg
				}
				if isMissing(arg) {
					return types.False
				}
			}
			return invoke(name, natural, args...)
		}
	}
	return overload
}

// invoke calls CEL's implementation as its interpreter does, falling back to
// the method of the first argument. Only existing functions have no argument.
func invoke(name string, natural *functions.Overload, args ...ref.Val) ref.Val {
	if len(args) == 0 {
		return natural.Function()
	}
	if natural != nil && (natural.OperandTrait == 0 || args[0].Type().HasTrait(natural.OperandTrait)) {
		switch {
		case len(args) == 1 && natural.Unary != nil:
			return natural.Unary(args[0])
		case len(args) == 2 && natural.Binary != nil:
			return natural.Binary(args[0], args[1])
		case natural.Function != nil:
			return natural.Function(args...)
		}
	}
	if args[0].Type().HasTrait(traits.ReceiverType) {
		return args[0].(traits.Receiver).Receive(name, "", args[1:])
	}
	return types.NewErr("no such overload: %s", name)
}

// missingRule is what a call gives when one of its arguments is missing; right
// is nil for a call with one argument.
func missingRule(name string) func(left, right ref.Val) ref.Val {
	switch name {
	case operators.Equals:
		return func(left, right ref.Val) ref.Val { return types.Bool(otherIsNull(left, right)) }
	case operators.NotEquals:
		return func(left, right ref.Val) ref.Val { return types.Bool(!otherIsNull(left, right)) }
	case operators.Less, operators.LessEquals:
		return func(left, _ ref.Val) ref.Val { return types.Bool(isMissing(left)) }
	case operators.Greater, operators.GreaterEquals:
		return func(_, right ref.Val) ref.Val { return types.Bool(isMissing(right)) }
	case operators.Add:
		return presentOperand
	case "size":
		return func(_, _ ref.Val) ref.Val { return types.Int(0) }
	default:
		return func(_, _ ref.Val) ref.Val { return types.False }
	}
}

func otherIsNull(left, right ref.Val) bool {
	_, leftNull := left.(types.Null)
	_, rightNull := right.(types.Null)
	return leftNull || rightNull
}

func presentOperand(left, right ref.Val) ref.Val {
	switch {
	case !isMissing(left):
		return left
	case !isMissing(right):
		return right
	default:
		return types.False
	}
}

// loopContinue decides whether a macro goes on to its next element. An element
// without a value must not end the search.
func loopContinue(condition ref.Val) ref.Val {
	if b, ok := condition.(types.Bool); ok {
		return b
	}
	return types.True
}

// strictNot is the negation that macros make of their own accumulator.
func strictNot(v ref.Val) ref.Val {
	if b, ok := v.(types.Bool); ok {
		return !b
	}
	return types.MaybeNoSuchOverloadErr(v)
}
