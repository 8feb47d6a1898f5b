package v2

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"jetstep/api/command"
	"jetstep/api/ingest"
	"jetstep/state"
)

// invokeBody is the body of an invocation, in either spelling.
type invokeBody struct {
	Data json.RawMessage `json:"data"`
	Key  string          `json:"idempotencyKey"`
	Key2 string          `json:"idempotency_key"`
}

func (s *server) invoke(r *http.Request, path []string) (*answer, error) {
	var body invokeBody
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	switch data := bytes.TrimSpace(body.Data); {
	case len(data) == 0 || string(data) == "null":
		return nil, refused("missing_field", "Input data is required")
	case data[0] != '{':
		return nil, invalid("Input data must be an object")
	}
	_, fn, err := s.findFunction(r, path)
	if err != nil {
		return nil, err
	}
	run, err := s.Commands.Begin(r.Context(), command.Begin{Function: fn.ID, Data: body.Data, Key: body.Key + body.Key2})
	repeated := errors.Is(err, state.ErrRepeated)
	if err != nil && !repeated {
		return nil, invokeProblem(err)
	}
	begun, err := single(object{"runId": run.String()})
	if repeated {
		begun.status = http.StatusConflict // with the body of a success (http-api §19 no. 12)
	}
	return begun, err
}

// invokeProblem is why no run was made, in the words of the API.
func invokeProblem(err error) error {
	unprocessable := func(code, message string) error { return &problem{http.StatusUnprocessableEntity, code, message} }
	switch {
	case errors.Is(err, command.ErrNoFunction):
		return missing("Function not found")
	case errors.Is(err, state.ErrRateLimited):
		return unprocessable("rate_limited", "Function execution rate limit exceeded. Please try again later.")
	case errors.Is(err, state.ErrDebounced):
		return unprocessable("function_debounced", "Function invocation was debounced.")
	case errors.Is(err, state.ErrBatched):
		return unprocessable("function_debounced", "Function invocation was added to a batch.")
	case errors.Is(err, state.ErrSkipped):
		return unprocessable("function_skipped", "Function invocation was skipped because the function is paused or draining.")
	case errors.Is(err, ingest.ErrInvokeBody), errors.Is(err, ingest.ErrInvokeEvent):
		return refused("validation_error", string(ingest.ErrInvokeEvent))
	}
	return err
}
