package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"
)

// maxCheckpoint is more than a run's whole state may have, so that the engine
// says which of its limits was exceeded.
const maxCheckpoint = 40 << 20

// checkpoint is POST /v1/checkpoint/{run}/async (sdk-protocol §18.1). The run
// id of the body counts, not that of the path.
func (s *Server) checkpoint(c echo.Context) error {
	req, err := readCheckpoint(c)
	if err != nil {
		return err
	}
	if len(req.Steps) == 0 {
		return emptyJSON(c)
	}
	// What an SDK has done is recorded even if it does not wait for the answer.
	err = s.cfg.Runs.Checkpoint(context.WithoutCancel(c.Request().Context()), req)
	if err == nil {
		return emptyJSON(c)
	}
	refused := checkpointProblem(err)
	refused.Data = map[string]ulid.ULID{"run_id": req.RunID}
	if refused.Status == http.StatusInternalServerError {
		s.log.Error("steps could not be checkpointed", "run_id", req.RunID, "function_id", req.FunctionID, "error", err)
	}
	return refused
}

// readCheckpoint reads the body of a report of steps. The error is a problem.
func readCheckpoint(c echo.Context) (CheckpointRequest, error) {
	body, err := readBody(c, maxCheckpoint)
	if err != nil {
		return CheckpointRequest{}, err
	}
	req, err := parseCheckpoint(body)
	if err != nil {
		return CheckpointRequest{}, problemf(http.StatusBadRequest, "invalid request body: %s", err)
	}
	return req, nil
}

// parseCheckpoint reads the body; steps stay as they are.
func parseCheckpoint(body []byte) (CheckpointRequest, error) {
	var sent struct {
		RunID            string            `json:"run_id"`
		FunctionID       string            `json:"fn_id"`
		QueueItemID      string            `json:"qi_id"`
		RequestID        string            `json:"request_id"`
		Generation       int               `json:"generation_id"`
		Steps            []json.RawMessage `json:"steps"`
		RequestStartedAt int64             `json:"request_started_at"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return CheckpointRequest{}, err
	}
	req := CheckpointRequest{QueueItemID: sent.QueueItemID, RequestID: sent.RequestID,
		Generation: sent.Generation, Steps: sent.Steps, RequestStartedAt: sent.RequestStartedAt}
	if len(req.Steps) == 0 {
		return req, nil
	}
	var err error
	if req.RunID, err = ulid.ParseStrict(sent.RunID); err != nil {
		return CheckpointRequest{}, errors.New("run_id is not a ULID")
	}
	if sent.FunctionID != "" {
		if req.FunctionID, err = uuid.Parse(sent.FunctionID); err != nil {
			return CheckpointRequest{}, errors.New("fn_id is not a UUID")
		}
	}
	return req, nil
}

// checkpointProblem is the answer to a checkpoint that failed. SDKs repeat it
// after a 500; after the others they report the steps in their response.
func checkpointProblem(err error) *problem {
	switch {
	case errors.Is(err, ErrRunNotFound), errors.Is(err, ErrRunEnded):
		return problemf(http.StatusBadRequest, "run not found in state store")
	case errors.Is(err, ErrStepTooLarge), errors.Is(err, ErrStateTooLarge):
		return problemf(http.StatusRequestEntityTooLarge, "%s", err)
	case errors.Is(err, ErrStaleDispatch):
		return problemf(http.StatusConflict, "%s", err)
	case errors.Is(err, ErrRefusedStep):
		return problemf(http.StatusBadRequest, "%s", err)
	}
	return problemf(http.StatusInternalServerError, "Internal error")
}

// emptyJSON is an answer of no bytes that says it is JSON, as captured.
func emptyJSON(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	return c.NoContent(http.StatusOK)
}
