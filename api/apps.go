package api

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"jetstep/api/appsync"
	"jetstep/function"
)

// maxRegistration is some thousand functions.
const maxRegistration = 8 << 20

// register is POST /fn/register (sdk-protocol §5.2, §5.3).
func (s *Server) register(c echo.Context) error {
	body, err := readBody(c, maxRegistration)
	if err != nil {
		return err
	}
	answer, err := s.cfg.Apps.Register(c.Request().Context(), c.Request().Header, body)
	var refusal *appsync.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Bare:
		s.send(c, refusal.Status, struct {
			Error string `json:"error"`
		}{refusal.Message})
		return nil
	case errors.As(err, &refusal):
		return &problem{Code: refusal.Code, Message: refusal.Message, Status: refusal.Status}
	case err != nil:
		s.log.Error("app could not be registered", "error", err)
		return problemf(http.StatusInternalServerError, "Error upserting app")
	}
	s.send(c, http.StatusOK, answer)
	return nil
}

// remove is DELETE /fn/remove (http-api §7).
func (s *Server) remove(c echo.Context) error {
	form, err := formValues(c)
	if err != nil {
		return err
	}
	appURL := form.Get("url")
	err = s.cfg.Apps.Remove(c.Request().Context(), appURL)
	switch {
	case errors.Is(err, appsync.ErrAppNotFound):
		return problemf(http.StatusNotFound, "App not found: %s", appURL)
	case err != nil:
		return err
	}
	return c.NoContent(http.StatusOK)
}

// maxForm bounds the body of a form.
const maxForm = 64 << 10

// formValues are those of the query, and of a form in the body, which net/http
// does not read for DELETE. The error is a problem.
func formValues(c echo.Context) (url.Values, error) {
	body, err := readBody(c, maxForm)
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "Unable to read form")
	}
	for name, given := range c.QueryParams() {
		values[name] = append(given, values[name]...)
	}
	return values, nil
}

// appFunction is one function of GET /v1/apps/{app}/functions (http-api §10).
type appFunction struct {
	InternalID uuid.UUID          `json:"internal_id"`
	EnvID      uuid.UUID          `json:"env_id"` // zero, as in the original
	AppID      uuid.UUID          `json:"app_id"`
	Slug       string             `json:"id"`
	Name       string             `json:"name"`
	Config     *function.Function `json:"config"`
	CreatedAt  time.Time          `json:"created_at"`
	ArchivedAt time.Time          `json:"archived_at"`
	Paused     bool               `json:"is_paused,omitempty"` // an addition
}

// appFunctions is GET /v1/apps/{app}/functions: a list without an envelope.
func (s *Server) appFunctions(c echo.Context) error {
	list := []appFunction{}
	catalog := s.cfg.Catalog.Catalog()
	if app, ok := catalog.AppByName(c.Param("app")); ok {
		for i := range app.Functions {
			fn := &app.Functions[i]
			list = append(list, appFunction{InternalID: fn.ID, AppID: app.ID, Slug: fn.Slug, Name: fn.Name, Config: fn,
				CreatedAt: app.CreatedAt, Paused: catalog.Paused(fn.ID)})
		}
	}
	s.send(c, http.StatusOK, list)
	return nil
}
