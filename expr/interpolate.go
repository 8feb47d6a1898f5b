package expr

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	"github.com/google/cel-go/parser"
)

// maxTemplates is how many expressions are kept ready for interpolation.
const maxTemplates = 1_000

var templates = newCache[*template](maxTemplates)

// template is an expression ready to have its event filled in.
type template struct {
	tree    *cel.Ast
	program cel.Program
	paths   []eventPath // what the expression reads of the event
}

func newTemplate(text string) (*template, error) {
	tree, err := parse(text)
	if err != nil {
		return nil, err
	}
	program, err := environment().Program(tree,
		cel.EvalOptions(cel.OptPartialEval, cel.OptTrackState, cel.OptExhaustiveEval))
	if err != nil {
		return nil, fmt.Errorf("planning expression: %w", err)
	}
	return &template{tree: tree, program: program, paths: eventPaths(tree.NativeRep().Expr())}, nil
}

// Interpolate replaces what an expression over event and async reads of the
// event, so that it can be stored and matched against later events without it
// (expressions.md §14); vars holds event. A result of "false" can never match.
// Literals are read with their escapes, see CompileInterpolated for evaluating
// the result. On an error the text is returned unchanged: it is still usable,
// its event paths then are missing values.
func Interpolate(text string, vars map[string]any) (string, error) {
	if !strings.Contains(text, eventVariable+".") {
		return text, nil
	}
	t, err := templates.get(text, newTemplate)
	if err != nil {
		return text, err
	}
	residual, err := t.residual(vars[eventVariable])
	if err != nil {
		return text, err
	}
	printed, err := parser.Unparse(residual.Expr(), residual.SourceInfo())
	if err != nil {
		return text, fmt.Errorf("printing expression: %w", err)
	}
	if !strings.Contains(printed, eventVariable+".") {
		return printed, nil
	}
	rewriteMissing(residual.Expr())
	printed, err = parser.Unparse(residual.Expr(), residual.SourceInfo())
	if err != nil {
		return text, fmt.Errorf("printing expression: %w", err)
	}
	return printed, nil
}

// residual evaluates as far as the event allows.
func (t *template) residual(event any) (*ast.AST, error) {
	unknown := []*interpreter.AttributePattern{cel.AttributePattern(asyncVariable)}
	for _, p := range t.paths {
		if _, ok := p.find(event); !ok && !p.target {
			unknown = append(unknown, p.pattern())
		}
	}
	vars, err := cel.PartialVars(map[string]any{eventVariable: event}, unknown...)
	if err != nil {
		return nil, fmt.Errorf("preparing variables: %w", err)
	}
	_, details, err := t.program.Eval(vars)
	if err != nil {
		return nil, err
	}
	tree := t.tree.NativeRep()
	// The pruned tree shares nodes with this one, which is shared by all.
	// Pruning deletes from the macro calls that it is given.
	macros := maps.Clone(tree.SourceInfo().MacroCalls())
	pruned := ast.Copy(interpreter.PruneAst(tree.Expr(), macros, details.State()))
	complete(pruned.Expr(), event)
	for _, macro := range pruned.SourceInfo().MacroCalls() {
		complete(macro, event)
	}
	return pruned, nil
}

// complete fills in event paths that evaluation does not reach (inside macros
// and indices), and puts maps into the order of their keys.
func complete(root ast.Expr, event any) {
	factory := ast.NewExprFactory()
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.MapKind:
			entries := slices.Clone(e.AsMap().Entries())
			slices.SortStableFunc(entries, func(a, b ast.EntryExpr) int { return cmp.Compare(entryKey(a), entryKey(b)) })
			e.SetKindCase(factory.NewMap(e.ID(), entries))
		case ast.SelectKind, ast.CallKind:
			p, ok := asPath(e)
			if !ok || p.root != eventVariable || p.presence {
				return
			}
			if v, ok := p.find(event); ok {
				if literal, ok := scalar(v); ok {
					e.SetKindCase(factory.NewLiteral(e.ID(), literal))
				}
			}
		}
	}))
}

func entryKey(e ast.EntryExpr) string {
	key := e.AsMapEntry().Key()
	if key.Kind() != ast.LiteralKind {
		return ""
	}
	return goText(key.AsLiteral())
}

func scalar(v any) (ref.Val, bool) {
	switch value := types.DefaultTypeAdapter.NativeToValue(v).(type) {
	case types.Bool, types.Double, types.Int, types.Uint, types.String, types.Null:
		return value, true
	default:
		return nil, false
	}
}

// flipped is the operator that compares the same with its operands exchanged.
var flipped = map[string]string{
	operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
	operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
	operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
}

// rewriteMissing makes comparisons of a missing event path comparisons with
// null, and puts the literals of the others to the right.
func rewriteMissing(e ast.Expr) {
	if e.Kind() != ast.CallKind {
		return
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
		for _, arg := range call.Args() {
			rewriteMissing(arg)
		}
		return
	}
	flip, comparison := flipped[call.FunctionName()]
	if !comparison {
		return
	}
	factory := ast.NewExprFactory()
	left, right := call.Args()[0], call.Args()[1]
	leftPath, leftIsPath := asPath(left)
	rightPath, rightIsPath := asPath(right)
	null := func(of ast.Expr) ast.Expr { return factory.NewLiteral(of.ID(), types.NullValue) }
	switch {
	case leftIsPath && leftPath.root == eventVariable && rightIsPath && rightPath.root == asyncVariable:
		e.SetKindCase(factory.NewCall(e.ID(), call.FunctionName(), right, null(left)))
	case leftIsPath && leftPath.root == eventVariable && right.Kind() == ast.LiteralKind:
		e.SetKindCase(factory.NewCall(e.ID(), call.FunctionName(), null(left), right))
	case left.Kind() == ast.LiteralKind && rightIsPath && rightPath.root == asyncVariable:
		e.SetKindCase(factory.NewCall(e.ID(), flip, right, left))
	}
}
