package api

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"jetstep/function"
)

// functionState is the answer to pausing a function.
type functionState struct {
	InternalID uuid.UUID `json:"internal_id"`
	Slug       string    `json:"id"`
	Name       string    `json:"name"`
	Paused     bool      `json:"is_paused"`
}

// setPaused is POST /v1/functions/{slug or id}/pause or /unpause, which the
// original has no route for. Repeating it changes nothing.
func (s *Server) setPaused(paused bool) echo.HandlerFunc {
	done := "function unpaused"
	if paused {
		done = "function paused"
	}
	return func(c echo.Context) error {
		fn, ok := s.cfg.Catalog.Catalog().Lookup(c.Param("function"))
		if !ok {
			return problemf(http.StatusNotFound, "function not found")
		}
		if err := s.cfg.Controls.SetPaused(c.Request().Context(), fn.ID, paused); err != nil {
			return err
		}
		s.log.Info(done, "function_id", fn.Slug)
		return s.sendData(c, functionState{InternalID: fn.ID, Slug: fn.Slug, Name: fn.Name, Paused: paused}, notCached)
	}
}

// shownFunction is a configuration with what was decided about the function.
// It has the bytes of the configuration alone while that is nothing.
type shownFunction struct {
	*function.Function
	Paused bool `json:"isPaused,omitempty"`
}
