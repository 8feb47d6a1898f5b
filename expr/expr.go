package expr

import (
	"fmt"
	"math"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct {
	program  *program
	literals []ref.Val
}

// How many expressions and programs are kept; texts that differ only in their
// literals share a program.
const (
	maxExpressions = 10_000
	maxPrograms    = 10_000
)

var (
	expressions = newCache[*Expression](maxExpressions)
	programs    = newCache[*program](maxPrograms)
)

// Compile parses an expression without checking its types: unknown names are
// only seen when evaluated. The result is cached, errors too. An error's text
// is meant for users (expressions.md §11).
func Compile(text string) (*Expression, error) {
	return expressions.get(text, compile)
}

func compile(text string) (*Expression, error) {
	if strings.TrimSpace(text) == "" {
		text = ""
	}
	lifted, literals := lift(text, false)
	return compileLifted(lifted, literals)
}

// CompileInterpolated compiles the result of Interpolate, whose literals are
// CEL's own: "\"" is a quote, where Compile reads a backslash too. What is not
// valid in this reading is read as Compile does, whose errors it has.
func CompileInterpolated(text string) (*Expression, error) {
	lifted, literals := lift(text, true)
	if expression, err := compileLifted(lifted, literals); err == nil {
		return expression, nil
	}
	return Compile(text)
}

func compileLifted(lifted string, literals []ref.Val) (*Expression, error) {
	name := lifted
	if len(literals) == 0 {
		name = "\x00" + lifted // its vars.a, if any, is the user's
	}
	planned, err := programs.get(name, func(string) (*program, error) {
		return newProgram(lifted, len(literals))
	})
	if err != nil {
		return nil, err
	}
	return &Expression{program: planned, literals: literals}, nil
}

// Eval evaluates the expression over the variables event and async, each a
// map[string]any as encoding/json makes it: all numbers float64. A path that
// the data do not have is no error but false.
func (e *Expression) Eval(vars map[string]any) (Result, error) {
	value := e.program.eval(vars, e.literals)
	err, failed := value.(*types.Err)
	switch {
	case !failed:
		return Result{value: value}, nil
	case isMissingPath(value):
		return Result{value: types.False, missing: true}, nil
	case hasNoResult(err):
		return Result{}, errNoResult
	default:
		return Result{}, fmt.Errorf("invalid type comparison: %w: expression errored", err)
	}
}

// Eval compiles and evaluates in one.
func Eval(text string, vars map[string]any) (Result, error) {
	expression, err := Compile(text)
	if err != nil {
		return Result{}, err
	}
	return expression.Eval(vars)
}

// EvalBool evaluates a filter. A result that is not a boolean is an error.
func EvalBool(text string, vars map[string]any) (bool, error) {
	result, err := Eval(text, vars)
	if err != nil {
		return false, err
	}
	return result.Bool()
}

// EvalText evaluates a key to the text that is hashed and stored.
func EvalText(text string, vars map[string]any) (string, error) {
	result, err := Eval(text, vars)
	if err != nil {
		return "", err
	}
	return result.Text(), nil
}

// Result is the value of an expression (expressions.md §10).
type Result struct {
	value   ref.Val
	missing bool
}

// Value is the Go value: bool, int64, uint64, float64, string, []byte,
// time.Time, time.Duration, a CEL null, or a list or map of any of these.
func (r Result) Value() any {
	return r.value.Value()
}

// Bool is the value of a filter. The error's text names the type it has instead.
func (r Result) Bool() (bool, error) {
	b, ok := r.value.(types.Bool)
	if !ok {
		v := r.value.Value()
		return false, fmt.Errorf("returned type %T (%s): expression errored", v, v)
	}
	return bool(b), nil
}

// Int is the value of a priority; ok is false for doubles too, as are all
// numbers that come from an event.
func (r Result) Int() (n int64, ok bool) {
	i, ok := r.value.(types.Int)
	return int64(i), ok
}

// IsFalse tells whether the value is the boolean false, as it is for a missing
// path: a rate limit or singleton with such a key does not apply.
func (r Result) IsFalse() bool {
	return r.value == types.False
}

// IsMissing tells whether the value is false because the data do not have the
// path that the expression names, not because it says so.
func (r Result) IsMissing() bool { return r.missing }

// Whole is the value of a priority when all whole numbers count, as those that
// come from an event do; ok is false for anything else.
func (r Result) Whole() (n int64, ok bool) {
	switch v := r.value.(type) {
	case types.Int:
		return int64(v), true
	case types.Double:
		f := float64(v)
		return int64(f), f == math.Trunc(f) && math.Abs(f) < 1<<62
	}
	return 0, false
}

// Text is the value as a key: a string itself, anything else in Go's default
// formatting, which makes 1e+06 of a million.
func (r Result) Text() string {
	return goText(r.value)
}

// Type is the CEL name of the value's type, such as "double" or "null_type".
func (r Result) Type() string {
	return r.value.Type().TypeName()
}
