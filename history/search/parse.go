package search

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"
)

// What a query can be refused for, beside its syntax; the texts are seen by
// users (graphql §10).
var (
	ErrSyntax = errors.New("invalid syntax detected")
	ErrMacro  = errors.New("macros are currently not supported")
)

// maxLength bounds the text of a query, in bytes.
const maxLength = 16 << 10

// Parse reads a query: expressions on separate lines, all of which must hold.
// Comparisons of unknown names are ignored.
func Parse(text string) (Query, error) {
	if len(text) > maxLength {
		return Query{}, fmt.Errorf("query is longer than %d bytes", maxLength)
	}
	var q Query
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		condition, err := parseLine(line)
		if err != nil {
			return Query{}, err
		}
		if condition != nil {
			q.All = append(q.All, condition)
		}
	}
	return q, nil
}

func parseLine(line string) (Condition, error) {
	p, err := parser.NewParser(parser.MaxRecursionDepth(100), parser.ExpressionSizeCodePointLimit(maxLength))
	if err != nil {
		return nil, fmt.Errorf("making the parser: %w", err)
	}
	parsed, problems := p.Parse(common.NewTextSource(line))
	if found := problems.GetErrors(); len(found) > 0 {
		return nil, fmt.Errorf("%s\n | %s\n | %s^", found[0].Message, line, strings.Repeat(".", max(0, found[0].Location.Column())))
	}
	return build(parsed.Expr())
}

// build converts a boolean expression; nil stands for one that is ignored.
func build(e ast.Expr) (Condition, error) {
	if e.Kind() != ast.CallKind {
		return nil, ErrSyntax
	}
	call := e.AsCall()
	if isMacro(call) {
		return nil, ErrMacro
	}
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		return buildLogic(call)
	case operators.LogicalNot:
		inner, err := build(call.Args()[0])
		if err != nil || inner == nil {
			return nil, err
		}
		return Not{inner}, nil
	}
	op, ok := comparisons[call.FunctionName()]
	if !ok {
		return nil, ErrSyntax
	}
	return buildComparison(call, op)
}

func isMacro(call ast.CallExpr) bool {
	switch call.FunctionName() {
	case operators.All, operators.Exists, operators.ExistsOne, operators.Filter, operators.Map:
		return call.IsMemberFunction()
	case operators.Has:
		return !call.IsMemberFunction()
	}
	return false
}

func buildLogic(call ast.CallExpr) (Condition, error) {
	var parts []Condition
	for _, arg := range call.Args() {
		part, err := build(arg)
		if err != nil {
			return nil, err
		}
		if part != nil {
			parts = append(parts, part)
		}
	}
	switch {
	case len(parts) == 0:
		return nil, nil
	case len(parts) == 1:
		return parts[0], nil
	case call.FunctionName() == operators.LogicalAnd:
		return And(parts), nil
	default:
		return Or(parts), nil
	}
}

var comparisons = map[string]Op{
	operators.Equals: Equal, operators.NotEquals: NotEqual, operators.Less: Less,
	operators.LessEquals: LessOrEqual, operators.Greater: Greater, operators.GreaterEquals: GreaterOrEqual,
}

// mirrored is the operator when the two sides are swapped.
var mirrored = map[Op]Op{
	Equal: Equal, NotEqual: NotEqual, Less: Greater, LessOrEqual: GreaterOrEqual, Greater: Less, GreaterOrEqual: LessOrEqual,
}

func buildComparison(call ast.CallExpr, op Op) (Condition, error) {
	left, right := call.Args()[0], call.Args()[1]
	if left.Kind() == ast.LiteralKind {
		left, right, op = right, left, mirrored[op]
	}
	path, ok := pathOf(left)
	if !ok || right.Kind() != ast.LiteralKind {
		if left.Kind() == ast.CallKind && isMacro(left.AsCall()) {
			return nil, ErrMacro
		}
		return nil, ErrSyntax
	}
	value, err := literal(right)
	if err != nil {
		return nil, err
	}
	return compare(path, op, value)
}

// pathOf reads a name and the fields selected from it.
func pathOf(e ast.Expr) ([]string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{e.AsIdent()}, true
	case ast.SelectKind:
		path, ok := pathOf(e.AsSelect().Operand())
		return append(path, e.AsSelect().FieldName()), ok
	default:
		return nil, false
	}
}

func literal(e ast.Expr) (any, error) {
	switch value := e.AsLiteral().(type) {
	case types.String:
		return string(value), nil
	case types.Int:
		return int64(value), nil
	case types.Uint:
		return float64(value), nil
	case types.Double:
		return float64(value), nil
	case types.Bool:
		return bool(value), nil
	case types.Null:
		return nil, nil
	default:
		return nil, ErrSyntax
	}
}

// compare decides what a path means; nil for what nothing is known about.
func compare(path []string, op Op, value any) (Condition, error) {
	subject := Subject(strings.Join(path[:min(2, len(path))], "."))
	switch {
	case subject == EventTime && len(path) == 2:
		if _, ok := value.(int64); !ok {
			return nil, fmt.Errorf("expects '%s' to be an integer: %v", subject, value)
		}
		return Comparison{Subject: subject, Op: op, Value: value}, nil
	case (subject == EventID || subject == EventName || subject == EventVersion) && len(path) == 2:
		return compareColumn(subject, op, value)
	case subject == EventData && len(path) > 2:
		return compareJSON(subject, path[2:], op, value)
	case (path[0] == string(Output) || path[0] == string(Error)) && len(path) > 1:
		return compareJSON(Subject(path[0]), path[1:], op, value)
	default:
		return nil, nil
	}
}

func compareColumn(subject Subject, op Op, value any) (Condition, error) {
	if _, ok := value.(string); !ok {
		return nil, fmt.Errorf("expects '%s' to be a string: %v", subject, value)
	}
	if op != Equal && op != NotEqual {
		return nil, nil
	}
	return Comparison{Subject: subject, Op: op, Value: value}, nil
}

func compareJSON(subject Subject, path []string, op Op, value any) (Condition, error) {
	if op == Equal || op == NotEqual {
		return Comparison{subject, path, op, value}, nil
	}
	switch value.(type) {
	case string:
		return nil, fmt.Errorf("unsupported string operator: _%s_", op)
	case bool:
		return nil, fmt.Errorf("unsupported boolean operator: _%s_", op)
	case nil:
		return nil, fmt.Errorf("unsupported null operator: _%s_ (only == and != are supported for null)", op)
	}
	return Comparison{subject, path, op, value}, nil
}
