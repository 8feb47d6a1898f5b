package expr

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// Policy is how much of an expression is checked at registration.
type Policy int

const (
	// PolicyFull checks syntax, names and types.
	PolicyFull Policy = iota
	// PolicySyntax checks the syntax only: unknown names pass.
	PolicySyntax
	// PolicyRestrictive is PolicyFull and allows only what can be matched
	// against many waiting runs: comparisons and logic, no calls, no macros.
	PolicyRestrictive
)

// Validate checks an expression. The error's text is shown to users
// (expressions.md §§11, 13).
func Validate(text string, policy Policy) error {
	parsed, err := parse(text)
	if err != nil || policy == PolicySyntax {
		return err
	}
	if _, issues := environment().Check(parsed); issues.Err() != nil {
		return compileError(issues.Err())
	}
	if policy != PolicyRestrictive {
		return nil
	}
	if violations := violationsOf(parsed.NativeRep().Expr(), nil); len(violations) > 0 {
		return policyError(violations)
	}
	return nil
}

// policyError is how restrictive policy breaches are told.
type policyError []string

// Error lists all breaches.
func (e policyError) Error() string {
	count := "1 error"
	if len(e) != 1 {
		count = fmt.Sprintf("%d errors", len(e))
	}
	return "validation failed: " + count + " occurred:\n\t* " + strings.Join(e, "\n\t* ") + "\n\n"
}

// unrestricted are the calls that PolicyRestrictive allows.
var unrestricted = map[string]bool{
	operators.Conditional: true, operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true,
	operators.Equals: true, operators.NotEquals: true, operators.Less: true, operators.LessEquals: true,
	operators.Greater: true, operators.GreaterEquals: true, operators.Index: true, operators.OptIndex: true,
	operators.OptSelect: true, operators.In: true, "int": true, "uint": true, "double": true,
}

// violationsOf adds the breaches below e to found. The insides of macros and
// of list and map literals are not looked at.
func violationsOf(e ast.Expr, found []string) []string {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		if !unrestricted[call.FunctionName()] {
			found = append(found, fmt.Sprintf("function calls are disallowed (uses '%s')", call.FunctionName()))
		}
		if call.IsMemberFunction() {
			found = violationsOf(call.Target(), found)
		}
		for _, arg := range call.Args() {
			found = violationsOf(arg, found)
		}
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			return append(found, "macros are disallowed (uses 'has')")
		}
		return violationsOf(e.AsSelect().Operand(), found)
	case ast.ComprehensionKind:
		return append(found, fmt.Sprintf("macros are disallowed (contains '%s')", dump(e)))
	}
	return found
}

// dump describes a macro as its protocol buffer; the exact text is of no
// importance beyond its beginning.
func dump(e ast.Expr) string {
	message, err := ast.ExprToProto(e)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(message.GetComprehensionExpr().String(), "  ", " ")
}
