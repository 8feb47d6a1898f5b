package v2

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/oklog/ulid/v2"

	"jetstep/api/command"
	"jetstep/history/view"
)

func conflict(code, message string) error { return &problem{http.StatusConflict, code, message} }

func refused(code, message string) error { return &problem{http.StatusBadRequest, code, message} }

// The words for a run that cannot be cancelled.
var (
	errRunCancelled = conflict("run_already_cancelled", "Run is already cancelled")
	errRunEnded     = conflict("run_already_ended", "Cannot cancel an ended run")
)

func (s *server) cancel(r *http.Request, path []string) (*answer, error) {
	id, err := parseRunID(path[0])
	if err != nil {
		return nil, err
	}
	// The history may not know the run yet: then the engine does.
	run, err := s.Reader.Run(r.Context(), id)
	switch {
	case err != nil && !errors.Is(err, view.ErrNotFound):
		return nil, err
	case run.Status == view.Cancelled:
		return nil, errRunCancelled
	case run.Status.Ended():
		return nil, errRunEnded
	}
	err = s.Commands.Cancel(r.Context(), id)
	switch {
	case errors.Is(err, command.ErrEnded):
		return nil, errRunEnded
	case errors.Is(err, view.ErrNotFound):
		return nil, missing("Run not found")
	case err != nil:
		return nil, err
	}
	return single(object{"runId": id.String()})
}

func parseRunID(text string) (ulid.ULID, error) { return parseID("Run", text) }

func parseEventID(text string) (ulid.ULID, error) { return parseID("Event", text) }

func parseID(of, text string) (ulid.ULID, error) {
	id, err := ulid.ParseStrict(text)
	if err != nil {
		return id, invalid(of + " ID must be a valid ULID")
	}
	return id, nil
}

// rerunBody is the body of a rerun, in either spelling.
type rerunBody struct {
	FromStep  *fromStep `json:"fromStep"`
	FromStep2 *fromStep `json:"from_step"`
}

type fromStep struct {
	StepID  string          `json:"stepId"`
	StepID2 string          `json:"step_id"`
	Input   json.RawMessage `json:"input"`
}

// into completes a rerun by where it starts.
func (b *rerunBody) into(rerun *command.Rerun) error {
	from := b.FromStep
	if from == nil {
		from = b.FromStep2
	}
	if from == nil {
		return nil
	}
	if rerun.Step = from.StepID + from.StepID2; rerun.Step == "" {
		return refused("missing_field", "Step ID is required")
	}
	if input := bytes.TrimSpace(from.Input); len(input) > 0 && string(input) != "null" {
		if input[0] != '[' {
			return invalid("Step input must be an array")
		}
		rerun.Input = input
	}
	return nil
}

func (s *server) rerun(r *http.Request, path []string) (*answer, error) {
	var body rerunBody
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	id, err := parseRunID(path[0])
	if err != nil {
		return nil, err
	}
	run, err := s.Reader.Run(r.Context(), id)
	if err != nil && !errors.Is(err, view.ErrNotFound) {
		return nil, err
	}
	if run.Cron != nil {
		return nil, &problem{http.StatusNotImplemented, "not_implemented", "Rerunning cron-triggered runs is not yet supported"}
	}
	rerun := command.Rerun{Run: id}
	if err := body.into(&rerun); err != nil {
		return nil, err
	}
	made, err := s.Commands.Rerun(r.Context(), rerun)
	if err != nil {
		return nil, rerunProblem(err)
	}
	return single(object{"runId": made.String()})
}

// rerunProblem is why a run cannot be made again, in the words of the API.
func rerunProblem(err error) error {
	switch {
	case errors.Is(err, command.ErrNoSuchStep):
		return refused("invalid_request", "Step not found in original run")
	case errors.Is(err, command.ErrAmbiguousStep):
		return refused("invalid_request", "Step name matches multiple steps in original run")
	case errors.Is(err, command.ErrNoFunction):
		return missing("Function not found")
	case errors.Is(err, command.ErrNoInput):
		return missing("Events of the run not found")
	case errors.Is(err, view.ErrNotFound):
		return missing("Run not found")
	}
	return err
}

// maxBody bounds bodies, in bytes.
const maxBody = 3 << 20

// readBody reads an object without unknown keys; an empty body is one.
func readBody(r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &problem{http.StatusRequestEntityTooLarge, "invalid_request", "Request body cannot exceed 3145728 bytes"}
	case err != nil:
		return &problem{http.StatusBadRequest, "api_error", "request body could not be read"}
	case len(bytes.TrimSpace(text)) == 0:
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return &problem{http.StatusBadRequest, "api_error", err.Error()}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return &problem{http.StatusBadRequest, "api_error", "unexpected text after the top-level value"}
	}
	return nil
}
