package expr

import (
	"fmt"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// The operators that accept any two values (expressions.md §§7, 8). Missing
// operands never reach them.

func equal(left, right ref.Val) ref.Val {
	return types.Equal(left, right)
}

func notEqual(left, right ref.Val) ref.Val {
	return types.Bool(types.Equal(left, right) != types.True)
}

// add is CEL's sum; values of different types that CEL cannot add become the
// concatenation of their texts.
func add(left, right ref.Val) ref.Val {
	if adder, ok := left.(traits.Adder); ok {
		sum := adder.Add(right)
		if !types.IsError(sum) || left.Type() == right.Type() {
			return sum
		}
	}
	if left.Type() == right.Type() {
		return types.NewErr("no such overload")
	}
	return types.String(goText(left) + goText(right))
}

// goText is Go's default formatting of a value.
func goText(v ref.Val) string {
	if s, ok := v.(types.String); ok {
		return string(s)
	}
	return fmt.Sprint(v.Value())
}

func less(order types.Int) bool           { return order < 0 }
func lessOrEqual(order types.Int) bool    { return order <= 0 }
func greater(order types.Int) bool        { return order > 0 }
func greaterOrEqual(order types.Int) bool { return order >= 0 }

// comparison makes an ordering operator; null takes the part of the zero of
// the number or string on the other side.
func comparison(holds func(order types.Int) bool) func(left, right ref.Val) ref.Val {
	return func(left, right ref.Val) ref.Val {
		left, right, ok := replaceNull(left, right)
		if !ok {
			return noResult()
		}
		comparer, ok := left.(traits.Comparer)
		if !ok {
			return types.NewErr("no such overload")
		}
		switch order := comparer.Compare(right).(type) {
		case types.Int:
			return types.Bool(holds(order))
		case *types.Err:
			return order
		default:
			return types.NewErr("no such overload")
		}
	}
}

// replaceNull is not ok for null against what has no zero to compare with.
func replaceNull(left, right ref.Val) (l, r ref.Val, ok bool) {
	_, leftNull := left.(types.Null)
	_, rightNull := right.(types.Null)
	switch {
	case leftNull:
		zero, ok := zeroOf(right)
		return zero, right, ok
	case rightNull:
		zero, ok := zeroOf(left)
		return left, zero, ok
	default:
		return left, right, true
	}
}

func zeroOf(v ref.Val) (ref.Val, bool) {
	switch v.(type) {
	case types.Int:
		return types.Int(0), true
	case types.Uint:
		return types.Uint(0), true
	case types.Double:
		return types.Double(0), true
	case types.String:
		return types.String(""), true
	default:
		return nil, false
	}
}

// truthy follows JavaScript, except that lists and maps are true when empty
// too (expressions.md §9).
func truthy(v ref.Val) bool {
	switch v := v.(type) {
	case types.Bool:
		return bool(v)
	case types.Int:
		return v != 0
	case types.Uint:
		return v != 0
	case types.Double:
		return v != 0
	case types.String:
		return v != ""
	case types.Null, *types.Err, *types.Unknown:
		return false
	default:
		return true
	}
}
