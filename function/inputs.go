package function

import (
	"encoding/json"

	"jetstep/expr"
)

// Inputs are the fields of a run's first event, as the expressions of flow
// control see them. They are parsed when the first expression asks. Inputs are not
// safe for concurrent use.
type Inputs struct {
	// Event is the event as SDKs see it.
	Event json.RawMessage
	vars  map[string]any
	err   error // of parsing
}

func (in *Inputs) variables() (map[string]any, error) {
	if in.vars != nil || in.err != nil {
		return in.vars, in.err
	}
	var fields map[string]any
	if in.err = json.Unmarshal(in.Event, &fields); in.err == nil {
		in.vars = map[string]any{"event": fields}
	}
	return in.vars, in.err
}

func (in *Inputs) eval(expression string) (expr.Result, error) {
	vars, err := in.variables()
	if err != nil {
		return expr.Result{}, err
	}
	return expr.Eval(expression, vars)
}

// Bind replaces what an expression says of the event by its values.
func (in *Inputs) Bind(expression string) (string, error) {
	vars, err := in.variables()
	if err != nil {
		return "", err
	}
	return expr.Interpolate(expression, vars)
}

// TS is the event's "ts" in milliseconds, 0 when it has none.
func (in *Inputs) TS() int64 {
	vars, err := in.variables()
	if err != nil {
		return 0
	}
	fields, _ := vars["event"].(map[string]any)
	ts, _ := fields["ts"].(float64)
	return int64(ts)
}

// sharedText is the key text of all events that have no value for a key
// (flow-control §14.1).
const sharedText = "false"

// KeyText is the text of a key expression's value, "" without an expression.
// An event without the field has the shared text, and so has one for which the
// expression fails, as err then says. off tells that the value is an explicit
// false, with which a rate limit or a singleton does not apply.
func (in *Inputs) KeyText(expression string) (text string, off bool, err error) {
	if expression == "" {
		return "", false, nil
	}
	result, err := in.eval(expression)
	if err != nil {
		return sharedText, false, err
	}
	return result.Text(), result.IsFalse() && !result.IsMissing(), nil
}

// Holds evaluates a condition; "" is true.
func (in *Inputs) Holds(expression string) (bool, error) {
	if expression == "" {
		return true, nil
	}
	result, err := in.eval(expression)
	if err != nil {
		return false, err
	}
	return result.Bool()
}

// maxPriority bounds a priority factor, in seconds (flow-control §13).
const maxPriority = 43_200

// Priority is the priority factor in seconds: whole numbers count, also those
// that come from the event; anything else is 0.
func (in *Inputs) Priority(expression string) (int, error) {
	if expression == "" {
		return 0, nil
	}
	result, err := in.eval(expression)
	if err != nil {
		return 0, err
	}
	factor, ok := result.Whole()
	if !ok {
		return 0, nil
	}
	return int(min(max(factor, -maxPriority), maxPriority)), nil
}
