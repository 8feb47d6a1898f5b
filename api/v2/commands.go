package v2

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"jetstep/history/view"
)

func (s *server) cancel(r *http.Request, path []string) (*answer, error) {
	run, err := s.findRun(r.Context(), path[0])
	switch {
	case err != nil:
		return nil, err
	case run.Status == view.Cancelled:
		return nil, &problem{http.StatusConflict, "run_already_cancelled", "Run is already cancelled"}
	case run.Status.Ended():
		return nil, &problem{http.StatusConflict, "run_already_ended", "Cannot cancel an ended run"}
	}
	if err := s.Commands.Cancel(r.Context(), run.ID); err != nil {
		return nil, err
	}
	return single(object{"runId": run.ID.String()})
}

// maxBody bounds bodies, in bytes.
const maxBody = 3 << 20

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

func (s *server) rerun(r *http.Request, path []string) (*answer, error) {
	var body rerunBody
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	run, err := s.findRun(r.Context(), path[0])
	if err != nil {
		return nil, err
	}
	if run.Cron != nil {
		return nil, &problem{http.StatusNotImplemented, "not_implemented", "Rerunning cron-triggered runs is not yet supported"}
	}
	rerun := Rerun{Run: run.ID}
	from := body.FromStep
	if from == nil {
		from = body.FromStep2
	}
	if from != nil {
		if rerun.Step = from.StepID + from.StepID2; rerun.Step == "" {
			return nil, &problem{http.StatusBadRequest, "missing_field", "Step ID is required"}
		}
		rerun.Input = from.Input
	}
	id, err := s.Commands.Rerun(r.Context(), rerun)
	switch {
	case errors.Is(err, ErrNoSuchStep):
		return nil, &problem{http.StatusBadRequest, "invalid_request", "Step not found in original run"}
	case errors.Is(err, ErrAmbiguousStep):
		return nil, &problem{http.StatusBadRequest, "invalid_request", "Step name matches multiple steps in original run"}
	case err != nil:
		return nil, err
	}
	return single(object{"runId": id.String()})
}

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
	return nil
}
