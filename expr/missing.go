package expr

import (
	"errors"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// missingError marks that a path of the expression is not in the data. It
// travels as a CEL error and is turned into a value by the next operator or,
// at the top, into false (expressions.md §6).
type missingError struct {
	cause error
}

func (e *missingError) Error() string { return e.cause.Error() }
func (e *missingError) Unwrap() error { return e.cause }

// errNoResult is what a function gives that has no value for its argument. It
// is the one value error which operators do not take for a missing value.
var errNoResult = errors.New("expression did not return true or false")

// noResult makes a new value each time, because CEL writes into error values.
func noResult() ref.Val {
	return types.WrapErr(errNoResult)
}

// isMissingPath tells whether v stands for a path that the data do not have.
func isMissingPath(v ref.Val) bool {
	err, ok := v.(*types.Err)
	if !ok {
		return false
	}
	for cause := error(err); cause != nil; cause = errors.Unwrap(cause) {
		if _, ok := cause.(*missingError); ok {
			return true
		}
	}
	return false
}

// isMissing tells whether an operator takes v for a missing value: a missing
// path, or any error but those that name an unknown identifier or say that a
// function had no result.
func isMissing(v ref.Val) bool {
	switch v := v.(type) {
	case *types.Unknown:
		return true
	case *types.Err:
		return isMissingPath(v) || !isFatal(v)
	default:
		return false
	}
}

// isFatal tells whether an error is beyond the reach of operators.
func isFatal(v ref.Val) bool {
	err, ok := v.(*types.Err)
	if !ok || isMissingPath(v) {
		return false
	}
	return hasNoResult(err) || strings.HasPrefix(err.String(), "no such attribute")
}

// hasNoResult cannot be errors.Is, for which CEL compares texts.
func hasNoResult(err *types.Err) bool {
	for cause := error(err); cause != nil; cause = errors.Unwrap(cause) {
		if cause == errNoResult {
			return true
		}
	}
	return false
}
