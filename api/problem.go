package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"jetstep/history"
)

// problem is an error whose text is meant for the client: the "public error"
// of http-api §3.
type problem struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"error"`
	Data    any    `json:"data"`
	Status  int    `json:"status"`
}

func (p *problem) Error() string { return p.Message }

func problemf(status int, format string, args ...any) *problem {
	return &problem{Status: status, Message: fmt.Sprintf(format, args...)}
}

// answerError answers whatever a handler returned. Errors that are not meant
// for clients go to the log.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		s.log.Warn("an answer broke off", "path", c.Path(), "error", err)
		return
	}
	var public *problem
	var routing *echo.HTTPError
	switch {
	case errors.As(err, &public):
		s.send(c, public.Status, public)
	case errors.As(err, &routing) && routing.Code == http.StatusMethodNotAllowed:
		// The router lists OPTIONS, which is only ever a pre-flight.
		allow := c.Response().Header().Get(echo.HeaderAllow)
		c.Response().Header().Set(echo.HeaderAllow, strings.TrimPrefix(allow, http.MethodOptions+", "))
		c.Response().WriteHeader(http.StatusMethodNotAllowed)
	case errors.As(err, &routing) && routing.Code == http.StatusNotFound:
		notFound(c)
	case errors.Is(err, history.ErrUnavailable):
		s.log.Debug("the history could not be read", "path", c.Path(), "error", err) // who writes it tells of an outage, once
		s.send(c, http.StatusServiceUnavailable, problemf(http.StatusServiceUnavailable,
			"The history is not available at the moment; runs go on, and are shown later"))
	default:
		s.log.Error("request failed", "method", c.Request().Method, "path", c.Path(), "error", err)
		s.send(c, http.StatusInternalServerError, problemf(http.StatusInternalServerError, "Internal error"))
	}
}

// notFound answers for a path that is no route: a final slash too many is
// redirected away (http-api §2).
func notFound(c echo.Context) {
	r := c.Request()
	path := r.URL.EscapedPath()
	// Two slashes at the start would name another host.
	if len(path) > 2 && strings.HasSuffix(path, "/") && path[1] != '/' {
		location := strings.TrimRight(path, "/")
		if r.URL.RawQuery != "" {
			location += "?" + r.URL.RawQuery
		}
		c.Response().Header().Set(echo.HeaderLocation, location)
		c.Response().WriteHeader(http.StatusSeeOther)
		return
	}
	http.NotFound(c.Response(), r)
}

// notImplemented answers for a route that does nothing.
func notImplemented(message string) echo.HandlerFunc {
	return func(echo.Context) error { return problemf(http.StatusNotImplemented, "%s", message) }
}

// send answers with JSON and a line end. The original says text/plain in many
// places; no client looks (http-api §19 no. 20).
func (s *Server) send(c echo.Context, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		s.log.Error("an answer has no JSON form", "path", c.Path(), "error", err)
		c.Response().WriteHeader(http.StatusInternalServerError)
		return
	}
	s.sendJSON(c, status, append(text, '\n'))
}

// sendJSON answers with text that is JSON.
func (s *Server) sendJSON(c echo.Context, status int, text []byte) {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	c.Response().WriteHeader(status)
	if _, err := c.Response().Write(text); err != nil {
		s.log.Debug("a client did not take its answer", "path", c.Path(), "error", err)
	}
}

// readBody reads a request's body of at most limit bytes. The error is a
// problem.
func readBody(c echo.Context, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problemf(http.StatusRequestEntityTooLarge, "Request body cannot exceed %d bytes", limit)
	case err != nil:
		return nil, problemf(http.StatusBadRequest, "Unable to read request body")
	}
	return body, nil
}

// discard takes a body of any kind and answers with nothing.
func (s *Server) discard(c echo.Context) error {
	if _, err := readBody(c, maxDiscarded); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// maxDiscarded bounds a body that nobody wants.
const maxDiscarded = 8 << 20
