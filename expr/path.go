package expr

import (
	"errors"

	"github.com/google/cel-go/interpreter"
)

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
