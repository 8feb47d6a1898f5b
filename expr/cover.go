package expr

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// equality is async.path == literal. The literal may be a lifted one, of which
// only the index is known to the program.
type equality struct {
	segments []segment
	lifted   int // index of the literal, or -1 if value holds it
	value    ref.Val
}

// cover is a set of equalities of which one must hold for the expression to be
// true.
type cover []equality

// maxCovers bounds how many covers of an expression are considered.
const maxCovers = 8

// coversOf lists covers of an expression, none if there is no bound on what
// makes it true; literals is how many literals were lifted. Any operand of a
// conjunction covers it; a disjunction needs a cover of each operand.
func coversOf(e ast.Expr, literals int) []cover {
	if e.Kind() != ast.CallKind {
		return nil
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.Equals:
		if eq, ok := equalityOf(call.Args()[0], call.Args()[1], literals); ok {
			return []cover{{eq}}
		}
		if eq, ok := equalityOf(call.Args()[1], call.Args()[0], literals); ok {
			return []cover{{eq}}
		}
	case operators.LogicalAnd:
		covers := append(coversOf(call.Args()[0], literals), coversOf(call.Args()[1], literals)...)
		return covers[:min(len(covers), maxCovers)]
	case operators.LogicalOr:
		left, right := coversOf(call.Args()[0], literals), coversOf(call.Args()[1], literals)
		var covers []cover
		for _, l := range left {
			for _, r := range right {
				covers = append(covers, append(l[:len(l):len(l)], r...))
			}
		}
		return covers[:min(len(covers), maxCovers)]
	}
	return nil
}

func equalityOf(path, literal ast.Expr, literals int) (equality, bool) {
	p, ok := asPath(path)
	if !ok || p.root != asyncVariable || p.presence {
		return equality{}, false
	}
	if literal.Kind() == ast.LiteralKind {
		value := literal.AsLiteral()
		_, ok := literalOf(value)
		return equality{segments: p.segments, lifted: -1, value: value}, ok
	}
	index, ok := liftedIndex(literal, literals)
	return equality{segments: p.segments, lifted: index}, ok
}

// literal returns the equality's value, given the lifted ones.
func (e equality) literal(literals []ref.Val) literal {
	value := e.value
	if e.lifted >= 0 {
		value = literals[e.lifted]
	}
	l, _ := literalOf(value)
	return l
}

// literalKind separates values that are never equal.
type literalKind uint8

const (
	nullLiteral literalKind = iota + 1
	boolLiteral
	numberLiteral
	stringLiteral
)

// literal is a scalar such that two values are equal in CEL exactly if their
// literals are: all numbers compare as doubles.
type literal struct {
	kind   literalKind
	number float64
	text   string
}

// literalOf is not ok for lists, maps and the like, and for a NaN.
func literalOf(v any) (l literal, ok bool) {
	switch v := v.(type) {
	case nil, types.Null:
		return literal{kind: nullLiteral}, true
	case bool:
		return boolOf(v), true
	case types.Bool:
		return boolOf(bool(v)), true
	case float64:
		return literal{kind: numberLiteral, number: v}, v == v
	case types.Double:
		return literal{kind: numberLiteral, number: float64(v)}, v == v
	case types.Int:
		return literal{kind: numberLiteral, number: float64(v)}, true
	case types.Uint:
		return literal{kind: numberLiteral, number: float64(v)}, true
	case string:
		return literal{kind: stringLiteral, text: v}, true
	case types.String:
		return literal{kind: stringLiteral, text: string(v)}, true
	case ref.Val, map[string]any, []any:
		return literal{}, false
	default:
		return literalOf(types.DefaultTypeAdapter.NativeToValue(v))
	}
}

func boolOf(b bool) literal {
	l := literal{kind: boolLiteral}
	if b {
		l.number = 1
	}
	return l
}
