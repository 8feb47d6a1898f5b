package graph

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Bounds of a request. The largest documents of known clients have about 500
// tokens and are 13 levels deep.
const (
	maxBody     = 4 << 20 // bytes
	maxTokens   = 2500    // validation takes quadratic time
	maxSelected = 10_000  // fields of a document, with fragments put in
	maxDepth    = 25
	maxAnswered = 2_000_000 // fields of an answer
)

var errAnswerTooLarge = errors.New("the answer is too large: ask for less at once")

// sizeLimit refuses documents that would take too long to answer. It is an
// extension of the server. Fragments can stand for exponentially many fields,
// so that it stops counting at the limit.
type sizeLimit struct{}

// ExtensionName is what the server calls it.
func (sizeLimit) ExtensionName() string { return "SizeLimit" }

// Validate has nothing to ask of the schema.
func (sizeLimit) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext looks at an operation before it is executed.
func (sizeLimit) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	budget := maxSelected
	if fits(operation.Operation.SelectionSet, maxDepth, &budget) {
		return nil
	}
	err := gqlerror.Errorf("the document is too large: at most %d fields, %d levels deep", maxSelected, maxDepth)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

func fits(selected ast.SelectionSet, depth int, budget *int) bool {
	if depth < 0 {
		return false
	}
	for _, selection := range selected {
		if *budget--; *budget < 0 {
			return false
		}
		ok := true
		switch s := selection.(type) {
		case *ast.Field:
			ok = fits(s.SelectionSet, depth-1, budget)
		case *ast.InlineFragment:
			ok = fits(s.SelectionSet, depth, budget)
		case *ast.FragmentSpread:
			ok = fits(s.Definition.SelectionSet, depth, budget)
		}
		if !ok {
			return false
		}
	}
	return true
}

// countField stops an answer that grows beyond its bound, as nested lists of
// functions and apps can.
func countField(ctx context.Context, next graphql.Resolver) (any, error) {
	if operationOf(ctx).answered.Add(1) > maxAnswered {
		return nil, errAnswerTooLarge
	}
	return next(ctx)
}
