package api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"jetstep/api/ingest"
)

// receiveEvents is POST /e/{key} (http-api §5).
func (s *Server) receiveEvents(c echo.Context) error {
	r := c.Request()
	answer := s.cfg.Events.AcceptFrom(r.Context(), r.Body, r.ContentLength, ingest.Request{
		Key:         c.Param("key"),
		ContentType: r.Header.Get(echo.HeaderContentType),
		Seed:        r.Header.Get(ingest.HeaderSeed),
		Traceparent: r.Header.Get(ingest.HeaderTraceparent),
	})
	s.sendJSON(c, answer.Status, append(answer.JSON(), '\n'))
	return nil
}

// maxInvocation leaves room around an event of the largest size.
const maxInvocation = 4 << 20

// invoke is POST /invoke/{slug} (http-api §6).
func (s *Server) invoke(c echo.Context) error {
	r := c.Request()
	_, escaped, _ := strings.Cut(r.URL.EscapedPath()[1:], "/")
	slug, err := url.QueryUnescape(escaped) // as a query: + is a space
	if err != nil {
		return problemf(http.StatusBadRequest, "Unable to decode function slug")
	}
	body, err := readBody(c, maxInvocation)
	if err != nil {
		return err
	}
	id, err := s.cfg.Events.Invoke(r.Context(), slug, body, r.Header.Get(ingest.HeaderSeed))
	switch {
	case errors.Is(err, ingest.ErrInvokeBody):
		return problemf(http.StatusBadRequest, "%s", ingest.ErrInvokeBody)
	case errors.Is(err, ingest.ErrInvokeEvent):
		return problemf(http.StatusBadRequest, "%s", ingest.ErrInvokeEvent)
	case err != nil:
		// The ingester has logged why.
		return problemf(http.StatusInternalServerError, "Unable to create invocation event: it could not be stored")
	}
	s.send(c, http.StatusOK, struct {
		ID     string `json:"id"`
		Status int    `json:"status"`
	}{id.String(), http.StatusOK})
	return nil
}
