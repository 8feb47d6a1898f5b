package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"
)

// maxSignal bounds a signal: its data becomes a step's output.
const maxSignal = 4 << 20

// sendSignal is POST /v1/signals (sdk-protocol §20.3).
func (s *Server) sendSignal(c echo.Context) error {
	body, err := readBody(c, maxSignal)
	if err != nil {
		return err
	}
	var signal struct {
		Name string          `json:"signal"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &signal); err != nil {
		return problemf(http.StatusBadRequest, "Invalid signal data")
	}
	if signal.Name == "" {
		return problemf(http.StatusBadRequest, "Invalid signal data") // 500 in the original
	}
	failed := problemf(http.StatusInternalServerError, "Failed to receive signal")
	run, err := s.cfg.Signals.Send(c.Request().Context(), signal.Name, signal.Data)
	switch {
	case errors.Is(err, ErrNoSignal):
		return problemf(http.StatusNotFound, "No signal found")
	case err != nil:
		s.log.Error("signal could not be received", "signal", signal.Name, "error", err)
		return failed
	}
	return s.sendData(c, struct {
		RunID ulid.ULID `json:"run_id"`
	}{run}, notCached)
}
