package expr

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// eventPath is a variable with constant fields and indices selected from it.
type eventPath struct {
	root     string
	segments []segment
	presence bool // of has()
	target   bool // a method is called on it
}

// segment is a field or, when it has no name of its own, an index.
type segment struct {
	field string
	index int64
	list  bool // index is meant
}

// asPath reads an expression that is nothing but a path, with at least one
// segment.
func asPath(e ast.Expr) (eventPath, bool) {
	p, ok := pathOf(e)
	return p, ok && len(p.segments) > 0
}

func pathOf(e ast.Expr) (eventPath, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return eventPath{root: e.AsIdent()}, true
	case ast.SelectKind:
		sel := e.AsSelect()
		p, ok := pathOf(sel.Operand())
		p.segments = append(p.segments, segment{field: sel.FieldName()})
		p.presence = sel.IsTestOnly()
		return p, ok
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.Index || call.Args()[1].Kind() != ast.LiteralKind {
			return eventPath{}, false
		}
		p, ok := pathOf(call.Args()[0])
		switch index := call.Args()[1].AsLiteral().(type) {
		case types.String:
			p.segments = append(p.segments, segment{field: string(index)})
		case types.Int:
			p.segments = append(p.segments, segment{index: int64(index), list: true})
		default:
			return eventPath{}, false
		}
		return p, ok
	default:
		return eventPath{}, false
	}
}

// eventPaths lists what an expression reads of the event.
func eventPaths(root ast.Expr) []eventPath {
	var found []eventPath
	var visit func(e ast.Expr, target bool)
	visit = func(e ast.Expr, target bool) {
		if p, ok := asPath(e); ok {
			if p.root == eventVariable {
				p.target = target
				found = append(found, p)
			}
			return
		}
		for _, child := range children(e) {
			visit(child, e.Kind() == ast.CallKind && e.AsCall().IsMemberFunction() && child == e.AsCall().Target())
		}
	}
	visit(root, false)
	return found
}

// children are the expressions directly below e.
func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	case ast.CallKind:
		call := e.AsCall()
		if !call.IsMemberFunction() {
			return call.Args()
		}
		return append([]ast.Expr{call.Target()}, call.Args()...)
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.MapKind:
		var all []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			all = append(all, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return all
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		return []ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
	default:
		return nil
	}
}

// find looks the path up in the value of its root, as encoding/json makes it.
func (p eventPath) find(root any) (any, bool) {
	return find(root, p.segments)
}

func find(v any, segments []segment) (any, bool) {
	for _, s := range segments {
		switch container := v.(type) {
		case map[string]any:
			next, ok := container[s.field]
			if !ok || s.list {
				return nil, false
			}
			v = next
		case []any:
			if !s.list || s.index < 0 || s.index >= int64(len(container)) {
				return nil, false
			}
			v = container[s.index]
		default:
			return nil, false
		}
	}
	return v, true
}

// pattern declares the path unknown to CEL.
func (p eventPath) pattern() *interpreter.AttributePattern {
	pattern := cel.AttributePattern(p.root)
	for _, s := range p.segments {
		if s.list {
			pattern.QualInt(s.index)
		} else {
			pattern.QualString(s.field)
		}
	}
	return pattern
}
