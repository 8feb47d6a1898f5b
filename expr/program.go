package expr

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/containers"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// program is a planned expression without its literals: expressions that
// differ only in them share one. It is safe for concurrent use.
type program struct {
	root   interpreter.Interpretable
	covers []cover
}

// scope gives an evaluation its variables and lifted literals.
type scope struct {
	vars     map[string]any
	literals []ref.Val
}

// literalName is how a lifted literal is named inside a program.
func literalName(index int) string {
	return "@" + string(rune('a'+index))
}

// ResolveName finds a variable or a literal.
func (s *scope) ResolveName(name string) (any, bool) {
	if len(name) == 2 && name[0] == '@' {
		return s.literals[name[1]-'a'], true
	}
	v, ok := s.vars[name]
	return v, ok
}

// Parent is part of the interpreter's interface; scopes do not nest.
func (s *scope) Parent() interpreter.Activation { return nil }

// eval never panics: what goes wrong inside CEL becomes an error value.
func (p *program) eval(vars map[string]any, literals []ref.Val) (result ref.Val) {
	defer func() {
		if r := recover(); r != nil {
			result = types.NewErr("internal error: %v", r)
		}
	}()
	return p.root.Eval(&scope{vars: vars, literals: literals})
}

// newProgram parses a lifted text and plans it in the dialect; literals is how
// many literals were lifted from it.
func newProgram(lifted string, literals int) (*program, error) {
	parsed, err := parse(lifted)
	if err != nil {
		return nil, err
	}
	tree := parsed.NativeRep()
	covers := coversOf(tree.Expr(), literals)
	plan, err := newPlan(tree.Expr(), literals)
	if err != nil {
		return nil, err
	}
	e := environment()
	planner := interpreter.NewInterpreter(dialect(), containers.DefaultContainer, e.CELTypeProvider(), e.CELTypeAdapter(),
		&paths{AttributeFactory: interpreter.NewAttributeFactory(containers.DefaultContainer, e.CELTypeAdapter(), e.CELTypeProvider()), plan: plan})
	root, err := planner.NewInterpretable(ast.NewAST(tree.Expr(), tree.SourceInfo()), interpreter.CustomDecorator(replaceLogic))
	if err != nil {
		return nil, err
	}
	return &program{root: root, covers: covers}, nil
}

// parse checks the syntax only.
func parse(text string) (*cel.Ast, error) {
	parsed, issues := environment().Parse(text)
	if err := issues.Err(); err != nil {
		return nil, compileError(err)
	}
	return parsed, nil
}

// compileError has the text that SDK users see (expressions.md §11).
func compileError(err error) error {
	return fmt.Errorf("error compiling expression: %w", err)
}

// plan is what the planner must know of a tree beyond its nodes.
type plan struct {
	inLiteral map[int64]bool // identifiers inside list and map literals
	presence  map[int64]bool // selects of has()
}

// newPlan renames, in the tree, the calls that the dialect plans itself and
// the paths of lifted literals, and notes where its identifiers are.
// A call without arguments of a function that does not exist is an error: there
// is no value that could have it as a method.
func newPlan(root ast.Expr, literals int) (*plan, error) {
	var err error
	p := &plan{inLiteral: map[int64]bool{}, presence: map[int64]bool{}}
	factory := ast.NewExprFactory()
	names := make(map[string]string, literals)
	for i := range literals {
		names[string(rune('a'+i))] = literalName(i)
	}
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.CallKind:
			call := e.AsCall()
			if !call.IsMemberFunction() && len(call.Args()) == 0 && !dialect().has(call.FunctionName()) {
				err = fmt.Errorf("no such overload: %s()", call.FunctionName())
			}
			renameCall(factory, e)
		case ast.SelectKind:
			sel := e.AsSelect()
			if sel.IsTestOnly() {
				p.presence[e.ID()] = true
			} else if sel.Operand().Kind() == ast.IdentKind && sel.Operand().AsIdent() == varsVariable && literals > 0 {
				if name, ok := names[sel.FieldName()]; ok {
					e.SetKindCase(factory.NewIdent(e.ID(), name))
				}
			}
		case ast.ListKind, ast.MapKind:
			ast.PostOrderVisit(e, ast.NewExprVisitor(func(inner ast.Expr) {
				if inner.Kind() == ast.IdentKind {
					p.inLiteral[inner.ID()] = true
				}
			}))
		}
	}))
	return p, err
}

var renamedCalls = map[string]string{
	operators.Equals:              callEquals,
	operators.NotEquals:           callNotEquals,
	operators.LogicalAnd:          callAnd,
	operators.LogicalOr:           callOr,
	operators.Conditional:         callConditional,
	operators.NotStrictlyFalse:    callLoopContinue,
	operators.OldNotStrictlyFalse: callLoopContinue,
}

func renameCall(factory ast.ExprFactory, e ast.Expr) {
	call := e.AsCall()
	name, ok := renamedCalls[call.FunctionName()]
	if !ok || call.IsMemberFunction() {
		return
	}
	if name == callLoopContinue && call.Args()[0].Kind() == ast.CallKind {
		not := call.Args()[0]
		if not.AsCall().FunctionName() == operators.LogicalNot {
			not.SetKindCase(factory.NewCall(not.ID(), callStrictNot, not.AsCall().Args()...))
		}
	}
	e.SetKindCase(factory.NewCall(e.ID(), name, call.Args()...))
}

// paths plans identifiers and what is selected from them.
type paths struct {
	interpreter.AttributeFactory
	plan *plan
}

// AbsoluteAttribute is a variable of a macro.
func (f *paths) AbsoluteAttribute(id int64, names ...string) interpreter.NamespacedAttribute {
	return &path{NamespacedAttribute: f.AttributeFactory.AbsoluteAttribute(id, names...), plan: f.plan, local: true, strict: f.plan.inLiteral[id]}
}

// MaybeAttribute is any other identifier; the dialect has no namespaces.
func (f *paths) MaybeAttribute(id int64, name string) interpreter.Attribute {
	return &path{NamespacedAttribute: f.AttributeFactory.AbsoluteAttribute(id, name), plan: f.plan, strict: f.plan.inLiteral[id]}
}

var errAbsent = errors.New("no such key")

// path is an identifier with the fields and indices selected from it. Unless
// strict, whatever the data do not have is a missing value.
type path struct {
	interpreter.NamespacedAttribute
	plan      *plan
	local     bool // root is a macro's variable
	strict    bool // inside a list or map literal
	qualified bool // not a plain identifier
	presence  bool // of has()
}

// AddQualifier extends the path.
func (p *path) AddQualifier(q interpreter.Qualifier) (interpreter.Attribute, error) {
	p.qualified = true
	p.presence = p.plan.presence[q.ID()]
	if _, err := p.NamespacedAttribute.AddQualifier(q); err != nil {
		return nil, err
	}
	return p, nil
}

// Resolve looks the path up.
func (p *path) Resolve(vars interpreter.Activation) (any, error) {
	v, err := p.NamespacedAttribute.Resolve(vars)
	if p.strict || !p.qualified {
		return v, err
	}
	if err != nil {
		return nil, &missingError{cause: err}
	}
	if p.presence && !p.local && v == false {
		return nil, &missingError{cause: errAbsent}
	}
	return v, nil
}

// String names the path in the planner's errors.
func (p *path) String() string {
	return "path " + strconv.FormatInt(p.ID(), 10)
}
