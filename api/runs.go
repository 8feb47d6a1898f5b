package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/history"
	"jetstep/state"
)

// run is a run in /v1 (http-api §10).
type run struct {
	ID              ulid.ULID       `json:"run_id"`
	StartedAt       time.Time       `json:"run_started_at"` // when it was queued
	FunctionID      uuid.UUID       `json:"function_id"`
	FunctionVersion int             `json:"function_version"`
	EnvironmentID   uuid.UUID       `json:"environment_id"`
	EventID         ulid.ULID       `json:"event_id"`
	BatchID         *ulid.ULID      `json:"batch_id,omitempty"`
	OriginalRunID   *ulid.ULID      `json:"original_run_id,omitempty"`
	Cron            string          `json:"cron,omitempty"`
	Status          string          `json:"status"`
	EndedAt         *time.Time      `json:"ended_at"`
	Output          json.RawMessage `json:"output,omitempty"`
	// Reason is an addition: why the run waits, or was skipped.
	Reason string `json:"reason,omitempty"`
	// ExistingRunID is an addition: the run because of which this was skipped.
	ExistingRunID *ulid.ULID `json:"existing_run_id,omitempty"`
	// WaitingFor is an addition: the limit that holds a due job of the run up.
	WaitingFor string `json:"waiting_for,omitempty"`
}

func (s *Server) showRun(ctx context.Context, r *history.Run) run {
	shown := run{ID: r.ID, StartedAt: r.QueuedAt.UTC(), FunctionID: r.FunctionID, FunctionVersion: r.FunctionVersion,
		EnvironmentID: function.EnvironmentID, EventID: r.EventID(), BatchID: r.BatchID, OriginalRunID: r.OriginalRunID,
		Cron: r.Cron, Status: r.Status.String(), Output: r.Output, Reason: r.Reason, ExistingRunID: r.ExistingRunID}
	if !r.EndedAt.IsZero() {
		ended := r.EndedAt.UTC()
		shown.EndedAt = &ended
	}
	if !r.Status.Ended() {
		ctx, cancel := context.WithTimeout(ctx, pagePatience)
		defer cancel()
		shown.WaitingFor, _ = s.cfg.Runs.WaitingFor(ctx, r.ID)
	}
	return shown
}

// runID is the run of the path in /v1, runIDV0 that in /v0.
func runID(c echo.Context) (ulid.ULID, error) {
	text := c.Param("run")
	return parseULID(text, problemf(http.StatusBadRequest, "Invalid run ID: %s", text))
}

func runIDV0(c echo.Context) (ulid.ULID, error) {
	return parseULID(c.Param("run"), problemf(http.StatusBadRequest, "The run ID specified is invalid"))
}

func noSuchRun(id ulid.ULID) *problem {
	return problemf(http.StatusNotFound, "Unable to load function run: %s", id)
}

// getRun is GET /v1/runs/{run}.
func (s *Server) getRun(c echo.Context) error {
	id, err := runID(c)
	if err != nil {
		return err
	}
	found, err := s.cfg.History.Run(c.Request().Context(), id)
	switch {
	case errors.Is(err, history.ErrRunNotFound):
		return s.unknownRun(id)
	case err != nil:
		return err
	}
	return s.sendData(c, s.showRun(c.Request().Context(), &found), cacheRun)
}

// maxJobs is how many jobs of a run are shown.
const maxJobs = 10

// runJobs is GET /v1/runs/{run}/jobs.
func (s *Server) runJobs(c echo.Context) error {
	id, err := runID(c)
	if err != nil {
		return err
	}
	jobs, err := s.cfg.Runs.Jobs(c.Request().Context(), id)
	if err != nil && !errors.Is(err, ErrRunNotFound) {
		return err
	}
	if jobs == nil {
		jobs = []Job{}
	}
	return s.sendData(c, jobs[:min(len(jobs), maxJobs)], cacheJobs)
}

// cancellation is what became of a request to cancel.
type cancellation int

const (
	cancelled cancellation = iota // now, or it was before
	alreadyEnded
	unknownRun
)

