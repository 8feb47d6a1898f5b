package expr

import (
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/operators"
)

// The variables of an expression; varsVariable is reserved for literals that
// users lift themselves (expressions.md §3, §5).
const (
	eventVariable = "event"
	asyncVariable = "async"
	varsVariable  = "vars"
)

// environment is CEL's standard library with the operators that the dialect
// loosens, and the dialect's own functions (expressions.md §3).
var environment = sync.OnceValue(func() *cel.Env {
	loose := []string{
		operators.Add, operators.Equals, operators.NotEquals, operators.Less,
		operators.LessEquals, operators.Greater, operators.GreaterEquals,
	}
	subset := env.NewLibrarySubset()
	for _, name := range loose {
		subset.AddExcludedFunctions(env.NewFunction(name))
	}
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.EnableMacroCallTracking(),
		// Reading an int-typed literal against a double must not be refused at
		// registration: at run time all numbers compare with each other.
		cel.CrossTypeNumericComparisons(true),
	}
	for _, name := range []string{eventVariable, asyncVariable, varsVariable} {
		options = append(options, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
	}
	options = append(options, looseOperators()...)
	options = append(options, ownFunctions()...)
	environment, err := cel.NewCustomEnv(options...)
	if err != nil {
		panic("expr: " + err.Error()) // the declarations are constants of this package
	}
	return environment
})

// looseOperators re-declares the operators that accept any two values. Their
// bindings know nothing of missing values, see dialect.
func looseOperators() []cel.EnvOption {
	anyTwo := []*cel.Type{cel.DynType, cel.DynType}
	return []cel.EnvOption{
		cel.Function(operators.Add, cel.Overload("any_add_any", anyTwo, cel.DynType, cel.BinaryBinding(add))),
		cel.Function(operators.Equals, cel.Overload("any_equals_any", anyTwo, cel.BoolType, cel.BinaryBinding(equal))),
		cel.Function(operators.NotEquals, cel.Overload("any_differs_any", anyTwo, cel.BoolType, cel.BinaryBinding(notEqual))),
		cel.Function(operators.Less, cel.Overload("any_less_any", anyTwo, cel.BoolType, cel.BinaryBinding(comparison(less)))),
		cel.Function(operators.LessEquals, cel.Overload("any_less_equal_any", anyTwo, cel.BoolType, cel.BinaryBinding(comparison(lessOrEqual)))),
		cel.Function(operators.Greater, cel.Overload("any_greater_any", anyTwo, cel.BoolType, cel.BinaryBinding(comparison(greater)))),
		cel.Function(operators.GreaterEquals, cel.Overload("any_greater_equal_any", anyTwo, cel.BoolType, cel.BinaryBinding(comparison(greaterOrEqual)))),
	}
}

// ownFunctions declares the functions that CEL does not have.
func ownFunctions() []cel.EnvOption {
	text := []*cel.Type{cel.StringType}
	return []cel.EnvOption{
		cel.Function("lowercase", cel.SingletonUnaryBinding(lowercase), cel.Overload("lowercase", text, cel.StringType)),
		cel.Function("uppercase", cel.SingletonUnaryBinding(uppercase), cel.Overload("uppercase", text, cel.StringType)),
		cel.Function("b64decode", cel.SingletonUnaryBinding(b64decode), cel.Overload("b64decode", text, cel.StringType)),
		cel.Function("json_parse", cel.SingletonUnaryBinding(jsonParse),
			cel.Overload("json_parse", text, cel.MapType(cel.StringType, cel.DynType))),
		cel.Function("date", cel.SingletonUnaryBinding(date),
			cel.Overload("date_string", text, cel.TimestampType),
			cel.Overload("date_int", []*cel.Type{cel.IntType}, cel.TimestampType)),
		cel.Function("now", cel.SingletonFunctionBinding(now), cel.Overload("now", nil, cel.TimestampType)),
		cel.Function("now_plus", cel.SingletonUnaryBinding(nowPlus), cel.Overload("now_plus", text, cel.TimestampType)),
		cel.Function("now_minus", cel.SingletonUnaryBinding(nowMinus), cel.Overload("now_minus", text, cel.TimestampType)),
	}
}
