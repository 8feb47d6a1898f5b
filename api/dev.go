package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// devInfo is GET /dev, by which SDKs find a dev server; in start mode it is no
// route, and SDKs rely on that too (http-api §7).
func (s *Server) devInfo(c echo.Context) error {
	if s.cfg.Mode == Start {
		return echo.ErrNotFound
	}
	functions := []shownFunction{}
	catalog := s.cfg.Catalog.Catalog()
	for _, app := range catalog.Apps {
		for i := range app.Functions {
			fn := &app.Functions[i]
			functions = append(functions, shownFunction{fn, catalog.Paused(fn.ID)})
		}
	}
	text, err := json.MarshalIndent(struct {
		Version         string          `json:"version"`
		Authed          bool            `json:"authed"`
		StartOptions    any             `json:"startOpts"`
		Functions       []shownFunction `json:"functions"`
		Handlers        []string        `json:"handlers"` // always null
		SingleNode      bool            `json:"isSingleNodeService"`
		NoSigningKey    bool            `json:"isMissingSigningKey"`
		NoEventKeys     bool            `json:"isMissingEventKeys"`
		FeatureSwitches map[string]bool `json:"features"`
	}{Version: s.cfg.Version, StartOptions: s.cfg.StartOptions, Functions: functions, FeatureSwitches: features}, "", "  ")
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentType, "application/json; charset=utf-8")
	c.Response().WriteHeader(http.StatusOK)
	_, err = c.Response().Write(append(text, '\n'))
	return err
}

// features are what pages of the original ask for before they show something.
var features = map[string]bool{"FEATURE_CEL_SEARCH": false, "enable-step-metadata": true, "run-details-v4": true}

// setLimit is POST /fn/step-limit or /fn/state-size-limit.
func (s *Server) setLimit(set func(uuid.UUID, int)) echo.HandlerFunc {
	return func(c echo.Context) error {
		form, err := formValues(c)
		if err != nil {
			return err
		}
		id, err := parseFunctionID(form.Get("functionId"))
		if err != nil {
			return err
		}
		limit, err := strconv.Atoi(form.Get("limit"))
		if err != nil || limit < 0 {
			return problemf(http.StatusBadRequest, "Invalid limit: %s", form.Get("limit"))
		}
		set(id, limit)
		return c.NoContent(http.StatusOK)
	}
}

// clearLimit is DELETE /fn/step-limit or /fn/state-size-limit.
func (s *Server) clearLimit(name string, clear func(uuid.UUID) bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		form, err := formValues(c)
		if err != nil {
			return err
		}
		id, err := parseFunctionID(form.Get("functionId"))
		if err != nil {
			return err
		}
		if !clear(id) {
			return problemf(http.StatusNotFound, "No %s limit set for function: %s", name, id)
		}
		return c.NoContent(http.StatusOK)
	}
}

func parseFunctionID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.UUID{}, problemf(http.StatusBadRequest, "Invalid function ID: %s", text)
	}
	return id, nil
}