// cancel cancels a run. One that has no state any more is looked up in the
// history, to tell one that was cancelled from one that ended otherwise.
func (s *Server) cancel(ctx context.Context, id ulid.ULID) (cancellation, error) {
	err := s.cfg.Runs.Cancel(ctx, id)
	if err == nil {
		return cancelled, nil
	}
	if !errors.Is(err, ErrRunNotFound) && !errors.Is(err, ErrRunEnded) {
		if s.cfg.Runs.Loading(id) {
			return 0, s.unknownRun(id)
		}
		return 0, err
	}
	found, lookup := s.cfg.History.Run(ctx, id)
	switch {
	case lookup == nil && found.Status == state.Cancelled:
		return cancelled, nil
	case lookup == nil && found.Status.Ended(), errors.Is(err, ErrRunEnded):
		return alreadyEnded, nil
	case lookup == nil, errors.Is(lookup, history.ErrRunNotFound):
		return unknownRun, nil
	}
	return 0, lookup
}

// cancelRun is DELETE /v1/runs/{run}.
func (s *Server) cancelRun(c echo.Context) error {
	id, err := runID(c)
	if err != nil {
		return err
	}
	outcome, err := s.cancel(c.Request().Context(), id)
	switch {
	case errors.Is(err, history.ErrUnavailable), errors.As(err, new(*problem)):
		return err // which says more
	case err != nil:
		s.log.Error("run could not be cancelled", "run_id", id, "error", err)
		return problemf(http.StatusInternalServerError, "Unable to cancel function run: internal error")
	case outcome == unknownRun:
		return noSuchRun(id)
	case outcome == alreadyEnded:
		return problemf(http.StatusConflict, "Unable to cancel function run: it has already ended")
	}
	return c.NoContent(http.StatusOK)
}

// cancelRunV0 is DELETE /v0/runs/{run}: the same with older answers. Here it
// cancels for good, where the original only changes a status (http-api §9).
func (s *Server) cancelRunV0(c echo.Context) error {
	id, err := runIDV0(c)
	if err != nil {
		return err
	}
	outcome, err := s.cancel(c.Request().Context(), id)
	switch {
	case err != nil:
		return err
	case outcome == unknownRun:
		return problemf(http.StatusNotFound, "A function run with the given ID could not be found")
	case outcome == alreadyEnded:
		return problemf(http.StatusConflict, "This function has already completed")
	}
	return c.NoContent(http.StatusNoContent)
}

// runEvents is GET /v0/runs/{run}/batch: the input of a run whose state is too
// large for a request (sdk-protocol §8).
func (s *Server) runEvents(c echo.Context) error {
	id, err := runIDV0(c)
	if err != nil {
		return err
	}
	events, err := s.cfg.Runs.Events(c.Request().Context(), id)
	if err != nil {
		return goneOr(err, id)
	}
	s.sendJSON(c, http.StatusOK, appendList(nil, events))
	return nil
}

// runSteps is GET /v0/runs/{run}/actions: the memos of such a run.
func (s *Server) runSteps(c echo.Context) error {
	id, err := runIDV0(c)
	if err != nil {
		return err
	}
	steps, err := s.cfg.Runs.Steps(c.Request().Context(), id)
	if err != nil {
		return goneOr(err, id)
	}
	s.sendJSON(c, http.StatusOK, appendObject(nil, steps))
	return nil
}

func goneOr(err error, id ulid.ULID) error {
	if errors.Is(err, ErrRunNotFound) || errors.Is(err, ErrRunEnded) {
		return problemf(http.StatusGone, "runtime state is no longer available for runID: %s", id)
	}
	return err
}

// appendList and appendObject put raw values together as they are: SDKs get
// the bytes that were stored, however large, without parsing them again.
func appendList(b []byte, values []json.RawMessage) []byte {
	b = append(b, '[')
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, value...)
	}
	return append(b, ']')
}

func appendObject(b []byte, members map[string]json.RawMessage) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			b = append(b, ',')
		}
		key, _ := json.Marshal(name) // a string has no reason to fail
		b = append(append(b, key...), ':')
		b = append(b, members[name]...)
	}
	return append(b, '}')
}
