package expr

import (
	"fmt"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// plan is what the planner must know of a tree beyond its nodes.
type plan struct {
	factory   ast.ExprFactory
	literals  int            // lifted from the text
	inLiteral map[int64]bool // identifiers inside list and map literals
	presence  map[int64]bool // selects of has()
	err       error
}

// newPlan renames, in the tree, the calls that the dialect plans itself and
// the paths of lifted literals, and notes where its identifiers are.
func newPlan(root ast.Expr, literals int) (*plan, error) {
	p := &plan{factory: ast.NewExprFactory(), literals: literals, inLiteral: map[int64]bool{}, presence: map[int64]bool{}}
	ast.PostOrderVisit(root, ast.NewExprVisitor(p.visit))
	return p, p.err
}

func (p *plan) visit(e ast.Expr) {
	switch e.Kind() {
	case ast.CallKind:
		p.visitCall(e)
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			p.presence[e.ID()] = true
		} else if index, ok := liftedIndex(e, p.literals); ok {
			e.SetKindCase(p.factory.NewIdent(e.ID(), literalName(index)))
		}
	case ast.ListKind, ast.MapKind:
		ast.PostOrderVisit(e, ast.NewExprVisitor(func(inner ast.Expr) {
			if inner.Kind() == ast.IdentKind {
				p.inLiteral[inner.ID()] = true
			}
		}))
	}
}

var renamedCalls = map[string]string{
	operators.Equals:           callEquals,
	operators.NotEquals:        callNotEquals,
	operators.LogicalAnd:       callAnd,
	operators.LogicalOr:        callOr,
	operators.Conditional:      callConditional,
	operators.NotStrictlyFalse: callLoopContinue,
}

func (p *plan) visitCall(e ast.Expr) {
	call := e.AsCall()
	if call.IsMemberFunction() {
		return
	}
	if len(call.Args()) == 0 && !dialect().has(call.FunctionName()) {
		// There is no value that could have it as a method.
		p.err = fmt.Errorf("no such overload: %s()", call.FunctionName())
		return
	}
	name, ok := renamedCalls[call.FunctionName()]
	if !ok {
		return
	}
	if name == callLoopContinue && call.Args()[0].Kind() == ast.CallKind {
		not := call.Args()[0]
		if not.AsCall().FunctionName() == operators.LogicalNot {
			not.SetKindCase(p.factory.NewCall(not.ID(), callStrictNot, not.AsCall().Args()...))
		}
	}
	e.SetKindCase(p.factory.NewCall(e.ID(), name, call.Args()...))
}

// liftedIndex is which of the lifted literals an expression stands for.
func liftedIndex(e ast.Expr, literals int) (index int, ok bool) {
	path, ok := asPath(e)
	if !ok || path.root != varsVariable || path.presence || len(path.segments) != 1 || len(path.segments[0].field) != 1 {
		return 0, false
	}
	index = int(path.segments[0].field[0]) - 'a'
	return index, index >= 0 && index < literals
}
