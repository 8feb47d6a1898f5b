package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/expr"
	"jetstep/function"
)

// bulkCancellation is a cancellation of many runs in /v1 (http-api §10).
type bulkCancellation struct {
	ID                 ulid.ULID  `json:"id"`
	EnvironmentID      uuid.UUID  `json:"environment_id"`
	Function           string     `json:"function_id"` // slug
	FunctionInternalID uuid.UUID  `json:"function_internal_id"`
	StartedAfter       *time.Time `json:"started_after"`
	StartedBefore      time.Time  `json:"started_before"`
	If                 *string    `json:"if"`
	// CreatedAt is an addition: a cancellation is listed for a day.
	CreatedAt time.Time `json:"created_at"`
}

func showCancellation(c *function.Cancellation, catalog *bus.Catalog) bulkCancellation {
	shown := bulkCancellation{ID: c.ID, EnvironmentID: function.EnvironmentID, FunctionInternalID: c.FunctionID,
		Function: c.FunctionID.String(), StartedBefore: c.StartedBefore, CreatedAt: c.CreatedAt}
	if fn, _, ok := catalog.Executable(c.FunctionID); ok {
		shown.Function = fn.Slug
	}
	if !c.StartedAfter.IsZero() {
		shown.StartedAfter = &c.StartedAfter
	}
	if c.If != "" {
		shown.If = &c.If
	}
	return shown
}

// cancellationRequest is the body of POST /v1/cancellations.
type cancellationRequest struct {
	App           string    `json:"app_id"`      // name or id
	Function      string    `json:"function_id"` // slug or id
	StartedAfter  time.Time `json:"started_after"`
	StartedBefore time.Time `json:"started_before"`
	If            string    `json:"if"`
}

// clockSlack is how far ahead of this server's the client's clock may be.
const clockSlack = 5 * time.Second

// problems are all that is wrong with the request itself (flow-control §18.3).
func (r *cancellationRequest) problems(now time.Time) []string {
	var found []string
	if r.App == "" {
		found = append(found, "app_id is required")
	}
	if r.Function == "" {
		found = append(found, "function_id is required")
	}
	switch {
	case r.StartedBefore.IsZero():
		found = append(found, "started_before is required")
	case r.StartedBefore.After(now.Add(clockSlack)):
		found = append(found, "started_before must be in the past")
	}
	if !r.StartedAfter.IsZero() && !r.StartedBefore.IsZero() && !r.StartedAfter.Before(r.StartedBefore) {
		found = append(found, "started_after must be before started_before")
	}
	return found
}

// function finds what the request names. One of another app than that which it
// names is not found: cancelling too little can be repaired.
func (r *cancellationRequest) function(catalog *bus.Catalog) (*bus.Registered, bool) {
	fn, ok := catalog.Lookup(r.Function)
	if !ok {
		return nil, false
	}
	return fn, r.App == fn.App.Name || strings.EqualFold(r.App, fn.App.ID.String())
}

// maxCancellation bounds the body of a request to cancel many runs.
const maxCancellation = 64 << 10

// createCancellation is POST /v1/cancellations.
func (s *Server) createCancellation(c echo.Context) error {
	body, err := readBody(c, maxCancellation)
	if err != nil {
		return err
	}
	var req cancellationRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return problemf(http.StatusBadRequest, "Invalid cancellation: %v", err)
	}
	now := s.cfg.Now().UTC()
	if found := req.problems(now); len(found) > 0 {
		return problemf(http.StatusBadRequest, "%s", strings.Join(found, "\n"))
	}
	catalog := s.cfg.Catalog.Catalog()
	fn, ok := req.function(catalog)
	if !ok {
		return problemf(http.StatusNotFound, "function not found")
	}
	if req.If != "" {
		if err := expr.Validate(req.If, expr.PolicyFull); err != nil {
			return problemf(http.StatusBadRequest, "invalid expression: %v", err)
		}
	}
	made := function.Cancellation{
		ID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()), FunctionID: fn.ID,
		StartedAfter: req.StartedAfter.UTC(), StartedBefore: req.StartedBefore.UTC(), If: req.If, CreatedAt: now,
	}
	if err := s.cfg.Controls.AddCancellation(c.Request().Context(), made); err != nil {
		return err
	}
	s.log.Info("runs are cancelled in bulk", "cancellation_id", made.ID, "function_id", fn.Slug,
		"started_after", req.StartedAfter, "started_before", req.StartedBefore, "if", req.If)
	s.send(c, http.StatusCreated, s.envelope(showCancellation(&made, catalog)))
	return nil
}

// listCancellations is GET /v1/cancellations: those of the last day, the
// newest first.
func (s *Server) listCancellations(c echo.Context) error {
	catalog := s.cfg.Catalog.Catalog()
	all := catalog.AllCancellations()
	list := make([]bulkCancellation, len(all))
	for i := range all {
		list[i] = showCancellation(&all[i], catalog)
	}
	return s.sendData(c, list, notCached)
}

// deleteCancellation is DELETE /v1/cancellations/{ulid}. Runs that were
// cancelled stay so.
func (s *Server) deleteCancellation(c echo.Context) error {
	id, err := parseULID(c.Param("cancellation"), problemf(http.StatusBadRequest, "Invalid cancellation ID"))
	if err != nil {
		return err
	}
	err = s.cfg.Controls.RemoveCancellation(c.Request().Context(), id)
	switch {
	case errors.Is(err, bus.ErrNoCancellation):
		return problemf(http.StatusNotFound, "cancellation not found")
	case err != nil:
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
