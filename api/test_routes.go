package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// Testing is what suites of black-box tests do to a server that has nothing
// else to do (http-api §8).
type Testing interface {
	// QueueSize is how many jobs the runs of a function have.
	QueueSize(fn uuid.UUID) int
	// Reset ends all runs.
	Reset(ctx context.Context) error
}

// testRoutes are there only if the server was told so by TEST_MODE. They ask
// for no key, and answer in plain text.
func (s *Server) testRoutes() []route {
	if s.cfg.Testing == nil {
		return nil
	}
	return []route{
		{http.MethodGet, "/test/", open, func(c echo.Context) error { return c.String(http.StatusOK, "OK") }},
		{http.MethodPost, "/test/function/pause", open, s.testPause},
		{http.MethodPost, "/test/function/runs/cancel", open, s.testCancel},
		{http.MethodGet, "/test/queue/function-queue-size", open, s.testQueueSize},
		{http.MethodPost, "/test/reset", open, s.testReset},
	}
}

// testID reads a parameter that names something by a UUID.
func testID(c echo.Context, name string) (id uuid.UUID, ok bool, err error) {
	form, err := formValues(c)
	if err != nil {
		return id, false, err
	}
	if id, err = uuid.Parse(form.Get(name)); err != nil {
		return id, false, c.String(http.StatusBadRequest, "Invalid "+name)
	}
	return id, true, nil
}

func (s *Server) testPause(c echo.Context) error {
	fn, ok, err := testID(c, "fnId")
	if !ok {
		return err
	}
	if err := s.cfg.Controls.SetPaused(c.Request().Context(), fn, true); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

func (s *Server) testCancel(c echo.Context) error {
	form, err := formValues(c)
	if err != nil {
		return err
	}
	if account := form.Get("accountId"); account != function.AccountID.String() {
		return c.String(http.StatusBadRequest, "Invalid accountId")
	}
	if _, err := uuid.Parse(form.Get("fnId")); err != nil {
		return c.String(http.StatusBadRequest, "Invalid fnId")
	}
	run, err := ulid.ParseStrict(form.Get("runId"))
	if err != nil {
		return c.String(http.StatusBadRequest, "Invalid runId")
	}
	err = s.cfg.Runs.Cancel(c.Request().Context(), run)
	switch {
	case errors.Is(err, ErrRunNotFound):
		return c.String(http.StatusNotFound, "Run not found")
	case err != nil && !errors.Is(err, ErrRunEnded):
		return err
	}
	return c.NoContent(http.StatusOK)
}

func (s *Server) testQueueSize(c echo.Context) error {
	if account := c.QueryParam("accountId"); account != function.AccountID.String() {
		return c.String(http.StatusBadRequest, "Invalid accountId")
	}
	fn, err := uuid.Parse(c.QueryParam("fnId"))
	if err != nil {
		return c.String(http.StatusBadRequest, "Invalid fnId")
	}
	return c.JSON(http.StatusOK, map[string]int{"count": s.cfg.Testing.QueueSize(fn)})
}

func (s *Server) testReset(c echo.Context) error {
	if err := s.cfg.Testing.Reset(c.Request().Context()); err != nil {
		return err
	}
	return c.String(http.StatusOK, "ok")
}
