package trace

import (
	"encoding/json"
)

// Output is what a span got and gave; Data and Error are never both set.
type Output struct {
	Input json.RawMessage
	Data  json.RawMessage
	Error *StepError
}

// StepError is an error as an SDK reports it.
type StepError struct {
	Message string          `json:"message"`
	Name    *string         `json:"name"`
	Stack   *string         `json:"stack"`
	Cause   json.RawMessage `json:"cause"`
}

// FindOutput reads the output that a reference points to from the rows of its
// run. What is not there stays nil.
func FindOutput(rows []Row, ref OutputRef) Output {
	var found Output
	for _, row := range rows {
		if row.SpanID == ref.SpanID && row.Output != nil {
			found.Data, found.Error = Unwrap(row.Output)
		}
		if row.SpanID == ref.InputID && row.Input != nil {
			found.Input = unquote(row.Input)
		}
	}
	return found
}

// Unwrap reads the column output: {"data":…} or {"error":…}, or an event as it
// is, which a wait for it stores (database §13.2).
func Unwrap(column json.RawMessage) (data json.RawMessage, failure *StepError) {
	column = unquote(column)
	var object map[string]json.RawMessage
	if json.Unmarshal(column, &object) != nil {
		return column, nil
	}
	inner, hasData := object["data"]
	raw, hasError := object["error"]
	switch {
	case isEvent(object):
		return column, nil
	case hasError && string(raw) != "null":
		return nil, parseError(raw)
	case hasData:
		return inner, nil
	default:
		return column, nil
	}
}

// unquote takes JSON out of the JSON string that holds it when it was encoded
// twice.
func unquote(column json.RawMessage) json.RawMessage {
	var inner string
	if json.Unmarshal(column, &inner) == nil && json.Valid([]byte(inner)) && len(inner) > 0 && (inner[0] == '{' || inner[0] == '[') {
		return json.RawMessage(inner)
	}
	return column
}

func isEvent(object map[string]json.RawMessage) bool {
	for _, key := range []string{"name", "data", "ts"} {
		if _, ok := object[key]; !ok {
			return false
		}
	}
	return true
}

// parseError reads an error object; of anything else the text is the stack.
func parseError(raw json.RawMessage) *StepError {
	var failure StepError
	if err := json.Unmarshal(raw, &failure); err == nil && (failure.Message != "" || failure.Name != nil) {
		if string(failure.Cause) == "null" {
			failure.Cause = nil
		}
		return &failure
	}
	text := string(raw)
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		text = plain
	}
	return &StepError{Stack: &text}
}

// RunResult is what a run returned, or its error, from its rows; nil while
// there is none. The function's own result wins over those of its steps
// (database §13.3): own tells whether it is there.
func RunResult(rows []Row) (output json.RawMessage, own bool) {
	var best *Row
	for i := range rows {
		row := &rows[i]
		if row.Output == nil {
			continue
		}
		result := parseAttributes(row.Attributes).is(attrFuncOutput)
		if best == nil || (result && !own) || (result == own && row.End.After(best.End)) {
			best, own = row, result
		}
	}
	if best == nil {
		return nil, false
	}
	return Inner(best.Output), own
}

// Inner is the value in the column output: below data or error, if that is how
// it is stored.
func Inner(column json.RawMessage) json.RawMessage {
	column = unquote(column)
	var object map[string]json.RawMessage
	if json.Unmarshal(column, &object) != nil || isEvent(object) {
		return column
	}
	for _, key := range []string{"error", "data"} {
		if inner, ok := object[key]; ok && (key == "data" || string(inner) != "null") {
			return inner
		}
	}
	return column
}
