package expr

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/containers"
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
